using CsCheck;
using DeepSeekR1.Text.Tokenization;
using Xunit;

namespace DeepSeekR1.Tests.Text.Tokenization;

/// <summary>Stop strings in streamed text.</summary>
public sealed class StopStringFilterTests
{
    private static readonly Gen<string> Word = Gen.String[Gen.Char['a', 'c'], 0, 30];

    [Fact]
    public void Append_StopAcrossPieces_LeavesTheTextBefore()
    {
        var filter = new StopStringFilter(["\nUser:"], include: false);
        Assert.Equal(new StopStringResult("Hello", null), filter.Append("Hello\nU"));
        Assert.Equal(new StopStringResult("", null), filter.Append("se"));
        Assert.Equal(new StopStringResult("\nUse ", null), filter.Append(" \n"));
        Assert.Equal(new StopStringResult("", "\nUser:"), filter.Append("User: more"));
        Assert.True(filter.Append("after").IsStopped);
        Assert.Equal("", filter.Append("after").Text);
        Assert.Equal("", filter.Flush());
    }

    [Fact]
    public void Append_Include_LetsTextOutAtOnceAndEndsWithTheStop()
    {
        var filter = new StopStringFilter(["END"], include: true);
        Assert.Equal("xE", filter.Append("xE").Text);
        Assert.Equal(new StopStringResult("ND", "END"), filter.Append("NDEND"));
        Assert.Equal("", filter.Flush());
    }

    [Fact]
    public void Append_SeveralStops_FirstToEndWinsThenTheLongest()
    {
        Assert.Equal(new StopStringResult("xa", "b"), new StopStringFilter(["abc", "b"], false).Append("xabc"));
        Assert.Equal(new StopStringResult("x", "abc"), new StopStringFilter(["c", "abc", "bc"], false).Append("xabc"));
    }

    [Fact]
    public void Flush_WithoutStop_ReleasesWhatWasHeld()
    {
        var filter = new StopStringFilter(["###"], include: false);
        Assert.Equal("a", filter.Append("a##").Text);
        Assert.Equal("##", filter.Flush());
        Assert.Equal("", filter.Flush());
    }

    [Fact]
    public void Constructor_EmptyStop_IsRefusedAndNoStopsPassAll()
    {
        Assert.Throws<ArgumentException>(() => new StopStringFilter(["a", ""], false));
        Assert.Equal(new StopStringResult("any", null), new StopStringFilter([], false).Append("any"));
    }

    [Fact]
    public void Append_AnyCut_EqualsTheSearchInTheWholeText() =>
        Gen.Select(Word, Gen.String[Gen.Char['a', 'c'], 1, 4].Array[1, 3], Gen.Bool, Gen.Int[1, 7]).Sample((text, stops, include, step) =>
        {
            var filter = new StopStringFilter(stops, include);
            var output = "";
            var stopped = false;
            for (var i = 0; i < text.Length && !stopped; i += step)
            {
                var result = filter.Append(text[i..Math.Min(text.Length, i + step)]);
                (output, stopped) = (output + result.Text, result.IsStopped);
                Assert.True(include || !stopped || !stops.Any(output.Contains));
            }
            var (expected, isHit) = Search(text, stops, include);
            return stopped == isHit && output + filter.Flush() == expected;
        }, iter: 30_000);

    [Fact]
    public void Append_AnyText_HoldsBackNoMoreThanNeeded() =>
        Gen.Select(Word, Gen.String[Gen.Char['a', 'c'], 1, 4].Array[1, 3]).Sample((text, stops) =>
        {
            var filter = new StopStringFilter(stops, include: false);
            var result = filter.Append(text);
            if (result.IsStopped)
                return true;
            var held = text[result.Text.Length..];
            var longest = Enumerable.Range(0, text.Length + 1).Select(start => text[start..])
                .First(suffix => stops.Any(stop => stop.StartsWith(suffix, StringComparison.Ordinal)));
            return held == longest;
        }, iter: 10_000);

    /// <summary>The definition: the occurrence that ends first, of those the longest.</summary>
    private static (string Text, bool IsHit) Search(string text, string[] stops, bool include)
    {
        for (var end = 1; end <= text.Length; end++)
        {
            var hit = stops.Where(stop => text[..end].EndsWith(stop, StringComparison.Ordinal)).MaxBy(stop => stop.Length);
            if (hit is not null)
                return (text[..(include ? end : end - hit.Length)], true);
        }
        return (text, false);
    }
}
