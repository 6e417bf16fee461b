using System.Numerics;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Python's range, at most <see cref="Rendering.MaxRange"/> long.</summary>
internal sealed class RangeValue(BigInteger start, BigInteger stop, BigInteger step, int count)
{
    public BigInteger Start => start;

    public BigInteger Stop => stop;

    public BigInteger Step => step;

    public int Count => count;

    /// <summary>The number at an index in [0, Count).</summary>
    public object this[int index] => start + (step * index);

    /// <summary>Its numbers.</summary>
    public IEnumerable<object> Items => Enumerable.Range(0, count).Select(index => this[index]);

    /// <summary>Checks the length as the sandbox does.</summary>
    public static RangeValue Create(BigInteger start, BigInteger stop, BigInteger step)
    {
        if (step.IsZero)
            throw Errors.Value("range() arg 3 must not be zero");
        var span = step.Sign > 0 ? stop - start : start - stop;
        var count = span.Sign <= 0 ? BigInteger.Zero : (span - 1) / BigInteger.Abs(step) + 1;
        if (count > Rendering.MaxRange)
            throw Errors.Overflow($"Range too big. The sandbox blocks ranges larger than MAX_RANGE ({Rendering.MaxRange}).");
        return new RangeValue(start, stop, step, (int)count);
    }
}
