using System.Text.RegularExpressions;

namespace DeepSeekR1.Compute;

/// <summary>
/// A start option in a message. The rooms below the executable know options by name and not by how they are given: the name
/// stands marked in the text, and whoever shows the text spells it (<c>--block-size</c> on a command line).
/// </summary>
/// <param name="Name">Name without dashes in front, for example <c>block-size</c>.</param>
public readonly partial record struct OptionName(string Name)
{
    /// <summary>The marked name.</summary>
    public override string ToString() => "option:" + Name;

    /// <summary>A text with every marked name spelled.</summary>
    public static string Spell(string text, Func<string, string> spell) => Marked().Replace(text, match => spell(match.Groups[1].Value));

    [GeneratedRegex(@"\boption:([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")]
    private static partial Regex Marked();
}
