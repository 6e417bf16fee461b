using DeepSeekR1.Training.Arithmetic;

namespace DeepSeekR1.Training;

/// <summary>Samples by number, for ever: number i is always the same, so a place in the data is one number.</summary>
public interface ISampleSource
{
    /// <summary>Sample number i; null when it is left out (too long).</summary>
    TrainingSample? Get(long index);
}

/// <summary>The built-in generator as a source.</summary>
/// <param name="generator">Draws dialogues.</param>
/// <param name="encoder">Makes ids of them.</param>
/// <param name="maxLength">Longest sample in tokens.</param>
public sealed class ArithmeticSource(ArithmeticGenerator generator, SampleEncoder encoder, int maxLength) : ISampleSource
{
    /// <inheritdoc/>
    public TrainingSample? Get(long index) => encoder.Encode(generator.Draw(index)) is { } sample && sample.Ids.Length <= maxLength ? sample : null;
}

/// <summary>Cuts a source into steps of about so many tokens, and these into micro-batches. Knows the next sample's number and nothing else.</summary>
public sealed class SampleStream(ISampleSource source, int tokensPerStep, int microBatchTokens, long nextSample = 0)
{
    /// <summary>Number of the sample that comes next.</summary>
    public long NextSample { get; private set; } = nextSample;

    /// <summary>Samples that were left out so far.</summary>
    public long LeftOut { get; private set; }

    /// <summary>The micro-batches of the next step.</summary>
    public IReadOnlyList<MicroBatch> NextStep()
    {
        var batches = new List<MicroBatch>();
        var current = new List<TrainingSample>();
        int tokens = 0, all = 0, tries = 0;
        while (all < tokensPerStep)
        {
            if (source.Get(NextSample++) is not { TargetCount: > 0 } sample)
            {
                LeftOut++;
                if (++tries > 100_000)
                    throw new TrainingException("100,000 samples in a row were longer than max_length or had nothing to learn. Raise max_length or look at the data.");
                continue;
            }

            tries = 0;
            if (current.Count > 0 && tokens + sample.Ids.Length > microBatchTokens)
            {
                batches.Add(new MicroBatch(current));
                (current, tokens) = ([], 0);
            }

            current.Add(sample);
            tokens += sample.Ids.Length;
            all += sample.Ids.Length;
        }

        batches.Add(new MicroBatch(current));
        return batches;
    }
}
