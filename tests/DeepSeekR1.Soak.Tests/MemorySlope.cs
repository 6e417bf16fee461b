using System.Globalization;

namespace DeepSeekR1.Soak.Tests;

/// <summary>
/// Repeats something and tells how many bytes each repetition keeps: the lowest reading of the last quarter less that of the quarter before, by the steps between.
/// The first half is for caches that fill. The lowest, because somebody may borrow memory for a moment; what is kept stays in every reading.
/// </summary>
/// <param name="Malloc">Bytes a step by malloc's own count.</param>
/// <param name="Resident">Bytes a step of resident anonymous memory, in pages and with the collector's heap: to look at, too coarse to judge by.</param>
internal readonly record struct MemorySlope(double Malloc, double Resident)
{
    /// <summary>A step must keep less than this many bytes.</summary>
    public const double Limit = 1;

    private const int Readings = 40;

    /// <summary>
    /// Measures until a measurement is flat, at most six times: what .NET itself takes and gives back now and then (about a kilobyte every few seconds, whatever the
    /// process does) is no step's and would hide or feign a leak, while what a step keeps is in every measurement. What the process keeps while it idles for as long is
    /// taken off.
    /// </summary>
    /// <param name="steps">Steps of one measurement.</param>
    /// <param name="run">Takes about as many steps as it is asked for and returns how many; nothing of it is running when it returns.</param>
    public static MemorySlope Measure(int steps, Func<int, int> run)
    {
        long began = Environment.TickCount64;
        var slope = Once(steps, run);
        double took = Environment.TickCount64 - began;
        for (int again = 1; again < 6 && Math.Abs(slope.Malloc) >= Limit; again++)
        {
            var idle = Once(steps, asked => Idle(asked, took / steps));
            slope = Once(steps, run);
            slope = slope with { Malloc = slope.Malloc - Math.Max(0, idle.Malloc) };
        }

        return slope;
    }

    private static int Idle(int steps, double milliseconds)
    {
        Thread.Sleep((int)(steps * milliseconds));
        return steps;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Malloc:0.00} bytes a step by malloc's count, {Resident:0} resident");

    private static MemorySlope Once(int steps, Func<int, int> run)
    {
        var (third, fourth) = (new Lowest(), new Lowest());
        for (int done = 0; done < steps;)
        {
            done += run(Math.Max(1, steps / Readings));
            GC.Collect();
            GC.WaitForPendingFinalizers();
            if (2L * done > steps)
                (4L * done <= 3L * steps ? third : fourth).Take(NativeMemory.MallocBytes, NativeMemory.ResidentBytes);
        }

        double quarter = steps / 4.0;
        return new MemorySlope((fourth.Malloc - third.Malloc) / quarter, (fourth.Resident - third.Resident) / quarter);
    }

    private sealed class Lowest
    {
        public double Malloc { get; private set; } = double.PositiveInfinity;

        public double Resident { get; private set; } = double.PositiveInfinity;

        public void Take(long malloc, long resident) => (Malloc, Resident) = (Math.Min(Malloc, malloc), Math.Min(Resident, resident));
    }
}
