using System.CommandLine;
using System.Runtime.InteropServices;
using DeepSeekR1.Engine;
using DeepSeekR1.Server;
using DeepSeekR1.Text;
using Spectre.Console;

namespace DeepSeekR1.Cli;

/// <summary>The verb <c>chat</c>: a conversation in the terminal, with a model in this process or with a server.</summary>
internal static class ChatCommand
{
    /// <summary>The verb with its options.</summary>
    public static Command Create()
    {
        var model = new Argument<string?>("MODEL") { Description = $"Checkpoint folder or .gguf file, loaded into this process; the bundled {BundledModel.Name} if it is left out", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("chat", "Talk to a model in the terminal") { model };
        var flags = new FlagSet<ChatOptions>(ChatOptionList.All).AddTo(command);
        var loading = new FlagSet<ServerOptions>(ServerOptionList.All.Defaults, ChatOptionList.Loading, ServeCommand.Variable).AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            var options = flags.Read(parsed, new ChatOptions());
            var given = loading.Given(parsed);
            await using var source = options.BaseUrl is { } address
                ? await RemoteAsync(parsed.GetValue(model), given, address, options, cancellation)
                : await LocalAsync(parsed.GetValue(model), given, cancellation);
            return await TalkAsync(source, options.Settings, options.HideThoughts);
        });
        return command;
    }

    private static async Task<ChatSource> RemoteAsync(string? model, Dictionary<string, string> given, Uri address, ChatOptions options, CancellationToken cancellation)
    {
        if (model is not null)
            throw new UsageException($"MODEL and {ChatOptionList.BaseUrl} contradict each other: the model runs here or there. Name a model of the server with --model.");
        if (given.Count > 0)
            throw new UsageException($"{Flags.Of(given.Keys.First())} has no effect with {ChatOptionList.BaseUrl}: the server has loaded its model already.");
        string? secret = options.ApiKey ?? Environment.GetEnvironmentVariable("DEEPSEEKR1_API_KEY");
        return await RemoteChatSource.ConnectAsync(new Uri(address.OriginalString.TrimEnd('/') + "/"), secret, options.Model, cancellation);
    }

    private static async Task<ChatSource> LocalAsync(string? model, Dictionary<string, string> given, CancellationToken cancellation)
    {
        var options = ServeSettings.Resolve(model, given);
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
}
