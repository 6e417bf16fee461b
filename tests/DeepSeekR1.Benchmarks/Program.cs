using DeepSeekR1.Benchmarks;

// One benchmark per verb; each prints ratios against a peer or the memory limit of the same run.
return args switch
{
    ["streams", var model, .. var rest] => await StreamBenchmark.Run(model, rest),
    ["products", .. var rest] => ProductBenchmark.Run(rest),
    ["open-r1", var config, var folder] => OpenBenchmark.Run(config, folder),
    ["ranks", var model, .. var rest] => await RankBenchmark.Run(model, rest),
    ["prefix", var model, .. var rest] => await PrefixBenchmark.Run(model, rest),
    ["sse", var model, .. var rest] => await SseBenchmark.Run(model, rest),
    ["costs"] => CostBenchmark.Run(),
    ["sampler"] => SamplerBenchmark.Run(),
    ["training"] => TrainingBenchmark.Speed(),
    ["training", "memory"] => TrainingBenchmark.Memory(),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("usage: streams MODEL [dtype]           tokens/s of 16 streams against one, both against the memory limit");
    Console.Error.WriteLine("       products [OUTPUTS [INPUTS [THREADS]]]  one linear layer in block FP8 against packed bfloat16");
    Console.Error.WriteLine("       open-r1 CONFIG FOLDER           time and memory of opening R1's 163 shards, written to FOLDER as sparse files");
    Console.Error.WriteLine("       ranks MODEL [dtype]             two ranks of one thread against one rank of two threads");
    Console.Error.WriteLine("       prefix MODEL [dtype]            time to the first token with a cached prefix of 1k to 8k tokens");
    Console.Error.WriteLine("       sse MODEL [STREAMS...]          tokens/s of the way from the engine's channel to clients' sockets (MODEL gives the tokenizer)");
    Console.Error.WriteLine("       costs                           scheduler, step tensors, wake-ups, metrics and watchdog, each by itself");
    Console.Error.WriteLine("       sampler                         batch 64 over 151,936 logits as a share of a step of the 1.5B shape");
    Console.Error.WriteLine("       training [memory]               tokens/s of the trainer against a plain TorchSharp loop; or its memory over 1,000 steps");
    return 2;
}
