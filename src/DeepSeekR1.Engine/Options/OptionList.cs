using System.Collections;

namespace DeepSeekR1.Engine.Options;

/// <summary>The options of a record, in the order of the help, and the rules between them.</summary>
/// <param name="defaults">A record where nothing is set, for the defaults.</param>
/// <param name="rules">Refuses options that contradict each other.</param>
/// <param name="options">The options.</param>
public sealed class OptionList<TOptions>(TOptions defaults, Action<TOptions> rules, params IReadOnlyList<Option<TOptions>> options) : IReadOnlyList<Option<TOptions>>
{
    /// <summary>A list without rules between its options.</summary>
    public OptionList(TOptions defaults, params IReadOnlyList<Option<TOptions>> options)
        : this(defaults, _ => { }, options)
    {
    }

    /// <summary>A record where nothing is set.</summary>
    public TOptions Defaults => defaults;

    /// <inheritdoc/>
    public int Count => options.Count;

    /// <inheritdoc/>
    public Option<TOptions> this[int index] => options[index];

    /// <summary>Validates a record, whichever way its values came.</summary>
    /// <exception cref="OptionException">A value is not in its range, or two values contradict each other.</exception>
    public void Check(TOptions record)
    {
        foreach (var option in options)
            option.Check(record);
        rules(record);
    }

    /// <summary>Refuses options that contradict each other, and leaves single values alone.</summary>
    /// <exception cref="OptionException">Two values contradict each other.</exception>
    public void CheckRules(TOptions record) => rules(record);

    /// <inheritdoc/>
    public IEnumerator<Option<TOptions>> GetEnumerator() => options.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
