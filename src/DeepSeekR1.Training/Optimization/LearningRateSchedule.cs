namespace DeepSeekR1.Training.Optimization;

/// <summary>Learning rate by step: a linear warm-up, then constant, linear or cosine down to a share of the peak.</summary>
public sealed record LearningRateSchedule
{
    /// <summary>Highest rate.</summary>
    public double Peak { get; init; } = 1e-3;

    /// <summary>constant, linear or cosine.</summary>
    public string Shape { get; init; } = "cosine";

    /// <summary>Steps until the peak.</summary>
    public long WarmupSteps { get; init; }

    /// <summary>Steps of the whole run.</summary>
    public required long TotalSteps { get; init; }

    /// <summary>Share of the peak that is left at the end.</summary>
    public double FinalShare { get; init; } = 0.1;

    /// <summary>The rate of a step, counted from 0.</summary>
    public double At(long step)
    {
        if (step < WarmupSteps)
            return Peak * (step + 1) / WarmupSteps;
        double done = Math.Clamp((double)(step - WarmupSteps) / Math.Max(1, TotalSteps - WarmupSteps), 0, 1);
        double share = Shape switch
        {
            "constant" => 1,
            "linear" => 1 - done,
            "cosine" => 0.5 * (1 + Math.Cos(Math.PI * done)),
            _ => throw new ArgumentException($"schedule is '{Shape}'; it must be constant, linear or cosine."),
        };
        return Shape == "constant" ? Peak : Peak * (FinalShare + (1 - FinalShare) * share);
    }
}
