using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Evaluation;

/// <summary>
/// Compile-time names of one scope: the template, a loop body, a macro, a captured block. Follows jinja2: a name belongs to the innermost
/// scope that assigns it; at entry it holds the outer scope's value, a context variable or nothing, depending on how the scope uses it.
/// Inner scopes are bound after the whole outer one, because a macro may read a name that is assigned further down.
/// </summary>
internal sealed class Scope
{
    // Branches copy the names of their scope: without a limit hostile sources take quadratic time.
    private const int MaxNames = 1000;

    private readonly Scope? _parent;
    private readonly Shared _shared;
    private readonly Dictionary<string, Entry> _entries;
    private readonly HashSet<string> _stores;

    /// <summary>The scope of a template.</summary>
    public Scope(BuiltIns builtIns)
        : this(builtIns, null, new Shared(), [], [])
    {
    }

    /// <summary>A new scope inside another one.</summary>
    public Scope(Scope parent)
        : this(parent.BuiltIns, parent, new Shared(), [], [])
    {
    }

    private Scope(BuiltIns builtIns, Scope? parent, Shared shared, Dictionary<string, Entry> entries, HashSet<string> stores) =>
        (BuiltIns, _parent, _shared, _entries, _stores) = (builtIns, parent, shared, entries, stores);

    private enum Entry
    {
        Nothing,
        Parameter,
        Context,
        Outer,
    }

    /// <summary>The filters and tests that the template may name.</summary>
    public BuiltIns BuiltIns { get; }

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
    public void Bind(NameUse use) => _shared.Uses.Add(use);

    /// <summary>Registers an inner scope, to be declared when this one is complete.</summary>
    public void Inner(Action<Scope> declare) => _shared.Inner.Add(declare);

    /// <summary>Declares alternatives of which at most one runs.</summary>
    public void Branches(params Action<Scope>[] alternatives)
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
    public FrameLayout Complete()
    {
        foreach (var use in _shared.Uses)
            use.Address = AddressOf(use.Name);
        foreach (var declare in _shared.Inner)
            declare(this);
        var loads = _entries.Where(entry => entry.Value != Entry.Parameter).Select(entry => new FrameLoad(
            _shared.Slots[entry.Key],
            entry.Value == Entry.Context ? entry.Key : null,
            entry.Value == Entry.Outer ? _parent!.AddressOf(entry.Key) : null));
        return new FrameLayout(_shared.Slots.Count, [.. loads]);
    }

    /// <summary>Slot of a name that this scope declared itself.</summary>
    public int SlotOf(string name) => _shared.Slots[name];

    private Scope Branch() => new(BuiltIns, _parent, _shared, new(_entries), [.. _stores]) { IsSoft = true };

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
            throw Errors.Syntax($"More than {MaxNames} names in one scope.");
    }

    private LexicalAddress AddressOf(string name)
    {
        var hops = 0;
        var scope = this;
        for (; !scope._entries.ContainsKey(name); scope = scope._parent!)
            hops++;
        return new LexicalAddress(hops, scope._shared.Slots[name]);
    }

    // One per scope, shared by the copies for branches.
    private sealed class Shared
    {
        public Dictionary<string, int> Slots { get; } = [];

        public List<NameUse> Uses { get; } = [];

        public List<Action<Scope>> Inner { get; } = [];
    }
}
