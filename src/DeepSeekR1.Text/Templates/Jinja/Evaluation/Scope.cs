namespace DeepSeekR1.Text.Templates;

/// <summary>
/// Compile-time names of one scope: the template, a loop body, a macro, a captured block. Follows jinja2: a name belongs to the innermost
/// scope that assigns it; at entry it holds the outer scope's value, a context variable or nothing, depending on how the scope uses it.
/// Inner scopes are bound after the whole outer one, because a macro may read a name that is assigned further down.
/// </summary>
internal sealed class JinjaScope
{
    // Branches copy the names of their scope: without a limit hostile sources take quadratic time.
    private const int MaxNames = 1000;

    private readonly JinjaScope? _parent;
    private readonly Shared _shared;
    private readonly Dictionary<string, Entry> _entries;
    private readonly HashSet<string> _stores;

    /// <summary>A new scope inside another one; null for the template.</summary>
    public JinjaScope(JinjaScope? parent)
        : this(parent, new Shared(), [], [])
    {
    }

    private JinjaScope(JinjaScope? parent, Shared shared, Dictionary<string, Entry> entries, HashSet<string> stores) =>
        (_parent, _shared, _entries, _stores) = (parent, shared, entries, stores);

    private enum Entry
    {
        Nothing,
        Parameter,
        Context,
        Outer,
    }

    /// <summary>Inside a condition: unknown filters fail only when they are reached.</summary>
    public bool IsSoft { get; set; }

    /// <summary>The name is read here.</summary>
    public void Load(string name)
    {
        if (!IsKnown(name))
            Define(name, Entry.Context);
    }

    /// <summary>The name is assigned here.</summary>
    public void Store(string name)
    {
        _stores.Add(name);
        if (!_entries.ContainsKey(name))
            Define(name, _parent?.IsKnown(name) == true ? Entry.Outer : Entry.Nothing);
    }

    /// <summary>The name is a parameter or loop target: whoever opens the scope sets it.</summary>
    public void Parameter(string name)
    {
        _stores.Add(name);
        Define(name, Entry.Parameter);
    }

    /// <summary>Registers a use of a name, to be bound when the scope is complete.</summary>
    public void Bind(JinjaName name) => _shared.Uses.Add(name);

    /// <summary>Registers an inner scope, to be declared when this one is complete.</summary>
    public void Inner(Action<JinjaScope> declare) => _shared.Inner.Add(declare);

    /// <summary>Declares alternatives of which at most one runs.</summary>
    public void Branches(params Action<JinjaScope>[] alternatives)
    {
        var branches = alternatives.Select(_ => Branch()).ToArray();
        foreach (var (branch, declare) in branches.Zip(alternatives))
            declare(branch);
        var stores = branches.SelectMany(branch => branch._stores).Where(name => !_stores.Contains(name)).ToHashSet();
        foreach (var branch in branches)
        {
            foreach (var (name, entry) in branch._entries)
                _entries[name] = entry;
            _stores.UnionWith(branch._stores);
        }
        foreach (var name in stores)
            _entries[name] = _parent?.IsKnown(name) == true ? Entry.Outer : Entry.Context;
    }

    /// <summary>Binds all names, then the inner scopes; gives what a frame of this scope needs at run time.</summary>
    public JinjaFrameLayout Complete()
    {
        foreach (var use in _shared.Uses)
            use.Place = PlaceOf(use.Name);
        foreach (var declare in _shared.Inner)
            declare(this);
        var loads = _entries.Where(entry => entry.Value != Entry.Parameter).Select(entry => new JinjaFrameLoad(
            _shared.Slots[entry.Key],
            entry.Value == Entry.Context ? entry.Key : null,
            entry.Value == Entry.Outer ? _parent!.PlaceOf(entry.Key) : null));
        return new JinjaFrameLayout(_shared.Slots.Count, [.. loads]);
    }

    /// <summary>Slot of a name that this scope declared itself.</summary>
    public int SlotOf(string name) => _shared.Slots[name];

    private JinjaScope Branch() => new(_parent, _shared, new(_entries), [.. _stores]) { IsSoft = true };

    private bool IsKnown(string name)
    {
        for (var scope = this; scope is not null; scope = scope._parent)
            if (scope._entries.ContainsKey(name))
                return true;
        return false;
    }

    private void Define(string name, Entry entry)
    {
        _entries[name] = entry;
        if (_shared.Slots.TryAdd(name, _shared.Slots.Count) && _shared.Slots.Count > MaxNames)
            throw JinjaErrors.Syntax($"More than {MaxNames} names in one scope.");
    }

    private JinjaPlace PlaceOf(string name)
    {
        var hops = 0;
        var scope = this;
        for (; !scope._entries.ContainsKey(name); scope = scope._parent!)
            hops++;
        return new JinjaPlace(hops, scope._shared.Slots[name]);
    }

    // One per scope, shared by the copies for branches.
    private sealed class Shared
    {
        public Dictionary<string, int> Slots { get; } = [];

        public List<JinjaName> Uses { get; } = [];

        public List<Action<JinjaScope>> Inner { get; } = [];
    }
}

/// <summary>Where a name lives: so many frames outwards, in that slot.</summary>
internal sealed record JinjaPlace(int Hops, int Slot);

/// <summary>What a slot holds at entry: a context variable, an outer slot (counted from the parent frame), or nothing.</summary>
internal sealed record JinjaFrameLoad(int Slot, string? Variable, JinjaPlace? Outer);

/// <summary>Slots of a scope and what they hold at entry.</summary>
internal sealed record JinjaFrameLayout(int Slots, JinjaFrameLoad[] Loads);

/// <summary>Run-time values of one scope. Macros keep the frame they were defined in.</summary>
internal sealed class JinjaFrame
{
    private readonly JinjaFrameLayout _layout;
    private readonly object?[] _slots;

    /// <summary>A frame with its entry values.</summary>
    public JinjaFrame(JinjaRun run, JinjaFrameLayout layout, JinjaFrame? parent)
    {
        (Run, Parent, _layout, _slots) = (run, parent, layout, new object?[layout.Slots]);
        Reset();
    }

    /// <summary>The rendering.</summary>
    public JinjaRun Run { get; }

    /// <summary>The frame of the scope around.</summary>
    public JinjaFrame? Parent { get; }

    /// <summary>Gives the slots their entry values again: each turn of a loop starts afresh.</summary>
    public void Reset()
    {
        foreach (var load in _layout.Loads)
            _slots[load.Slot] = load.Variable is { } name ? Run.Resolve(name) : load.Outer is { } outer ? Parent!.Get(outer) : null;
    }

    /// <summary>A value; null when the name is not assigned.</summary>
    public object? Get(JinjaPlace place) => At(place.Hops)._slots[place.Slot];

    /// <summary>Assigns a value.</summary>
    public void Set(JinjaPlace place, object? value) => At(place.Hops)._slots[place.Slot] = value;

    /// <summary>Assigns a parameter of this frame.</summary>
    public void SetParameter(int slot, object? value) => _slots[slot] = value;

    private JinjaFrame At(int hops)
    {
        var frame = this;
        for (; hops > 0; hops--)
            frame = frame.Parent!;
        return frame;
    }
}
