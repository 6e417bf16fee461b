using System.Runtime.CompilerServices;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>
/// One rendering as values and built-ins see it: the names they may look up, the time, and what it may still use up. One thread. The
/// limits turn a hostile template into an error; an honest one uses less than a thousandth of them.
/// </summary>
internal sealed class Rendering(BuiltIns builtIns, TimeProvider clock)
{
    /// <summary>Longest string and longest output, in UTF-16 units.</summary>
    public const int MaxTextChars = 1 << 25;

    /// <summary>Most items of one range, as in jinja2's sandbox.</summary>
    public const int MaxRange = 100_000;

    /// <summary>Most bits of an integer.</summary>
    public const int MaxIntegerBits = 1 << 16;

    // Work units of one rendering: about one per character copied, 16 per statement or expression.
    private const long MaxWork = 1L << 29;

    private long _work = MaxWork;

    /// <summary>Filters, tests, globals and methods.</summary>
    public BuiltIns BuiltIns => builtIns;

    /// <summary>Source of strftime_now.</summary>
    public TimeProvider Clock => clock;

    /// <summary>Uses up work; an error when none is left.</summary>
    public void Charge(long units)
    {
        if ((_work -= units) < 0)
            throw new TemplateException("RuntimeError", $"The template needs more than {MaxWork} steps; it may loop without end.");
    }

    /// <summary>Uses up the work of adding characters to a string and checks its length.</summary>
    public void ChargeText(long length, long added)
    {
        if (length + added > MaxTextChars)
            throw new TemplateException("MemoryError", $"A string of the template would be longer than {MaxTextChars} characters.");
        Charge(added);
    }

    /// <summary>Uses up the work of adding items to a list or dict.</summary>
    public void ChargeItems(long count) => Charge(count * 64);

    /// <summary>Called by everything that recurses over data or syntax: an error before the stack ends.</summary>
    public static void EnsureStack()
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw TooDeep();
    }

    /// <summary>The error of a recursion without end.</summary>
    public static TemplateException TooDeep() => new("RecursionError", "maximum recursion depth exceeded");
}
