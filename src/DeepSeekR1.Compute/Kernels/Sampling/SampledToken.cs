namespace DeepSeekR1.Compute.Kernels.Sampling;

/// <summary>Why no token could be chosen.</summary>
public enum SampleFault
{
    /// <summary>One was chosen.</summary>
    None,

    /// <summary>The model's logits are not numbers.</summary>
    NotNumbers,

    /// <summary>The row's mask excludes every token.</summary>
    NothingLeft,
}

/// <summary>What the sampler chose for one row.</summary>
/// <param name="TokenId">The id; -1 when there is a fault.</param>
/// <param name="Logprob">Natural-log probability in the untouched distribution; NaN unless asked for.</param>
/// <param name="Rank">Number of tokens at least as probable; 0 unless asked for.</param>
/// <param name="TopIds">Best tokens of the untouched distribution, best first; null unless asked for.</param>
/// <param name="TopLogprobs">Their natural-log probabilities.</param>
/// <param name="Fault">Why there is no token.</param>
public readonly record struct SampledToken(
    int TokenId, float Logprob = float.NaN, int Rank = 0, int[]? TopIds = null, float[]? TopLogprobs = null, SampleFault Fault = SampleFault.None);
