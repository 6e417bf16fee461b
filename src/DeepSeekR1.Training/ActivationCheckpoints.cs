using static TorchSharp.torch;

namespace DeepSeekR1.Training;

/// <summary>
/// Activation checkpointing (Chen et al. 2016, section 4): the forward pass keeps the input of every layer and nothing of its inside; the backward pass computes
/// a layer again when its turn comes, so the insides of one layer are alive at a time. Costs one more forward pass. One thread; one micro-batch at a time:
/// the layers run through <see cref="Run"/>, the loss goes backward to the last layer's output, then <see cref="Backward"/> goes through the layers.
/// </summary>
public sealed class ActivationCheckpoints
{
    private readonly List<Segment> _segments = [];
    private readonly List<IDisposable> _kept = [];
    private Func<Tensor?>? _extraLoss;

    /// <summary>Whether a layer is being computed again: what counts a layer's events must not count them twice.</summary>
    public bool IsReplaying { get; private set; }

    /// <summary>Runs a layer without a graph; the result, a fresh tensor, is where the later gradient arrives.</summary>
    /// <param name="x">Input of the layer.</param>
    /// <param name="layer">The layer; it is called again in the backward pass.</param>
    public Tensor Run(Tensor x, Func<Tensor, Tensor> layer)
    {
        Tensor output;
        using (no_grad())
            output = layer(x);
        var leaf = output.detach().requires_grad_();
        output.Dispose();
        _segments.Add(new Segment(x.alias(), layer, leaf));
        return leaf.alias();
    }

    /// <summary>Keeps something that the layers need until the backward pass is over.</summary>
    public void Keep(IDisposable needed) => _kept.Add(needed);

    /// <summary>A term of the loss that arises inside layers: called after each layer that is computed again, and null when it has none.</summary>
    public void AddLoss(Func<Tensor?> term) => _extraLoss = term;

    /// <summary>The layers' part of the backward pass, last layer first; gradients arrive in the weights. Forgets the micro-batch.</summary>
    public void Backward()
    {
        IsReplaying = true;
        try
        {
            for (int i = _segments.Count - 1; i >= 0; i--)
                Replay(_segments[i]);
        }
        finally
        {
            IsReplaying = false;
            Clear();
        }
    }

    /// <summary>Forgets a micro-batch whose backward pass does not come.</summary>
    public void Clear()
    {
        foreach (var segment in _segments)
        {
            segment.Output.grad?.Dispose();
            segment.Output.Dispose();
            segment.Input.Dispose();
        }

        _segments.Clear();
        _kept.ForEach(needed => needed.Dispose());
        _kept.Clear();
        _extraLoss = null;
    }

    private void Replay(Segment segment)
    {
        using var scope = NewDisposeScope();
        var output = segment.Layer(segment.Input);
        if (segment.Output.grad is { } gradient && output.requires_grad)
            output.backward([gradient], retain_graph: _extraLoss is not null);
        if (_extraLoss?.Invoke() is { requires_grad: true } term)
            term.backward();
    }

    /// <summary>One layer: its input with the graph that leads to it, and a leaf with the value of its output.</summary>
    private sealed record Segment(Tensor Input, Func<Tensor, Tensor> Layer, Tensor Output);
}
