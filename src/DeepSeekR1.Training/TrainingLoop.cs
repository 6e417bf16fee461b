using DeepSeekR1.Models;
using DeepSeekR1.Training.Lora;
using DeepSeekR1.Training.Optimization;
using static TorchSharp.torch;

namespace DeepSeekR1.Training;

/// <summary>A number in the training is not finite, or training cannot go on for another reason.</summary>
public sealed class TrainingException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>What an optimizer step did.</summary>
/// <param name="Step">Number of the step, from 1.</param>
/// <param name="GradNorm">Length of the gradient before clipping.</param>
/// <param name="LearningRate">Rate that was used.</param>
/// <param name="ExpertLoad">Largest load of an expert over the mean; 1 without experts.</param>
public sealed record StepReport(long Step, double GradNorm, double LearningRate, double ExpertLoad);

/// <summary>
/// The optimizer side of every kind of training: gradients of one or more micro-batches, guard against numbers that are not finite, clipping,
/// AdamW, balance of experts. One thread; owns the optimizer and the adapters, not the model.
/// </summary>
public sealed class TrainingLoop : IDisposable
{
    private readonly TrainingOptions _options;
    private readonly CausalLm _model;
    private readonly LearningRateSchedule _schedule;

    /// <summary>Marks the model's weights as trained, or puts adapters on them.</summary>
    public TrainingLoop(CausalLm model, TrainingOptions options)
    {
        (_model, _options, _schedule) = (model, options, options.Schedule);
        Lora = options.LoraR > 0 ? LoraAdapters.Attach(model, options.Lora, options.Seed) : null;
        Weights = Lora is null ? new TrainableWeights(model) : new TrainableWeights(model, Lora.Weights);
        Optimizer = new AdamW(Weights.All, options.Optimizer);
        Checkpoints = options.ActivationCheckpointing ? new ActivationCheckpoints() : null;
        Load = model.Config.Moe is { } moe ? new ExpertLoad(moe.ExpertCount) : null;
    }

    /// <summary>The adapters that are trained instead of the model's weights; null without.</summary>
    public LoraAdapters? Lora { get; }

    /// <summary>Folder of the model that adapters belong to.</summary>
    internal string BaseModel => _options.ModelNameOrPath;

    /// <summary>What is trained.</summary>
    public TrainableWeights Weights { get; }

    /// <summary>The optimizer, for checkpoints.</summary>
    public AdamW Optimizer { get; }

    /// <summary>Choices of experts in the current step; null without experts. Losses add to it.</summary>
    public ExpertLoad? Load { get; }

    /// <summary>Where losses run the model's layers when activations are computed again instead of kept; null keeps them.</summary>
    public ActivationCheckpoints? Checkpoints { get; }

    /// <summary>Steps done.</summary>
    public long Step => Optimizer.Steps;

    /// <summary>One step. Each loss is computed, differentiated and freed before the next.</summary>
    /// <param name="losses">Forward passes; the sum of their results is minimized.</param>
    /// <exception cref="TrainingException">A loss or gradient is not finite; the weights are untouched.</exception>
    public StepReport Run(IEnumerable<Func<Tensor>> losses)
    {
        Load?.Reset();
        foreach (var loss in losses)
        {
            using var scope = NewDisposeScope();
            var value = loss();
            if (!double.IsFinite(value.to(ScalarType.Float64).item<double>()))
                Stop($"The loss is not finite. {FirstNotFinite()}");
            value.backward();
            Checkpoints?.Backward();
        }

        using var outer = NewDisposeScope();
        var (norm, bad) = Weights.GradientNorm();
        if (bad is not null)
            Stop($"The gradient of {bad} is not finite.");
        if (_options.MaxGradNorm > 0 && norm > _options.MaxGradNorm)
            Weights.ScaleGradients(_options.MaxGradNorm / (norm + 1e-6));
        double rate = _schedule.At(Step);
        Optimizer.Step(rate);
        Weights.ZeroGradients();
        if (Load is not null && Step <= _options.RouterBiasUntil * _options.MaxSteps)
            Load.UpdateBiases(_model, _options.RouterBiasSpeed);
        return new StepReport(Step, norm, rate, Load?.MaxOverMean ?? 1);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Optimizer.Dispose();
        Lora?.Dispose();
    }

    private void Stop(string what)
    {
        Weights.ZeroGradients();
        Checkpoints?.Clear();
        throw new TrainingException(
            $"Step {Step + 1}: {what} The weights are those of step {Step}. Lower learning_rate or max_grad_norm, and go on from the last checkpoint.");
    }

    private string FirstNotFinite()
    {
        foreach (var weight in Weights.All)
        {
            using var finite = weight.Tensor.isfinite();
            using var all = finite.all();
            if (!all.item<bool>())
                return $"The first weight that is not finite is {weight.Name}.";
        }

        return "All weights are finite, so it comes from the data or from the forward pass.";
    }
}
