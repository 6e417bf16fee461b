using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Options;
using Xunit;

namespace DeepSeekR1.Tests.Engine.Options;

/// <summary>Declared options: one range, whichever way the value comes; names in messages; defaults from the record.</summary>
public sealed class OptionListTests
{
    private static readonly EngineOptions Defaults = EngineOptionList.All.Defaults;

    [Theory]
    [InlineData("block-size", "1024", "1025")]
    [InlineData("max-queue", "1048576", "1048577")]
    [InlineData("max-num-seqs", "1", "65537")]
    [InlineData("tensor-parallel-size", "64", "65")]
    [InlineData("num-threads", "1024", "0")]
    [InlineData("rank-timeout", "86400", "0")]
    [InlineData("dtype", "bfloat16", "float8")]
    [InlineData("quantization", "nf4", "q9")]
    public void ReadAndCheck_HaveTheSameRange(string name, string good, string bad)
    {
        var option = EngineOptionList.All.Single(o => o.Name == name);
        option.Check(option.Read(Defaults, good));
        var read = Assert.Throws<OptionException>(() => option.Read(Defaults, bad));
        var check = Assert.Throws<OptionException>(() => EngineOptionList.All.Check(option.Set(Defaults, bad)));
        Assert.Equal((name, bad, name, bad), (read.Option, read.Value, check.Option, check.Value));
    }

    [Fact]
    public void Messages_AreSpelledByWhoShowsThem()
    {
        var refused = Assert.Throws<OptionException>(() => EngineOptionList.BlockSize.Read(Defaults, "x"));
        Assert.Equal("option:block-size must be an integer from 1 to 1024, not 'x'.", refused.Message);
        Assert.Equal("BlockSize must be an integer from 1 to 1024, not 'x'.", OptionText.Spell(refused.Message, name => string.Concat(name.Split('-').Select(w => char.ToUpperInvariant(w[0]) + w[1..]))));
        Assert.Equal("no option:", OptionText.Spell("no option:", _ => "?"));
    }

    [Fact]
    public void Options_HaveDistinctNamesHelpAndADefaultThatTheyTake()
    {
        Assert.Equal(EngineOptionList.All.Count, EngineOptionList.All.Select(o => o.Name).Distinct().Count());
        Assert.All(EngineOptionList.All, o => Assert.NotEmpty(o.Help));
        EngineOptionList.All.Check(Defaults);
        Assert.Equal("Tokens per KV block, 1 to 1024 (default 16)", EngineOptionList.BlockSize.Describe(Defaults));
        Assert.Equal("Threads of the CPU kernels, 1 to 1024 (default: the machine's cores)", EngineOptionList.NumThreads.Describe(Defaults));
        Assert.Equal("Compute type: auto, float32, bfloat16 or float16 (default auto)", EngineOptionList.DType.Describe(Defaults));
    }

    [Fact]
    public void Rules_RefuseWhatContradicts()
    {
        Refused(Defaults with { Quantization = "fp8", Dequantize = true }, "option:quantization and option:dequantize contradict each other.");
        Refused(Defaults with { GpuMemoryUtilization = 0.5 }, "option:gpu-memory-utilization has no meaning with option:device auto.");
        Refused(Defaults with { Dequantize = true, ActivationScheme = "dynamic" }, "option:activation-scheme dynamic rounds");
        static void Refused(EngineOptions options, string message)
            => Assert.StartsWith(message, Assert.Throws<OptionException>(() => EngineOptionList.All.Check(options)).Message);
    }
}
