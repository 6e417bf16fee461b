using DeepSeekR1.Engine.Options;

namespace DeepSeekR1.Server;

/// <summary>Options as they stand on a command line: how the executable shows the marked names of messages.</summary>
public static class Flags
{
    /// <summary>The flag of an option.</summary>
    public static string Of(string name) => "--" + name;

    /// <summary>A message with every marked name as a flag.</summary>
    public static string Spell(string message) => OptionText.Spell(message, Of);
}
