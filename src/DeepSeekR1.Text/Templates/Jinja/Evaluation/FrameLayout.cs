namespace DeepSeekR1.Text.Templates.Jinja.Evaluation;

/// <summary>Where a name lives: so many frames outwards, in that slot.</summary>
internal sealed record LexicalAddress(int Hops, int Slot);

/// <summary>What a slot holds at entry: a context variable, an outer slot (counted from the parent frame), or nothing.</summary>
internal sealed record FrameLoad(int Slot, string? Variable, LexicalAddress? Outer);

/// <summary>Slots of a scope and what they hold at entry.</summary>
internal sealed record FrameLayout(int Slots, FrameLoad[] Loads);

/// <summary>A use of a name: the scope it stands in says where the value lives.</summary>
internal sealed class NameUse(string name)
{
    /// <summary>The identifier.</summary>
    public string Name => name;

    /// <summary>Where its value lives; set when the scope is complete.</summary>
    public LexicalAddress Address { get; set; } = null!;
}
