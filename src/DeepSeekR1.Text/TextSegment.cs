namespace DeepSeekR1.Text;

/// <summary>A run of rendered prompt text with one origin.</summary>
/// <param name="Text">The characters, not empty.</param>
/// <param name="FromMessage">
/// True when they came from a string of the request: added tokens are then never recognised in them. False for template text.
/// </param>
public readonly record struct TextSegment(string Text, bool FromMessage);
