using DeepSeekR1.Compute.Kernels.Sampling;

namespace DeepSeekR1.Engine;

/// <summary>
/// What somebody asks of sampling: a null value takes the checkpoint's default, then the neutral value. <see cref="Resolve"/> makes the
/// settings of one stream from it. A new setting is a property here and in <see cref="SamplingParams"/>, and a line of <see cref="Resolve"/>.
/// </summary>
public record SamplingOverrides
{
    /// <summary>Divides the logits; 0 is greedy.</summary>
    public float? Temperature { get; init; }

    /// <summary>Keep the smallest set of tokens that reaches this probability.</summary>
    public float? TopP { get; init; }

    /// <summary>Keep the k best tokens; 0 or -1 keeps all.</summary>
    public int? TopK { get; init; }

    /// <summary>Drop tokens below this fraction of the best probability.</summary>
    public float? MinP { get; init; }

    /// <summary>Keep tokens whose logit is at most this many standard deviations below the best; 0 or less keeps all.</summary>
    public float? TopNSigma { get; init; }

    /// <summary>Taken from the logits of every token that was generated before.</summary>
    public float? PresencePenalty { get; init; }

    /// <summary>The same, once for every time.</summary>
    public float? FrequencyPenalty { get; init; }

    /// <summary>Divides the logits of every token of prompt and output.</summary>
    public float? RepetitionPenalty { get; init; }

    /// <summary>Added to the logits of single tokens.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    /// <summary>The only ids that may be generated; null allows all.</summary>
    public IReadOnlyList<int>? AllowedTokenIds { get; init; }

    /// <summary>While fewer tokens are generated, neither a stop token nor a stop string ends the text; cut to the token limit.</summary>
    public int MinTokens { get; init; }

    /// <summary>Token ids that end the text besides EOS.</summary>
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];

    /// <summary>EOS does not end the text.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>Number of alternatives per token; null asks for no log-probabilities, 0 for the chosen token's alone.</summary>
    public int? TopLogprobs { get; init; }

    /// <summary>The same for the tokens of the prompt; null asks for none.</summary>
    public int? PromptLogprobs { get; init; }

    /// <summary>The settings of a stream.</summary>
    /// <param name="facts">Defaults and end ids of the checkpoint.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <param name="maxTokens">Most tokens to generate.</param>
    public SamplingParams Resolve(EngineFacts facts, ulong seed, int maxTokens) => new()
    {
        Temperature = Temperature ?? facts.Defaults.Temperature ?? 1f,
        TopP = TopP ?? facts.Defaults.TopP ?? 1f,
        TopK = Math.Max(0, TopK ?? facts.Defaults.TopK ?? 0),
        MinP = MinP ?? facts.Defaults.MinP ?? 0f,
        TopNSigma = TopNSigma ?? 0f,
        PresencePenalty = PresencePenalty ?? 0f,
        FrequencyPenalty = FrequencyPenalty ?? 0f,
        RepetitionPenalty = RepetitionPenalty ?? facts.Defaults.RepetitionPenalty ?? 1f,
        LogitBias = LogitBias,
        StopTokenIds = IgnoreEos ? StopTokenIds : [.. facts.EosTokenIds, .. StopTokenIds],
        TopLogprobs = TopLogprobs,
        PromptLogprobs = PromptLogprobs,
        Seed = seed,
        MaxTokens = maxTokens,
    };
}

/// <summary>How tokens are chosen. Immutable; every value has been validated by whoever made it.</summary>
public sealed record SamplingParams
{
    /// <summary>Divides the logits; below 1e-5 the best token is taken (greedy).</summary>
    public float Temperature { get; init; } = 1f;

    /// <summary>Keep the k best tokens; 0 or -1 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Keep the smallest set of tokens whose probabilities reach this sum; 1 keeps all.</summary>
    public float TopP { get; init; } = 1f;

    /// <summary>Drop tokens below this fraction of the best probability; 0 keeps all.</summary>
    public float MinP { get; init; }

    /// <summary>Keep tokens whose logit is at most this many standard deviations of the row below the best; 0 or less keeps all.</summary>
    public float TopNSigma { get; init; }

    /// <summary>Seed of the draw. The same seed, sample index and position always draw the same token.</summary>
    public ulong Seed { get; init; }

    /// <summary>Index of this sample among the <c>n</c> of one request; part of the random key.</summary>
    public int SampleIndex { get; init; }

    /// <summary>Largest number of tokens to generate, at least 1.</summary>
    public required int MaxTokens { get; init; }

    /// <summary>Generation ends with any of these ids (EOS included unless it is ignored).</summary>
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];

    /// <summary>Number of best log-probabilities to return per token; null returns none, 0 only the chosen token's.</summary>
    public int? TopLogprobs { get; init; }

    /// <summary>The same for the tokens of the prompt, given what is before each; null returns none.</summary>
    public int? PromptLogprobs { get; init; }

    /// <summary>Divides (or multiplies, below 0) the logits of every token that has occurred, prompt included; 1 does nothing.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Taken from the logits of every token that was generated before; 0 does nothing.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>The same, once for every time that it was generated.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Added to the logits of single tokens.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    /// <summary>The numbers that the sampler reads.</summary>
    internal SamplingSettings ToSettings() => new()
    {
        Temperature = Temperature,
        TopK = TopK,
        TopP = TopP,
        MinP = MinP,
        TopNSigma = TopNSigma,
        Seed = Seed,
        SampleIndex = SampleIndex,
        TopLogprobs = TopLogprobs,
        RepetitionPenalty = RepetitionPenalty,
        PresencePenalty = PresencePenalty,
        FrequencyPenalty = FrequencyPenalty,
        BiasIds = [.. LogitBias?.Keys ?? []],
        Biases = [.. LogitBias?.Values ?? []],
    };
}
