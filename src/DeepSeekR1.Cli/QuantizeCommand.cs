using System.CommandLine;
using DeepSeekR1.Compute;
using DeepSeekR1.Models.Checkpoints;
using Spectre.Console;

namespace DeepSeekR1.Cli;

/// <summary>The verb <c>quantize</c>: a checkpoint folder to a smaller one.</summary>
internal static class QuantizeCommand
{
    /// <summary>The verb with its options.</summary>
    public static Command Create()
    {
        var input = new Argument<string>("IN") { Description = "Checkpoint folder of safetensors files" };
        var output = new Argument<string>("OUT") { Description = "Folder to write; must not exist. A run that was cut goes on when it is started again" };
        var format = new Option<string?>("--format") { Description = "fp8 (R1's 128 x 128 blocks), int8 (a scale per row), int4 (scale and zero point per group) or nf4 (bitsandbytes)", HelpName = "F" };
        var group = new Option<int>("--group") { Description = "int4: numbers that share a scale, 32 or 128", HelpName = "N", DefaultValueFactory = _ => 128 };
        var twice = new Option<bool>("--double-quant") { Description = "nf4: quantize the scales too" };
        var threshold = new Option<float>("--outlier-threshold") { Description = "int8: inputs from this magnitude on are not rounded under --activation-scheme dynamic; 0 = all are", HelpName = "X" };
        var command = new Command("quantize", "Write a checkpoint with its large matrices in fewer bits") { input, output, format, group, twice, threshold };
        command.SetAction((parsed, cancellation) =>
        {
            if (parsed.GetValue(format) is not ("fp8" or "int8" or "int4" or "nf4"))
                throw new UsageException($"--format must be one of fp8, int8, int4, nf4, not '{parsed.GetValue(format)}'.");
            if (parsed.GetValue(threshold) is < 0 or float.NaN or float.PositiveInfinity)
                throw new UsageException($"--outlier-threshold must be a number of at least 0, not '{parsed.GetValue(threshold)}'.");
            var options = new QuantizeOptions(parsed.GetValue(format)!, parsed.GetValue(group), parsed.GetValue(twice), parsed.GetValue(threshold));
            return RunAsync(parsed.GetValue(input)!, parsed.GetValue(output)!, options, cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(string input, string output, QuantizeOptions options, CancellationToken cancellation)
    {
        var (share, shard) = (0.0, "");
        var work = Task.Run(() => CheckpointQuantizer.Run(input, output, options, (s, f) => (share, shard) = (s, f), cancellation), CancellationToken.None);
        try
        {
            if (Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Interactive)
                await work;
            else
                await AnsiConsole.Progress().StartAsync(async context =>
                {
                    var bar = context.AddTask("Quantizing");
                    while (!work.IsCompleted)
                    {
                        bar.Description = Markup.Escape(shard);
                        bar.Value = 100 * share;
                        await Task.WhenAny(work, Task.Delay(100, CancellationToken.None));
                    }

                    bar.Value = 100;
                });
            await work;
        }
        catch (ModelLoadException e)
        {
            throw new UsageException(e.Message);
        }
        catch (IOException e)
        {
            throw new UsageException($"'{output}' could not be written: {e.Message} What is finished stays in '{output}.partial'; start again to go on.");
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine($"Stopped. What is finished stays in '{output}.partial'; start again to go on.");
            return ExitCodes.Fault;
        }

        long before = Size(input), after = Size(output);
        Console.WriteLine($"{output}: {after:N0} bytes of weights, {(double)after / before:0.00} of the input's {before:N0}.");
        return ExitCodes.Ok;
    }

    private static long Size(string folder) => Directory.GetFiles(folder, "*.safetensors").Sum(f => new FileInfo(f).Length);
}
