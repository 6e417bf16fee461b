using System.Collections;
using System.Globalization;

namespace DeepSeekR1.Engine.Options;

/// <summary>
/// One start option, declared once beside the record that it belongs to: name, type and range, default, help, and what it sets.
/// Flags, environment variables, the settings file, help and documentation derive from it.
/// </summary>
public abstract class Option<TOptions>
{
    private protected Option(string name, string help) => (Name, Help) = (name, help);

    /// <summary>Name without dashes in front, for example <c>max-model-len</c>.</summary>
    public string Name { get; }

    /// <summary>What it does, in one line.</summary>
    public string Help { get; }

    /// <summary>What holds when it is left out, where the value in the record does not say it.</summary>
    public string? DefaultInWords { get; init; }

    /// <summary>Whether it may be given several times.</summary>
    public bool Repeatable { get; init; }

    /// <summary>What stands behind the flag in the help; null for a switch.</summary>
    public abstract string? Placeholder { get; }

    /// <summary>What the help adds about the range, for example ", 1 to 256".</summary>
    public abstract string Span { get; }

    /// <summary>True when the flag stands alone.</summary>
    public bool IsSwitch => Placeholder is null;

    /// <summary>Puts a text into the record; the range is left to <see cref="OptionList{TOptions}.Check"/>.</summary>
    /// <exception cref="OptionException">The text is not of the type.</exception>
    public abstract TOptions Set(TOptions options, string text);

    /// <summary>Puts a text into the record and looks at the range.</summary>
    /// <exception cref="OptionException">The text is not of the type, or its value not in the range.</exception>
    public abstract TOptions Read(TOptions options, string text);

    /// <summary>Looks at the range of the record's value; null is none.</summary>
    /// <exception cref="OptionException">It is not in the range.</exception>
    public abstract void Check(TOptions options);

    /// <summary>What holds when the option is left out; empty when there is nothing to say.</summary>
    public abstract string DefaultOf(TOptions options);

    /// <summary>Help, range and default in one line.</summary>
    public string Describe(TOptions defaults)
        => Help + Span + (DefaultOf(defaults) is { Length: > 0 } value ? $" (default{(DefaultInWords is null ? " " : ": ")}{value})" : "");

    /// <summary>The option as one of a record that holds this record.</summary>
    public Option<TOuter> In<TOuter>(Func<TOuter, TOptions> get, Func<TOuter, TOptions, TOuter> set)
        => new Held<TOuter>(this, get, set) { DefaultInWords = DefaultInWords, Repeatable = Repeatable };

    /// <summary>The marked name, for messages.</summary>
    public override string ToString() => OptionText.Mark(Name);

    private sealed class Held<TOuter>(Option<TOptions> inner, Func<TOuter, TOptions> get, Func<TOuter, TOptions, TOuter> set) : Option<TOuter>(inner.Name, inner.Help)
    {
        public override string? Placeholder => inner.Placeholder;

        public override string Span => inner.Span;

        public override TOuter Set(TOuter options, string text) => set(options, inner.Set(get(options), text));

        public override TOuter Read(TOuter options, string text) => set(options, inner.Read(get(options), text));

        public override void Check(TOuter options) => inner.Check(get(options));

        public override string DefaultOf(TOuter options) => inner.DefaultOf(get(options));
    }
}

/// <summary>An option with values of one type.</summary>
/// <param name="name">Name without dashes in front.</param>
/// <param name="type">Type and range.</param>
/// <param name="help">What it does, in one line.</param>
/// <param name="get">The record's value; null when it is not set.</param>
/// <param name="set">The record with another value.</param>
public sealed class Option<TOptions, T>(string name, OptionType<T> type, string help, Func<TOptions, object?> get, Func<TOptions, T, TOptions> set)
    : Option<TOptions>(name, help)
{
    /// <inheritdoc/>
    public override string? Placeholder => type.Placeholder;

    /// <inheritdoc/>
    public override string Span => type.Span;

    /// <inheritdoc/>
    public override TOptions Set(TOptions options, string text) => set(options, Parse(text));

    /// <inheritdoc/>
    public override TOptions Read(TOptions options, string text)
        => Parse(text) is var value && type.Allows(value) ? set(options, value) : throw NotWanted(text);

    /// <inheritdoc/>
    public override void Check(TOptions options)
    {
        if (get(options) is T value && !type.Allows(value))
            throw new OptionException(Name, Show(value), $"{this} is {(value is string ? $"'{value}'" : Show(value))}; it must be {type.Limits}.");
    }

    /// <inheritdoc/>
    public override string DefaultOf(TOptions options) => DefaultInWords ?? Show(get(options));

    private T Parse(string text)
        => type.Parse(text, out T value, out string? refusal) ? value
            : throw (refusal is null ? NotWanted(text) : new OptionException(Name, text, refusal.Replace("{0}", ToString(), StringComparison.Ordinal)));

    private OptionException NotWanted(string text) => new(Name, text, $"{this} must be {type.Wanted}, not '{text}'.");

    private static string Show(object? value) => value switch
    {
        null or false => "",
        string text => text,
        IEnumerable list => string.Join(',', list.Cast<object>()),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => "",
    };
}
