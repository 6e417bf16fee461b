using DeepSeekR1.Compute;

namespace DeepSeekR1.Engine.Options;

/// <summary>Names of options in messages: marked where the message is made, spelled where it is shown.</summary>
public static class OptionText
{
    /// <summary>The marked name of an option, for one that a higher room declares.</summary>
    public static string Mark(string name) => new OptionName(name).ToString();

    /// <summary>A text with every marked name spelled.</summary>
    public static string Spell(string text, Func<string, string> spell) => OptionName.Spell(text, spell);
}
