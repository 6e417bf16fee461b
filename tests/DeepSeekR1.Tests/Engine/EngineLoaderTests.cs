using DeepSeekR1.Compute;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Tests.Engine;

/// <summary>What cannot be loaded, with the message that says why and what to do.</summary>
public sealed class EngineLoaderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("deepseekr1-loader-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Load_MissingModel_NamesPathAndKinds()
        => Refused(new EngineOptions { ModelPath = "/nowhere/model" },
            "MODEL '/nowhere/model' does not exist. Name a checkpoint folder (config.json, *.safetensors, tokenizer.json) or a .gguf file.");

    [Fact]
    public void Load_FolderWithoutConfig_NamesTheFile()
        => Refused(new EngineOptions { ModelPath = _folder },
            $"'{_folder}' has no config.json. MODEL must be a checkpoint folder as published on the hub (config.json, *.safetensors, tokenizer.json) or a .gguf file.");

    [GoldenFact]
    public void Load_OptionsOutOfRange_NameFlagValueAndRange()
    {
        var good = new EngineOptions { ModelPath = Goldens.At("models", "qwen2"), Device = "cpu" };
        Refused(good with { MaxNumSeqs = 0 }, "--max-num-seqs is 0; it must be between 1 and 65536.");
        Refused(good with { BlockSize = 0 }, "--block-size is 0; it must be between 1 and 1024.");
        Refused(good with { MaxNumSeqs = 100, MaxNumBatchedTokens = 50 },
            "--max-num-batched-tokens (50) is below --max-num-seqs (100): not every sequence could get a token each step. Raise the first or lower the second.");
        Refused(good with { DType = "float8" }, "--dtype is 'float8'; it must be auto, float32, bfloat16 or float16.");
        Refused(good with { Device = "tpu" }, "--device is 'tpu'; it must be auto, cpu or cuda.");
        Refused(good with { MaxModelLen = 513 }, "--max-model-len is 513; the model allows 1 to 512 (max_position_embeddings).");
        if (TorchRuntime.CudaDeviceCount == 0)
            RefusedWith(good with { Device = "cuda" }, "--device cuda: libtorch (", "sees no CUDA device. Build with -p:TorchBackend=cuda or set DEEPSEEKR1_LIBTORCH");
    }

    [GoldenFact]
    public void Load_MaxModelLenBeyondTheCache_NamesTheNumbers()
    {
        // qwen2: 3 layers x 2 x 2 heads x 16 wide x 4 bytes = 768 bytes a token.
        var options = new EngineOptions { ModelPath = Goldens.At("models", "qwen2"), Device = "cpu", DType = "float32", KvCacheMemoryBytes = 768 * 16 * 4 };
        Refused(options with { MaxModelLen = 100 },
            "--max-model-len 100 does not fit: the KV cache holds 64 tokens (4 blocks of 16, 48.0 KiB), and 100 tokens need 84.0 KiB. "
            + "Lower it to 64, or raise --kv-cache-memory-bytes.");
        Refused(options with { KvCacheMemoryBytes = 1000 },
            "The KV cache gets 1.0 KiB, but one block of 16 tokens takes 12.0 KiB. Raise --kv-cache-memory-bytes or lower --block-size.");
    }

    [GoldenFact]
    public async Task Load_MaxModelLenUnset_IsLoweredAndLogged()
    {
        var log = new List<string>();
        var options = new EngineOptions { ModelPath = Goldens.At("models", "qwen2"), Device = "cpu", DType = "float32", KvCacheMemoryBytes = 768 * 16 * 4 };
        await using var engine = LlmEngine.Load(options, log: line => log.Add(AsFlags(line)));
        Assert.Equal(64, engine.Facts.MaxModelLen);
        Assert.Contains(log, l => l == "Maximum length lowered from the model's 512 to 64 tokens, which is what the KV cache holds. Raise --kv-cache-memory-bytes for more.");
        Assert.Contains(log, l => l == "KV cache: 64 tokens in 4 blocks of 16, 48.0 KiB.");
    }

    [GoldenFact]
    public void Load_BrokenCheckpoints_NameFileAndCause()
    {
        Copy("deepseek-v3-fp8-mtp");
        string shard = Path.Combine(_folder, "model-00002-of-000003.safetensors");
        byte[] bytes = File.ReadAllBytes(shard);
        File.WriteAllBytes(shard, bytes[..^100]);
        RefusedWith(Options(), $"'{shard}' is not a usable safetensors file", "The file is truncated: download it again");
        File.Delete(shard);
        Refused(Options(), $"'{_folder}' lacks 1 of the shards that model.safetensors.index.json names: model-00002-of-000003.safetensors. Download them again.");
        File.WriteAllBytes(shard, bytes);
        File.Delete(Path.Combine(_folder, "tokenizer.json"));
        RefusedWith(Options(), "tokenizer.json", _folder);
        File.Delete(Path.Combine(_folder, "model.safetensors.index.json"));
        Refused(Options(), $"'{_folder}' has neither model.safetensors.index.json nor model.safetensors: no weights to load.");
    }

    [GoldenFact]
    public void Load_Failure_LeavesNoTensors()
    {
        Copy("qwen2");
        long before = TensorScope.LiveTensors;
        File.WriteAllText(Path.Combine(_folder, "config.json"), File.ReadAllText(Path.Combine(_folder, "config.json")).Replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4"));
        RefusedWith(Options(), "does not fit Qwen2ForCausalLM", "Missing (12): model.layers.3.");
        Assert.Equal(before, TensorScope.LiveTensors);
    }

    private EngineOptions Options() => new() { ModelPath = _folder, Device = "cpu", DType = "float32" };

    private void Copy(string name)
    {
        foreach (var file in Directory.GetFiles(Goldens.At("models", name)))
        {
            string target = Path.Combine(_folder, Path.GetFileName(file));
            File.WriteAllBytes(target, File.ReadAllBytes(file));
        }
    }

    private static void Refused(EngineOptions options, string message)
        => Assert.Equal(message, AsFlags(Assert.Throws<StartupException>(() => LlmEngine.Load(options)).Message));

    private static void RefusedWith(EngineOptions options, params string[] parts)
    {
        var message = AsFlags(Assert.Throws<StartupException>(() => LlmEngine.Load(options)).Message);
        Assert.All(parts, part => Assert.Contains(part, message));
    }

    /// <summary>As the executable shows it.</summary>
    private static string AsFlags(string message) => OptionName.Spell(message, name => "--" + name);
}
