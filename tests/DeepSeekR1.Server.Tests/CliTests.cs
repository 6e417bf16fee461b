using DeepSeekR1.Cli;
using DeepSeekR1.Text;
using Microsoft.Extensions.Configuration;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>The options of <c>serve</c>: three sources, one meaning, exact refusals.</summary>
public sealed class CliTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("deepseekr1-cli").FullName;

    private string SettingsFile => Path.Combine(_folder, "appsettings.json");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private ServerOptions Resolve(string? model, (string, string)[] flags, params (string, string)[] environment)
        => ServeSettings.Resolve(model, flags.ToDictionary(f => f.Item1, f => f.Item2),
            new ConfigurationBuilder().AddInMemoryCollection(environment.Select(e => KeyValuePair.Create(e.Item1["DEEPSEEKR1_".Length..], (string?)e.Item2)))
                .Build(), SettingsFile);

    [Fact]
    public void Resolve_FlagBeatsEnvironmentBeatsFile()
    {
        File.WriteAllText(SettingsFile, """{"DeepSeekR1": {"MaxModelLen": 100, "max-num-seqs": 3, "block_size": 8, "ReasoningFormat": "inline"}}""");
        var options = Resolve("m", [("max-model-len", "300")], ("DEEPSEEKR1_MAX_MODEL_LEN", "200"), ("DEEPSEEKR1_MAX_NUM_SEQS", "4"));
        Assert.Equal(300, options.Engine.MaxModelLen);
        Assert.Equal(4, options.Engine.MaxNumSeqs);
        Assert.Equal(8, options.Engine.BlockSize);
        Assert.Equal(ReasoningFormat.Inline, options.ReasoningFormat);
    }

    [Fact]
    public void Resolve_WithoutModel_SaysWhatToGive()
        => Assert.Equal("serve needs a MODEL: a checkpoint folder or a .gguf file. The bundled model, models/r1-tiny, is neither beside the program nor here.",
            Assert.Throws<UsageException>(
                () => ServeSettings.Resolve(null, new Dictionary<string, string>(), new ConfigurationBuilder().Build(), SettingsFile, bundled: () => null)).Message);

    [Fact]
    public void Resolve_WithoutModel_TakesTheBundledOneAndSaysWhatItIs()
    {
        // The build lays it beside the program, and so beside these tests.
        var options = Resolve(null, []);
        Assert.Equal(Path.Combine(AppContext.BaseDirectory, "models", BundledModel.Name), options.Engine.ModelPath);
        Assert.Contains("demo of 1.7 million parameters", options.ModelDescription);
        Assert.Null(Resolve("m", []).ModelDescription);
        Assert.Null(BundledModel.Locate("/no/such/folder"));
    }

    [Theory]
    [InlineData("port", "70000", "--port must be an integer from 0 to 65535, not '70000'.")]
    [InlineData("port", "x", "--port must be an integer from 0 to 65535, not 'x'.")]
    [InlineData("max-model-len", "0", "--max-model-len must be an integer of at least 1, not '0'.")]
    [InlineData("dtype", "int8", "--dtype must be one of auto, float32, bfloat16, float16, not 'int8'.")]
    [InlineData("gpu-memory-utilization", "1.5", "--gpu-memory-utilization must be a number above 0 and at most 1, not '1.5'.")]
    [InlineData("gpu-memory-utilization", "0.5", "--gpu-memory-utilization has no meaning with --device auto. Send --device cuda, or use --kv-cache-memory-bytes.")]
    [InlineData("enforce-eager", "true", "--enforce-eager: has no meaning here because there are no CUDA graphs: every step runs eagerly.")]
    [InlineData("swap-space", "4", "--swap-space 4: has no meaning here because a sequence that must give way is computed again, never swapped.")]
    [InlineData("trust-remote-code", "true", "--trust-remote-code: has no meaning here because no code of a checkpoint is ever run.")]
    [InlineData("quantization", "gptq", "--quantization must be one of fp8, int8, int4, nf4, not 'gptq'.")]
    [InlineData("api-key", "", "--api-key is empty (''). Give at least one value, or leave the option out.")]
    [InlineData("served-model-name", " ,", "--served-model-name is empty (' ,'). Give at least one value, or leave the option out.")]
    [InlineData("chat-template", "/no/such/file", "--chat-template: there is no file '/no/such/file'.")]
    public void Resolve_BadValue_SaysRangeOrReason(string name, string value, string message)
        => Assert.Equal(message, Assert.Throws<UsageException>(() => Resolve("m", [(name, value)])).Message);

    [Fact]
    public void Resolve_UnknownSettingsKey_IsRefused()
    {
        File.WriteAllText(SettingsFile, """{"DeepSeekR1": {"MaxModelLength": 100}}""");
        Assert.StartsWith($"The settings file '{SettingsFile}' has an unknown key 'DeepSeekR1:MaxModelLength'.",
            Assert.Throws<UsageException>(() => Resolve("m", [])).Message);
    }

    [Theory]
    [InlineData("""{"DeepSeekR1": {"port": 1,""", "cannot be read: ")]
    [InlineData("""{"DeepSeekR1": {"MaxModelLen": null}}""", ": 'DeepSeekR1:MaxModelLen' must be a text, a number, a boolean or a list.")]
    [InlineData("""{"DeepSeekR1": {"MaxModelLen": {"a": 1}}}""", ": 'DeepSeekR1:MaxModelLen' must be a text, a number, a boolean or a list.")]
    [InlineData("""{"DeepSeekR1": {"MaxModelLen": 5, "max-model-len": 6}}""", " names one option twice, the second time as 'DeepSeekR1:MaxModelLen'. Leave one out.")]
    public void Resolve_BadSettingsFile_SaysWhatIsWrong(string json, string message)
    {
        File.WriteAllText(SettingsFile, json);
        Assert.Contains(message, Assert.Throws<UsageException>(() => Resolve("m", [])).Message);
    }

    [Fact]
    public void Resolve_SettingsFile_TakesCommentsListsAndBooleans()
    {
        File.WriteAllText(SettingsFile, """{/* of ours */ "Logging": {}, "DeepSeekR1": {"served-model-name": ["a", "b"], "EnforceThinking": true, "no_enable_prefix_caching": false,}}""");
        var options = Resolve("m", []);
        Assert.Equal(["a", "b"], options.ServedModelNames);
        Assert.True(options.EnforceThinking && options.Engine.EnablePrefixCaching);
    }

    [Theory]
    [InlineData("serve", "--porrt", "1", "m", "Unknown option '--porrt'. Did you mean '--port'?")]
    [InlineData("serve", "m", "--port", "a", "--port must be an integer from 0 to 65535, not 'a'.")]
    [InlineData("serv", "m", "--port", "1", "Unknown command 'serv'. Did you mean 'serve'?")]
    [InlineData("launch", "m", "--port", "1", "Unknown command 'launch'. Commands: serve, chat, plan, quantize, bench, eval, train. See --help.")]
    [InlineData("serve", "m", "-p", "1", "Unknown option '-p'. See --help.")]
    [InlineData("serve", "m", "extra", "more", "Unrecognized command or argument 'extra'.")]
    [InlineData("serve", "m", "--tensor-parallel-size", "0", "--tensor-parallel-size must be an integer from 1 to 64, not '0'.")]
    public async Task Main_BadUsage_ExitCode2AndOneLine(string a, string b, string c, string d, string message)
    {
        var (code, error) = await RunAsync(a, b, c, d);
        Assert.Equal((2, $"deepseek-r1: {message}\n"), (code, error));
    }

    [Fact]
    public void Readme_NamesEveryOption()
    {
        string readme = File.ReadAllText(Path.Combine(Testing.Goldens.Repository, "README.md"));
        Assert.All(ServerOptionList.All, option => Assert.Contains($"`--{option.Name}`", readme));
    }

    private static async Task<(int Code, string Error)> RunAsync(params string[] args)
    {
        var (error, original) = (new StringWriter { NewLine = "\n" }, Console.Error);
        Console.SetError(error);
        try
        {
            return (await CommandLine.RunAsync(args), error.ToString());
        }
        finally
        {
            Console.SetError(original);
        }
    }
}
