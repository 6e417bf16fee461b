using CsCheck;
using DeepSeekR1.Engine;
using DeepSeekR1.Text.Guides;
using Xunit;

namespace DeepSeekR1.Tests.Text.Guides;

/// <summary>Every guide by itself and chained: what it masks and forces, and that taking tokens back leaves what never seeing them leaves.</summary>
public class GuideTests
{
    private const int Vocabulary = 70, Open = 1, Close = 2, Tool = 3, Blank = 4;

    private static readonly int[] WrapUp = [7, 8, Close];

    /// <summary>How to make each guide anew.</summary>
    public static TheoryData<string> Names => [.. Makers.Keys];

    private static Dictionary<string, Func<ITokenGuide>> Makers { get; } = new()
    {
        ["thought ahead"] = () => new ThoughtGuide(Limit(3)),
        ["thought inside"] = () => new ThoughtGuide(Limit(4) with { StartsInside = true }),
        ["thought behind"] = () => new ThoughtGuide(Limit(0) with { StartsBehind = true }),
        ["thought without limit"] = () => new ThoughtGuide(Limit(int.MaxValue)),
        ["min tokens"] = () => new MinTokensGuide(5, [2, 69]),
        ["min tokens without stops"] = () => new MinTokensGuide(5, []),
        ["allowed"] = () => new AllowedTokensGuide([-3, 0, 5, 31, 32, 69, 400]),
        ["allowed none"] = () => new AllowedTokensGuide([]),
        ["bad words"] = () => new BadWordsGuide([[5], [1, 2], [4, 4, 6], [], [2, 1, 2, 1]]),
        ["chain"] = () => GuideChain.Of(
            new ThoughtGuide(Limit(2)), null, new MinTokensGuide(3, [2]), new BadWordsGuide([[1, 2], [4]]), new AllowedTokensGuide([0, 1, 2, 4, 5]))!,
    };

    [Theory]
    [MemberData(nameof(Names))]
    public void Rollback_AfterAnyTokens_LeavesWhatAFreshGuideHas(string name)
    {
        // Few ids, so that tags, blanks and words come often.
        var tokens = Gen.Int[0, 8].Array[0, 24];
        Gen.Select(tokens, tokens, Gen.Int[0, 24]).Sample(
            (first, second, back) =>
            {
                ITokenGuide guide = Makers[name](), fresh = Makers[name]();
                foreach (int token in first)
                    guide.Accept(token);
                back = Math.Min(back, first.Length);
                guide.Rollback(back);
                foreach (int token in first.SkipLast(back))
                    fresh.Accept(token);
                AssertEqual(fresh, guide);
                foreach (int token in second)
                {
                    guide.Accept(token);
                    fresh.Accept(token);
                    AssertEqual(fresh, guide);
                }
            },
            iter: 3000,
            threads: 1);
    }

    [Theory]
    [InlineData(false, new[] { Open, 5, 6, 5 }, 4)] // the tag is not counted, three tokens are
    [InlineData(false, new[] { Open, Open, 5, 6, 5 }, 5)] // nor is a second one at once
    [InlineData(false, new[] { Blank, Open, 5, Open, 5 }, 5)] // later it is a token as others are
    [InlineData(true, new[] { 5, 6, 5, 5 }, 3)]
    [InlineData(true, new[] { Open, 5, 6, 5 }, 4)]
    [InlineData(true, new[] { 5, Close, 5, 5, 5 }, -1)]
    [InlineData(true, new[] { 5, Tool, 5, 5, 5 }, -1)]
    [InlineData(false, new[] { 5, Open, 5, 5, 5 }, -1)] // the answer has begun
    public void Thought_WhenItsBudgetIsSpent_ForcesTheWrapUpOnce(bool inside, int[] tokens, int forcedAfter)
    {
        var guide = new ThoughtGuide(Limit(3) with { StartsInside = inside });
        for (int i = 0; i < tokens.Length; i++)
        {
            Assert.Equal(i == forcedAfter ? WrapUp : [], guide.Forced.ToArray());
            foreach (int token in guide.Forced.ToArray())
                guide.Accept(token);
            Assert.True(guide.Forced.IsEmpty);
            guide.Accept(tokens[i]);
        }
    }

    [Fact]
    public void Thought_EndedOnDemand_IsWrappedUpAfterTheNextToken()
    {
        var guide = new ThoughtGuide(Limit(100));
        Assert.True(guide.End());
        guide.Accept(Blank);
        Assert.True(guide.Forced.IsEmpty);
        guide.Accept(Open);
        Assert.Equal(WrapUp, guide.Forced.ToArray());
        Assert.False(guide.End());

        Assert.False(new ThoughtGuide(Limit(100) with { StartsBehind = true }).End());
        var over = new ThoughtGuide(Limit(100) with { StartsInside = true });
        over.Accept(Close);
        Assert.False(over.End());
        over.Rollback(1);
        Assert.True(over.End());
    }

    [Fact]
    public void Masks_OfAChain_LeaveWhatAllAllow()
    {
        var guide = GuideChain.Of(new AllowedTokensGuide([1, 2, 40, 69]), new MinTokensGuide(1, [2]), new BadWordsGuide([[1], [69, 40]]))!;
        Assert.Equal([40, 69], Allowed(guide));
        guide.Accept(69);
        Assert.Equal([2, 69], Allowed(guide));
        Assert.Null(GuideChain.Of(null, null));
        var single = new MinTokensGuide(1, []);
        Assert.Same(single, GuideChain.Of(null, single));
        Assert.Same(single, GuideChain.Find<MinTokensGuide>(GuideChain.Of(new BadWordsGuide([]), single)!));
        Assert.Null(GuideChain.Find<ThoughtGuide>(single));
    }

    private static ThoughtLimit Limit(int budget) => new(budget, WrapUp, Open, [Close, Tool], StartsInside: false, token => token == Blank);

    private static void AssertEqual(ITokenGuide expected, ITokenGuide actual)
    {
        Assert.Equal(expected.Forced.ToArray(), actual.Forced.ToArray());
        Assert.Equal(Allowed(expected), Allowed(actual));
    }

    /// <summary>Ids that may come next; all when the guide says that it has cleared none, which is checked.</summary>
    private static List<int> Allowed(ITokenGuide guide)
    {
        uint[] bits = [.. Enumerable.Repeat(uint.MaxValue, TokenMask.Words(Vocabulary))];
        bool isNarrowed = guide.Mask(bits);
        Assert.True(isNarrowed || bits.All(word => word == uint.MaxValue));
        return [.. Enumerable.Range(0, Vocabulary).Where(id => TokenMask.Allows(bits, id))];
    }
}
