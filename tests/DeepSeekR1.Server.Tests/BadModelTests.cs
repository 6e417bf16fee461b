using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Checkpoints that cannot be served: one message that says what is wrong.</summary>
public sealed class BadModelTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("deepseekr1-model").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    public static TheoryData<string, string> Cases => new()
    {
        { "nothing", "MODEL 'DIR/none' does not exist. Name a checkpoint folder (config.json, *.safetensors, tokenizer.json) or a .gguf file." },
        { "no config", "'DIR' has no config.json. MODEL must be a checkpoint folder as published on the hub (config.json, *.safetensors, tokenizer.json) or a .gguf file." },
        { "broken config", "DIR/config.json is not valid JSON: Expected depth to be zero at the end of the JSON payload. There is an open JSON object or array that should be closed. LineNumber: 0 | BytePositionInLine: 1." },
        { "unknown architecture", "DIR/config.json: architectures is MambaForCausalLM; implemented is DeepseekV3ForCausalLM, LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM." },
        { "no weights", "'DIR' has neither model.safetensors.index.json nor model.safetensors: no weights to load." },
        { "truncated weights", "'DIR/model.safetensors' is not a usable safetensors file: tensor 'model.layers.2.self_attn.v_proj.weight' ends at byte 750720 of the data, which has only 749912. The file is truncated: download it again." },
        { "missing shard", "'DIR' lacks 1 of the shards that model.safetensors.index.json names: model-00002-of-000003.safetensors. Download them again." },
        { "no tokenizer", "'DIR/tokenizer.json' does not exist. Download the tokenizer.json of this checkpoint into the folder, or name a GGUF file, which holds its own tokenizer." },
        { "broken tokenizer", "'DIR/tokenizer.json' is not what it should be: The given key was not present in the dictionary. Download it again." },
        { "bad template", "The chat template is not valid: Expected an expression, got 'end of statement block'. Give another with --chat-template FILE." },
    };

    [GoldenTheory]
    [MemberData(nameof(Cases))]
    public async Task Serve_BadCheckpoint_SaysWhatIsWrong(string fault, string message)
    {
        string source = Goldens.At("models", fault == "missing shard" ? "deepseek-v3-fp8-mtp" : "llama");
        foreach (string file in Directory.GetFiles(source))
        {
            string copy = Path.Combine(_folder, Path.GetFileName(file));
            File.WriteAllBytes(copy, File.ReadAllBytes(file));
        }
        Spoil(fault);
        await using var server = ServerHost.Create(new ServerOptions
        {
            Engine = new EngineOptions { ModelPath = fault == "nothing" ? At("none") : _folder, DType = "float32", NumThreads = 1, KvCacheMemoryBytes = 16 << 20 },
            Port = 0,
            Logger = Serilog.Core.Logger.None,
        });
        await server.StartAsync();
        var failure = await Assert.ThrowsAsync<StartupException>(() => server.WaitUntilReadyAsync());
        Assert.Equal(message, failure.Message.Replace(_folder, "DIR"));
    }

    private string At(string file) => Path.Combine(_folder, file);

    private void Spoil(string fault)
    {
        string weights = At("model.safetensors");
        switch (fault)
        {
            case "no config":
                File.Delete(At("config.json"));
                break;
            case "broken config":
                File.WriteAllText(At("config.json"), "{");
                break;
            case "unknown architecture":
                Replace("config.json", "LlamaForCausalLM", "MambaForCausalLM");
                break;
            case "no weights":
                File.Delete(weights);
                break;
            case "truncated weights":
                File.WriteAllBytes(weights, File.ReadAllBytes(weights)[..^1000]);
                break;
            case "missing shard":
                File.Delete(Directory.GetFiles(_folder, "model-00002*").Single());
                break;
            case "no tokenizer":
                File.Delete(At("tokenizer.json"));
                break;
            case "broken tokenizer":
                File.WriteAllText(At("tokenizer.json"), "{}");
                break;
            case "bad template":
                Replace("tokenizer_config.json", "{% for m in messages %}", "{% for m in %}");
                break;
        }
    }

    private void Replace(string file, string old, string value)
        => File.WriteAllText(At(file), File.ReadAllText(At(file)).Replace(old, value));
}
