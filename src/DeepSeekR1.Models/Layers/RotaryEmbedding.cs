using DeepSeekR1.Compute;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Layers;

/// <summary>cos and sin of a step's positions: each [T, width / 2] float32, already times the cos/sin factor.</summary>
public sealed record Rotation(Tensor Cos, Tensor Sin) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose()
    {
        Cos.Dispose();
        Sin.Dispose();
    }
}

/// <summary>
/// Rotary position embedding (Su et al. 2021) with the scalings of published checkpoints. Frequencies are computed in float32
/// exactly as the reference does: at position 131,071 a double-precision angle already differs by 0.008.
/// </summary>
public sealed class RotaryEmbedding : IDisposable
{
    private readonly RopeConfig _config;
    private readonly Tensor _inverseFrequencies;

    /// <summary>Computes the frequencies on a device.</summary>
    public RotaryEmbedding(RopeConfig config, Device device)
    {
        _config = config;
        using var scope = NewDisposeScope();
        _inverseFrequencies = Frequencies(config).to(device).DetachFromDisposeScope();
    }

    /// <summary>Radians per position of each pair: [width / 2] float32.</summary>
    public Tensor InverseFrequencies => _inverseFrequencies;

    /// <summary>cos and sin for positions [T] int64.</summary>
    public Rotation At(Tensor positions)
    {
        using var wide = positions.to(ScalarType.Float32);
        using var column = wide.unsqueeze(1);
        using var angles = column * _inverseFrequencies;
        var (cos, sin) = (angles.cos(), angles.sin());
        if (_config.CosSinFactor == 1)
            return new Rotation(cos, sin);
        return new Rotation(cos.mul_(Scalars.Of(_config.CosSinFactor)), sin.mul_(Scalars.Of(_config.CosSinFactor)));
    }

    /// <inheritdoc/>
    public void Dispose() => _inverseFrequencies.Dispose();

    private static Tensor Frequencies(RopeConfig config)
    {
        var steps = tensor(Enumerable.Range(0, (config.Width + 1) / 2).Select(i => 2f * i).ToArray());
        var periods = tensor((float)config.Theta).pow(steps.div(Scalars.Of(config.Width)));
        return config.Kind switch
        {
            RopeKind.Linear => periods.reciprocal().div(Scalars.Of(config.Factor)),
            RopeKind.Yarn => Yarn(periods, config),
            RopeKind.Llama3 => Llama3(periods.reciprocal(), config),
            _ when config.Divisors is { } divisors => periods.reciprocal() / tensor(divisors.ToArray()),
            _ => periods.reciprocal(),
        };
    }

    /// <summary>
    /// YaRN, section 3.2: frequencies that turn often within the original context stay, those that turn rarely are divided by the
    /// factor, with a linear ramp between.
    /// </summary>
    private static Tensor Yarn(Tensor periods, RopeConfig config)
    {
        double Index(double rotations)
            => config.Width * Math.Log(config.OriginalContext / (rotations * 2 * Math.PI)) / (2 * Math.Log(config.Theta));

        double low = Math.Max(Math.Floor(Index(config.BetaFast)), 0);
        double high = Math.Min(Math.Ceiling(Index(config.BetaSlow)), config.Width - 1);
        if (low == high)
            high += 0.001;
        var pairs = tensor(Enumerable.Range(0, config.Width / 2).Select(i => (float)i).ToArray());
        var ramp = pairs.Plus(Scalars.Of(-low)).div(Scalars.Of(high - low)).clamp(Scalars.Of(0L), Scalars.Of(1L));
        var keep = OneMinus(ramp);
        var extrapolated = periods.reciprocal();
        var interpolated = periods.mul(Scalars.Of(config.Factor)).reciprocal();
        return (interpolated * OneMinus(keep)).Plus(extrapolated * keep);
    }

    /// <summary>Llama 3.1: by wavelength against the original context, smoothed between the two bounds.</summary>
    private static Tensor Llama3(Tensor frequencies, RopeConfig config)
    {
        double longest = config.OriginalContext / config.LowFrequencyFactor, shortest = config.OriginalContext / config.HighFrequencyFactor;
        var factor = Scalars.Of(config.Factor);
        var wavelength = frequencies.reciprocal().mul(Scalars.Of(2 * Math.PI));
        var slow = where(wavelength.gt(Scalars.Of(longest)), frequencies.div(factor), frequencies);
        var turns = wavelength.reciprocal().mul(Scalars.Of((double)config.OriginalContext));
        var smooth = turns.Plus(Scalars.Of(-config.LowFrequencyFactor)).div(Scalars.Of(config.HighFrequencyFactor - config.LowFrequencyFactor));
        var blended = (OneMinus(smooth) * slow).div(factor).Plus(smooth * slow);
        var between = wavelength.ge(Scalars.Of(shortest)).logical_and(wavelength.le(Scalars.Of(longest)));
        return where(between, blended, slow);
    }

    private static Tensor OneMinus(Tensor x) => x.neg().Plus(Scalars.Of(1L));
}
