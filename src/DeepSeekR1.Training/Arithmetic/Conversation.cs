namespace DeepSeekR1.Training.Arithmetic;

/// <summary>A message of the dialogue before the answer.</summary>
/// <param name="Role">system, user or assistant.</param>
/// <param name="Content">Its text; an assistant's without its thought, as clients send it back.</param>
public sealed record Turn(string Role, string Content);

/// <summary>One training or evaluation example: a dialogue and the thought and answer that should follow.</summary>
/// <param name="Id">Name, from seed and index.</param>
/// <param name="Category">add3, linear, greeting, refusal, ...</param>
/// <param name="Turns">The dialogue; the last turn is the user's.</param>
/// <param name="Thought">What stands between the think tags; empty for small talk, as R1 does.</param>
/// <param name="Reply">The visible answer.</param>
/// <param name="Answer">What the box must hold; null when there is no box.</param>
/// <param name="Unlearned">Runs of characters of the thought that are left out of the loss.</param>
public sealed record Conversation(
    string Id, string Category, IReadOnlyList<Turn> Turns, string Thought, string Reply, string? Answer, IReadOnlyList<(int Start, int Length)> Unlearned);
