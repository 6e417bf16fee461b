using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Evaluation;

/// <summary>Run-time values of one scope. Macros keep the frame they were defined in.</summary>
internal sealed class Frame
{
    private readonly FrameLayout _layout;
    private readonly object?[] _slots;

    /// <summary>A frame with its entry values.</summary>
    public Frame(Execution execution, FrameLayout layout, Frame? parent)
    {
        (Execution, Run, Parent, _layout, _slots) = (execution, execution.Run, parent, layout, new object?[layout.Slots]);
        Reset();
    }

    /// <summary>The rendering as statements see it.</summary>
    public Execution Execution { get; }

    /// <summary>The rendering as values see it.</summary>
    public Rendering Run { get; }

    /// <summary>The frame of the scope around.</summary>
    public Frame? Parent { get; }

    /// <summary>Gives the slots their entry values again: each turn of a loop starts afresh.</summary>
    public void Reset()
    {
        foreach (var load in _layout.Loads)
            _slots[load.Slot] = load.Variable is { } name ? Execution.Resolve(name) : load.Outer is { } outer ? Parent!.Get(outer) : null;
    }

    /// <summary>A value; null when the name is not assigned.</summary>
    public object? Get(LexicalAddress address) => At(address.Hops)._slots[address.Slot];

    /// <summary>Assigns a value.</summary>
    public void Set(LexicalAddress address, object? value) => At(address.Hops)._slots[address.Slot] = value;

    /// <summary>Assigns a parameter of this frame.</summary>
    public void SetParameter(int slot, object? value) => _slots[slot] = value;

    private Frame At(int hops)
    {
        var frame = this;
        for (; hops > 0; hops--)
            frame = frame.Parent!;
        return frame;
    }
}
