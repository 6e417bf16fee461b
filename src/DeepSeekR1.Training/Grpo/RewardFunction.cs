using DeepSeekR1.Evaluation;

namespace DeepSeekR1.Training.Grpo;

/// <summary>One sampled answer to a prompt.</summary>
/// <param name="Text">What the model wrote, special tokens left out except the think tags. A think tag that the prompt ends with is not part of it.</param>
/// <param name="TokenIds">The same as ids, the end token included when the model wrote one.</param>
/// <param name="IsTruncated">True when the length limit ended it, not the model.</param>
public sealed record Completion(string Text, IReadOnlyList<int> TokenIds, bool IsTruncated);

/// <summary>All completions of one prompt, with the row that the prompt came from.</summary>
/// <param name="Row">The data row: rewards read the gold answer and whatever else they need from its columns.</param>
/// <param name="Completions">The group, in order.</param>
/// <param name="ThinkPrefilled">True when the prompt ends with an opening think tag, as R1's template does.</param>
public sealed record RewardGroup(TaskRow Row, IReadOnlyList<Completion> Completions, bool ThinkPrefilled = false);

/// <summary>
/// Scores every completion of a group, in order; null where the function cannot judge (no gold, say): then it has no say in that
/// completion. Must not keep state between calls; may be called from any thread, one group at a time.
/// </summary>
public delegate IReadOnlyList<double?> RewardFunction(RewardGroup group);
