using DeepSeekR1.Compute.Kernels.Sampling;

namespace DeepSeekR1.Engine.Scheduling;

/// <summary>
/// Which tokens have occurred in a sequence, and how often each was generated, kept up to date token by token: what penalties need is as
/// long as the number of different tokens, not as the sequence.
/// </summary>
internal sealed class TokenTally
{
    private readonly Dictionary<int, int> _places = [];
    private readonly List<int> _ids = [], _generated = [];
    private readonly int _ofPrompt;

    /// <summary>Counts a prompt.</summary>
    public TokenTally(IReadOnlyList<int> prompt)
    {
        foreach (int id in prompt)
            PlaceOf(id);
        _ofPrompt = _ids.Count;
    }

    /// <summary>Counts a generated token.</summary>
    public void Add(int id)
    {
        int place = PlaceOf(id);
        _generated[place]++;
    }

    /// <summary>Takes the generated token back that was counted last.</summary>
    public void RemoveLast(int id)
    {
        int place = _places[id];
        if (--_generated[place] > 0 || place < _ofPrompt)
            return;

        // It was new when it was counted, so it is the newest.
        _places.Remove(id);
        _ids.RemoveAt(place);
        _generated.RemoveAt(place);
    }

    /// <summary>The counts as they are now.</summary>
    public TokenCounts Snapshot() => new([.. _ids], [.. _generated]);

    private int PlaceOf(int id)
    {
        if (_places.TryGetValue(id, out int place))
            return place;
        _ids.Add(id);
        _generated.Add(0);
        return _places[id] = _ids.Count - 1;
    }
}
