using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using DeepSeekR1.Engine;
using DeepSeekR1.Text;
using Spectre.Console;

namespace DeepSeekR1.Cli;

/// <summary>The verb <c>chat</c>: a conversation in the terminal, with a model in this process or with a server.</summary>
internal static class ChatCommand
{
    /// <summary>Options of <c>serve</c> that say how a model is loaded; they mean the same here.</summary>
    private static readonly string[] LoadOptions =
    [
        "dtype", "device", "max-model-len", "num-threads", "kv-cache-memory-bytes", "quantization", "dequantize", "tensor-parallel-size", "chat-template",
    ];

    /// <summary>The verb with its options.</summary>
    public static Command Create()
    {
        var model = new Argument<string?>("MODEL") { Description = $"Checkpoint folder or .gguf file, loaded into this process; the bundled {BundledModel.Name} if it is left out", Arity = ArgumentArity.ZeroOrOne };
        var url = new Option<string?>("--base-url") { Description = "Talk to this server instead, for example http://127.0.0.1:8000/v1", HelpName = "URL" };
        var key = new Option<string?>("--api-key") { Description = "Key of that server [DEEPSEEKR1_API_KEY]", HelpName = "KEY" };
        var name = new Option<string?>("--model") { Description = "Name of the model there (default: the first one that it serves)", HelpName = "NAME" };
        var system = new Option<string?>("--system") { Description = "First message, of role system", HelpName = "TEXT" };
        var temperature = new Option<string?>("--temperature") { Description = "Randomness, 0 to 2 (default: the model's)", HelpName = "T" };
        var limit = new Option<string?>("--max-tokens") { Description = "Most tokens of an answer, thought included (default: what fits)", HelpName = "N" };
        var hide = new Option<bool>("--hide-thoughts") { Description = "Show answers only" };
        var command = new Command("chat", "Talk to a model in the terminal") { model, url, key, name, system, temperature, limit, hide };
        var loading = ServeOptions.All.Where(o => LoadOptions.Contains(o.Name)).ToDictionary(o => o.Name, ServeCommand.ToFlag);
        foreach (var flag in loading.Values)
            command.Options.Add(flag);
        command.SetAction(async (parsed, cancellation) =>
        {
            var settings = new ChatSettings(
                parsed.GetValue(system), Number("temperature", parsed.GetValue(temperature), 0, 2), (int?)Number("max-tokens", parsed.GetValue(limit), 1, int.MaxValue));
            var given = ServeCommand.Given(parsed, loading);
            await using var source = parsed.GetValue(url) is { } address
                ? await RemoteAsync(parsed.GetValue(model), given, address, parsed.GetValue(key), parsed.GetValue(name), cancellation)
                : await LocalAsync(parsed.GetValue(model), given, cancellation);
            return await TalkAsync(source, settings, parsed.GetValue(hide));
        });
        return command;
    }

    private static async Task<ChatSource> RemoteAsync(
        string? model, Dictionary<string, string> given, string address, string? key, string? name, CancellationToken cancellation)
    {
        if (model is not null)
            throw new UsageException("MODEL and --base-url contradict each other: the model runs here or there. Name a model of the server with --model.");
        if (given.Count > 0)
            throw new UsageException($"--{given.Keys.First()} has no effect with --base-url: the server has loaded its model already.");
        if (!Uri.TryCreate(address.TrimEnd('/') + "/", UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https"))
            throw new UsageException($"--base-url must be an http or https address, not '{address}'.");
        string? secret = key ?? Environment.GetEnvironmentVariable("DEEPSEEKR1_API_KEY");
        return await RemoteChatSource.ConnectAsync(url, secret, name, cancellation);
    }

    private static async Task<ChatSource> LocalAsync(string? model, Dictionary<string, string> given, CancellationToken cancellation)
    {
        var options = ServeSettings.Resolve(model, given, Environment.GetEnvironmentVariable, Path.Combine(Environment.CurrentDirectory, "appsettings.json"));
        string? template = options.ChatTemplateFile is { } file ? await File.ReadAllTextAsync(file, cancellation) : null;
        if (options.ModelDescription is { } description)
            await Console.Error.WriteLineAsync(description);
        if (!Console.IsErrorRedirected)
            await Console.Error.WriteLineAsync($"Loading {options.Engine.ModelPath} ...");
        var engine = await Task.Run(() => LlmEngine.Load(options.Engine, cancellation: cancellation), cancellation);
        return new LocalChatSource(new ChatEngine(engine, template));
    }

    /// <summary>The conversation until it is left. Ctrl-C ends an answer; between answers it ends the program.</summary>
    private static async Task<int> TalkAsync(ChatSource source, ChatSettings settings, bool hideThoughts)
    {
        bool terminal = !Console.IsInputRedirected && !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Ansi;
        var session = new ChatSession(source, settings, new ChatView(Console.Out, terminal, hideThoughts), Console.In);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
        {
            context.Cancel = true;
            if (session.StopAnswer())
                return;
            // The prompt waits in a read that cannot be interrupted.
            Console.Out.WriteLine();
            Environment.Exit(ExitCodes.Ok);
        });
        return await session.RunAsync() ? ExitCodes.Ok : ExitCodes.Fault;
    }

    private static double? Number(string name, string? value, double min, double max)
    {
        if (value is null)
            return null;
        if (double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && number >= min && number <= max)
            return number;
        string range = max == int.MaxValue ? $"at least {min}" : $"from {min} to {max}";
        throw new UsageException($"--{name} must be a number of {range}, not '{value}'.");
    }
}
