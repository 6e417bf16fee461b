using DeepSeekR1.Engine.Scheduling;

namespace DeepSeekR1.Tests.Engine.Scheduling;

/// <summary>Drafts whose rightness is chosen: it knows what <see cref="FakeRunner"/> chooses next, guides left out.</summary>
/// <param name="length">Tokens that it proposes.</param>
/// <param name="isRight">Whether the i-th token of a proposal is to be the right one.</param>
internal sealed class GuessingSource(int length, Func<int, bool> isRight) : IDraftSource
{
    /// <summary>Tokens proposed so far.</summary>
    public long Proposed { get; private set; }

    public ReadOnlySpan<int> Propose(Sequence sequence)
    {
        var context = sequence.Tokens(0, sequence.Length).ToArray().ToList();
        int[] drafts = new int[length];
        for (int i = 0; i < length; i++)
        {
            int next = FakeRunner.Next(context, sequence.OutputLength + i, null);
            drafts[i] = isRight(i) ? next : (next + 1) % FakeRunner.Vocabulary;
            context.Add(drafts[i]);
        }

        Proposed += length;
        return drafts;
    }
}
