namespace DeepSeekR1.Engine.Options;

/// <summary>
/// An option has a value that it does not take, or two options contradict each other. The message names options by their marked
/// names (<see cref="OptionText"/>).
/// </summary>
/// <param name="option">Name of the option without dashes.</param>
/// <param name="value">The value as text.</param>
/// <param name="message">Names the value, the limit and the next step.</param>
public sealed class OptionException(string option, string value, string message) : Exception(message)
{
    /// <summary>Name of the option without dashes.</summary>
    public string Option { get; } = option;

    /// <summary>The value as text.</summary>
    public string Value { get; } = value;
}
