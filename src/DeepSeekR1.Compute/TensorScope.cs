using TorchSharp;
using static TorchSharp.torch;

namespace DeepSeekR1.Compute;

/// <summary>
/// A dispose scope in inference mode: every tensor made on this thread until <see cref="Dispose"/> is freed with it, unless it
/// was detached or moved out. One per step and rank. Both halves are per thread: no await, no yield, no thread hop inside.
/// </summary>
public sealed class TensorScope : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly IDisposable _mode = inference_mode();

    /// <summary>Number of tensors alive in the process: for leak tests.</summary>
    public static long LiveTensors => Tensor.TotalCount;

    /// <summary>Lets a result live in the surrounding scope.</summary>
    public Tensor Keep(Tensor result) => result.MoveToOuterDisposeScope();

    /// <inheritdoc/>
    public void Dispose()
    {
        _mode.Dispose();
        _scope.Dispose();
    }
}
