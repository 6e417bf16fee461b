using System.Diagnostics;
using System.Threading.Channels;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels.Sampling;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Diagnostics;
using DeepSeekR1.Engine.Execution;
using DeepSeekR1.Engine.Scheduling;
using TorchSharp;

namespace DeepSeekR1.Benchmarks;

/// <summary>What the engine's loop costs around the model, each part by itself: scheduler, step tensors, wake-ups, metrics, watchdog.</summary>
internal static class CostBenchmark
{
    private const int Steps = 600, Rounds = 7, PromptTokens = 64, BlockSize = 16;

    /// <summary>Runs and prints a table.</summary>
    public static int Run()
    {
        TorchRuntime.Initialize();
        Console.WriteLine($"median of {Rounds} rounds");
        foreach (int sequences in new[] { 16, 256, 1024 })
            Schedule(sequences);
        foreach (int sequences in new[] { 1, 64, 256 })
            Tensors(sequences);
        foreach (int tokens in new[] { 1024, 8192 })
            Begin(tokens);
        Wakes();
        Bookkeeping();
        return 0;
    }

    /// <summary>Decode steps: every sequence gets a token at every step, and a new block at every sixteenth.</summary>
    private static void Schedule(int sequences)
    {
        var times = new List<(double Schedule, double Apply, double Bytes)>();
        for (int round = 0; round < Rounds + 1; round++)
        {
            var scheduler = Decoding(sequences);
            var output = Output(sequences, i => 3 + i % 50);
            long planning = 0, applying = 0, bytes = GC.GetAllocatedBytesForCurrentThread();
            for (int step = 0; step < Steps; step++)
            {
                long start = Stopwatch.GetTimestamp();
                var batch = scheduler.Schedule()!;
                long middle = Stopwatch.GetTimestamp();
                scheduler.Apply(batch, output, static (_, _, _) => { });
                planning += middle - start;
                applying += Stopwatch.GetTimestamp() - middle;
            }

            if (scheduler.Running.Count != sequences)
                throw new InvalidOperationException($"{scheduler.Running.Count} of {sequences} sequences were left at the end.");
            double parts = (double)Steps * sequences, nanoseconds = 1e9 / Stopwatch.Frequency;
            times.Add((planning * nanoseconds / parts, applying * nanoseconds / parts, (GC.GetAllocatedBytesForCurrentThread() - bytes) / parts));
        }

        var (plan, apply, allocated) = times.Skip(1).OrderBy(t => t.Schedule + t.Apply).ElementAt(Rounds / 2);
        Console.WriteLine($"scheduler, {sequences,4} sequences: Schedule {plan,5:0} + Apply {apply,4:0} = {plan + apply,5:0} ns a sequence and step, {allocated:0} bytes allocated");
    }

    private static Scheduler Decoding(int sequences)
    {
        int blocks = sequences * ((PromptTokens + Steps) / BlockSize + 2);
        var scheduler = new Scheduler(new BlockManager(blocks, BlockSize), new SchedulerLimits(sequences, sequences * PromptTokens, PromptTokens + 2 * Steps, 1000));
        for (int i = 0; i < sequences; i++)
            scheduler.Add(new Sequence(new GenerationRequest
            {
                Id = "cost",
                PromptIds = [.. Enumerable.Range(0, PromptTokens).Select(j => 3 + i + j)],
                Sampling = new SamplingParams { MaxTokens = 2 * Steps, StopTokenIds = [1] },
            }));
        scheduler.Apply(scheduler.Schedule()!, Output(sequences, _ => 7), static (_, _, _) => { });
        return scheduler;
    }

    /// <summary>What a step gives when every sequence gets one token.</summary>
    private static StepOutput Output(int sequences, Func<int, int> token)
        => new([.. Enumerable.Range(0, sequences).Select(i => new SequenceOutput(new[] { new SampledToken(token(i)) }, []))]);

    private static void Tensors(int sequences)
    {
        var batch = Decoding(sequences).Schedule()!;
        double seconds = Median(2000, () =>
        {
            using var scope = new TensorScope();
            using var paged = BatchBuilder.Build(batch, BlockSize, torch.CPU).Paged;
        });
        Console.WriteLine($"step tensors, {sequences,4} sequences: {1e6 * seconds,6:0.0} us a step");
    }

    /// <summary>All that happens to a prompt whose beginning is cached before it is computed: sequence, hashes, block table, and its release.</summary>
    private static void Begin(int tokens)
    {
        var blocks = new BlockManager(tokens / BlockSize + 2, BlockSize);
        var scheduler = new Scheduler(blocks, new SchedulerLimits(1, tokens + BlockSize, tokens + 2 * BlockSize, 2 * tokens));
        int[] prompt = [.. Enumerable.Range(0, tokens + BlockSize)];
        double seconds = Median(300, () =>
        {
            var sequence = new Sequence(new GenerationRequest { Id = "cost", PromptIds = prompt, Sampling = new SamplingParams { MaxTokens = 1 } });
            scheduler.Add(sequence);
            scheduler.Schedule();
            scheduler.Remove(sequence);
        });
        Console.WriteLine($"begin with {tokens,4} cached tokens: {1e6 * seconds,6:0.0} us");
    }

    /// <summary>A token from the engine's thread to a waiting reader, and a command to the waiting engine.</summary>
    private static void Wakes()
    {
        var channel = Channel.CreateUnbounded<long>(new UnboundedChannelOptions { SingleReader = true, AllowSynchronousContinuations = false });
        var delays = new List<double>();
        var costs = new List<double>();
        var reader = Task.Run(async () =>
        {
            await foreach (long sent in channel.Reader.ReadAllAsync())
                delays.Add(Stopwatch.GetElapsedTime(sent).TotalSeconds);
        });
        using var wake = new AutoResetEvent(false);
        var signals = new List<double>();
        long signalled = 0;
        bool stop = false;
        var engine = new Thread(() =>
        {
            while (wake.WaitOne() && !Volatile.Read(ref stop))
                signals.Add(Stopwatch.GetElapsedTime(Volatile.Read(ref signalled)).TotalSeconds);
        });
        engine.Start();
        for (int i = 0; i < 500; i++)
        {
            long start = Stopwatch.GetTimestamp();
            channel.Writer.TryWrite(start);
            costs.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            Thread.Sleep(5);
            Volatile.Write(ref signalled, Stopwatch.GetTimestamp());
            wake.Set();
            Thread.Sleep(5);
        }

        channel.Writer.Complete();
        reader.Wait();
        Volatile.Write(ref stop, true);
        wake.Set();
        engine.Join();
        Console.WriteLine($"wake-up of a reader: the engine's thread spends {1e6 * Middle(costs):0.0} us, the reader runs after {1e6 * Middle(delays):0.0} us (90 %: {1e6 * Middle(delays, 0.9):0.0} us)");
        Console.WriteLine($"wake-up of the engine by a request: {1e6 * Middle(signals):0.0} us (90 %: {1e6 * Middle(signals, 0.9):0.0} us)");
    }

    private static void Bookkeeping()
    {
        var metrics = new EngineMetrics(32768);
        var times = new SequenceTimes();
        const int Many = 1000;
        double token = Median(200, () =>
        {
            for (int i = 0; i < Many; i++)
                metrics.OnToken(times, Stopwatch.GetTimestamp());
        }) / Many;
        using var watch = new StepWatch(() => 0, TimeSpan.FromHours(1), () => { });
        double step = Median(200, () =>
        {
            for (int i = 0; i < Many; i++)
            {
                watch.StepBegins();
                watch.StepEnds();
            }
        }) / Many;
        Console.WriteLine($"metrics: {1e9 * token:0} ns a token, clock included; watchdog: {1e9 * step:0} ns a step");
    }

    private static double Median(int count, Action action)
    {
        var times = new List<double>();
        for (int i = 0; i < count; i++)
        {
            long start = Stopwatch.GetTimestamp();
            action();
            times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return Middle(times);
    }

    private static double Middle(List<double> values, double share = 0.5) => values.Order().ElementAt((int)(share * (values.Count - 1)));
}
