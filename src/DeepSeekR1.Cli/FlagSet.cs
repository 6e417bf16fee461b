using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Options;
using DeepSeekR1.Server;
using Parser = System.CommandLine;

namespace DeepSeekR1.Cli;

/// <summary>Declared options as flags of a verb: a verb names the options that it takes, and reads a record from them.</summary>
/// <param name="defaults">A record where nothing is set, for the defaults in the help.</param>
/// <param name="options">The options that the verb takes.</param>
/// <param name="note">What the help adds to an option; null for nothing.</param>
internal sealed class FlagSet<TOptions>(TOptions defaults, IReadOnlyList<Option<TOptions>> options, Func<string, string>? note = null)
{
    private readonly List<(Option<TOptions> Option, Parser.Option Flag)> _flags = [.. options.Select(o => (o, ToFlag(o, o.Describe(defaults) + note?.Invoke(o.Name))))];

    /// <summary>All options of a list.</summary>
    public FlagSet(OptionList<TOptions> list)
        : this(list.Defaults, list)
    {
    }

    /// <summary>Gives a verb these flags.</summary>
    public FlagSet<TOptions> AddTo(Parser.Command command)
    {
        foreach (var (_, flag) in _flags)
            command.Options.Add(flag);
        return this;
    }

    /// <summary>The texts that stand on the command line, by option name.</summary>
    public Dictionary<string, string> Given(Parser.ParseResult parsed)
        => _flags.Where(f => IsGiven(parsed, f.Flag)).ToDictionary(f => f.Option.Name, f => Texts(parsed, f.Flag)[^1]);

    /// <summary>The record with what stands on the command line, every value in its range.</summary>
    /// <exception cref="OptionException">A value is not of the type or not in the range.</exception>
    public TOptions Read(Parser.ParseResult parsed, TOptions record) => Apply(parsed, record, (option, o, text) => option.Read(o, text));

    /// <summary>The same for a record that is validated where it is used.</summary>
    /// <exception cref="OptionException">A value is not of the type.</exception>
    public TOptions Set(Parser.ParseResult parsed, TOptions record) => Apply(parsed, record, (option, o, text) => option.Set(o, text));

    private TOptions Apply(Parser.ParseResult parsed, TOptions record, Func<Option<TOptions>, TOptions, string, TOptions> apply)
        => _flags.Where(f => IsGiven(parsed, f.Flag)).Aggregate(record, (o, f) => Texts(parsed, f.Flag).Aggregate(o, (p, text) => apply(f.Option, p, text)));

    private static bool IsGiven(Parser.ParseResult parsed, Parser.Option flag) => parsed.GetResult(flag) is { Implicit: false };

    private static string[] Texts(Parser.ParseResult parsed, Parser.Option flag)
    {
        var result = parsed.GetResult(flag)!;
        return flag switch
        {
            Parser.Option<bool> => [result.GetValueOrDefault<bool>() ? "true" : "false"],
            Parser.Option<string[]> => result.GetValueOrDefault<string[]>() ?? [],
            _ => [result.GetValueOrDefault<string>() ?? ""],
        };
    }

    private static Parser.Option ToFlag(Option<TOptions> option, string help) => option switch
    {
        { IsSwitch: true } => new Parser.Option<bool>(Flags.Of(option.Name)) { Description = help },
        { Repeatable: true } => new Parser.Option<string[]>(Flags.Of(option.Name)) { Description = help, HelpName = option.Placeholder },
        _ => new Parser.Option<string>(Flags.Of(option.Name)) { Description = help, HelpName = option.Placeholder, AllowMultipleArgumentsPerToken = false },
    };
}

/// <summary>The engine's options as flags of the verbs that load a model themselves.</summary>
internal static class EngineFlags
{
    /// <summary>Some of the engine's options.</summary>
    public static FlagSet<EngineOptions> Of(params Option<EngineOptions>[] options) => new(EngineOptionList.All.Defaults, options);
}
