using System.CommandLine;
using DeepSeekR1.Cli;
using DeepSeekR1.Compute;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Options;
using DeepSeekR1.Server;
using DeepSeekR1.Training;

return await CommandLine.RunAsync(args);

namespace DeepSeekR1.Cli
{
    /// <summary>How the process ends.</summary>
    internal static class ExitCodes
    {
        /// <summary>All went well.</summary>
        public const int Ok = 0;

        /// <summary>The command line, the settings, the model or this machine do not allow a start.</summary>
        public const int Usage = 2;

        /// <summary>The engine failed, or we did.</summary>
        public const int Fault = 70;
    }

    /// <summary>The executable: verbs, help, and the one place where errors become exit codes.</summary>
    internal static class CommandLine
    {
        /// <summary>Runs a command line.</summary>
        public static async Task<int> RunAsync(string[] args)
        {
            var root = new RootCommand("deepseek-r1: a native inference server for DeepSeek-R1-family models") { ServeCommand.Create(), ChatCommand.Create(),
                PlanCommand.Create(), QuantizeCommand.Create(), BenchCommand.Create(), EvalCommand.Create(), TrainCommand.Create() };
            if ((UnknownCommand(root, args) ?? UnknownOption(root, args)) is { } unknown)
                return Fail(ExitCodes.Usage, unknown);
            var parsed = root.Parse(args.Length == 0 ? ["--help"] : args);
            if (parsed.Errors.Count > 0)
                return Fail(ExitCodes.Usage, parsed.Errors[0].Message);
            return await GuardAsync(() => parsed.InvokeAsync(new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null,
            }));
        }

        /// <summary>Runs a verb; what it throws becomes one line and the exit code.</summary>
        internal static async Task<int> GuardAsync(Func<Task<int>> verb)
        {
            try
            {
                return await verb();
            }
            catch (Exception e) when (e is UsageException or OptionException or StartupException or ModelLoadException)
            {
                return Fail(ExitCodes.Usage, e.Message);
            }
            catch (TrainingException e)
            {
                return Fail(ExitCodes.Fault, e.Message);
            }
            catch (EngineFaultedException e)
            {
                return Fail(ExitCodes.Fault, "the engine failed: " + e.Message);
            }
            catch (Exception e)
            {
                return Fail(ExitCodes.Fault, $"internal error: {e.GetType().Name}: {e.Message}");
            }
        }

        /// <summary>A message for a first word that is no command.</summary>
        private static string? UnknownCommand(RootCommand root, string[] args)
        {
            string[] known = [.. root.Subcommands.Select(c => c.Name)];
            if (args.Length == 0 || args[0][..Math.Min(1, args[0].Length)] is "-" or "[" || known.Contains(args[0]))
                return null;
            string? near = known.FirstOrDefault(k => EditDistance.Between(k, args[0]) <= 2);
            return $"Unknown command '{args[0]}'." + (near is null ? $" Commands: {string.Join(", ", known)}. See --help." : $" Did you mean '{near}'?");
        }

        /// <summary>
        /// A message for the first option that no command knows: the parser would take it for an argument and complain about
        /// something else.
        /// </summary>
        private static string? UnknownOption(RootCommand root, string[] args)
        {
            Command command = root;
            foreach (string arg in args)
                command = command.Subcommands.FirstOrDefault(c => c.Name == arg) ?? command;
            string[] known = [.. command.Options.SelectMany(o => o.Aliases.Append(o.Name)), "--help", "-h", "--version"];
            foreach (string arg in args.TakeWhile(a => a != "--"))
            {
                string name = arg.Split('=')[0];
                bool isOption = name.StartsWith("--", StringComparison.Ordinal) || (name is ['-', var letter] && char.IsAsciiLetter(letter));
                if (!isOption || known.Contains(name))
                    continue;
                string? near = name.Length < 4 ? null : known.FirstOrDefault(k => EditDistance.Between(k, name) <= 2);
                return $"Unknown option '{name}'." + (near is null ? " See --help." : $" Did you mean '{near}'?");
            }
            return null;
        }

        private static int Fail(int code, string message)
        {
            Console.Error.WriteLine("deepseek-r1: " + Flags.Spell(message).ReplaceLineEndings(" "));
            return code;
        }
    }
}
