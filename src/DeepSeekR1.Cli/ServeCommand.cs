using System.CommandLine;
using System.Runtime.InteropServices;
using DeepSeekR1.Engine;
using DeepSeekR1.Server;
using Spectre.Console;

namespace DeepSeekR1.Cli;

/// <summary>The verb <c>serve</c>: options from three sources, then a server until a signal comes.</summary>
internal static class ServeCommand
{
    /// <summary>The verb with all its options.</summary>
    public static Command Create()
    {
        var model = new Argument<string?>("MODEL")
        {
            Description = $"Checkpoint folder (config.json, *.safetensors, tokenizer.json) or .gguf file; the bundled {BundledModel.Name} if it is left out",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var command = new Command("serve", "Serve a model over an OpenAI-style HTTP API") { model };
        var flags = new FlagSet<ServerOptions>(ServerOptionList.All.Defaults, ServerOptionList.All, Variable).AddTo(command);
        command.SetAction((parsed, cancellation) => RunAsync(ServeSettings.Resolve(parsed.GetValue(model), flags.Given(parsed)), cancellation));
        return command;
    }

    /// <summary>The environment variable of an option, for its help.</summary>
    internal static string Variable(string option) => $" [{ServeSettings.VariableOf(option)}]";

    /// <summary>Serves until a signal comes or the engine fails.</summary>
    /// <exception cref="EngineFaultedException">The engine failed; everybody has been told.</exception>
    internal static async Task<int> RunAsync(ServerOptions options, CancellationToken cancellation)
    {
        if (options.ModelDescription is { } description)
            Console.Error.WriteLine(description);
        await using var server = ServerHost.Create(options);
        using var signals = new SecondSignal(server.CutDrain);
        await server.StartAsync(cancellation);
        try
        {
            await WaitUntilReadyAsync(server, cancellation);
            await server.WaitForShutdownAsync(cancellation);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // A signal came while the model was loading; the server stops without an error.
            await server.WaitForShutdownAsync(cancellation);
        }
        return ExitCodes.Ok;
    }

    /// <summary>The first signal lets running requests finish (the host does that); the second one must not wait for them.</summary>
    private sealed class SecondSignal : IDisposable
    {
        private readonly PosixSignalRegistration[] _registrations;
        private int _count;

        public SecondSignal(Action act)
        {
            _registrations = [.. new[] { PosixSignal.SIGTERM, PosixSignal.SIGINT }.Select(signal => PosixSignalRegistration.Create(signal, context =>
            {
                context.Cancel = true;
                if (Interlocked.Increment(ref _count) == 2)
                    act();
            }))];
        }

        public void Dispose() => Array.ForEach(_registrations, r => r.Dispose());
    }

    /// <summary>On a terminal with a progress bar, elsewhere in silence: the log tells when the model is ready.</summary>
    private static async Task WaitUntilReadyAsync(ServerHost server, CancellationToken cancellation)
    {
        var ready = server.WaitUntilReadyAsync(cancellation);
        if (Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Interactive)
        {
            await ready;
            return;
        }
        await AnsiConsole.Progress().AutoClear(true).StartAsync(async context =>
        {
            var task = context.AddTask("Loading");
            while (!ready.IsCompleted)
            {
                LoadProgress progress = server.Progress;
                task.Description = Markup.Escape("Loading: " + progress.Phase);
                task.Value = 100 * progress.Fraction;
                await Task.WhenAny(ready, Task.Delay(100, cancellation));
            }
        });
        await ready;
    }
}
