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
        var exponents = arange(0, config.Width, 2, ScalarType.Int64).to(ScalarType.Float32) / config.Width;
        var periods = tensor((float)config.Theta).pow(exponents);
        return config.Kind switch
        {
            RopeKind.Linear => periods.reciprocal() / config.Factor,
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
        var ramp = ((arange(0, config.Width / 2, ScalarType.Float32) - low) / (high - low)).clamp(0, 1);
        var keep = 1 - ramp;
        var extrapolated = periods.reciprocal();
        var interpolated = (periods * config.Factor).reciprocal();
        return interpolated * (1 - keep) + extrapolated * keep;
    }

    /// <summary>Llama 3.1: by wavelength against the original context, smoothed between the two bounds.</summary>
    private static Tensor Llama3(Tensor frequencies, RopeConfig config)
    {
        double longest = config.OriginalContext / config.LowFrequencyFactor, shortest = config.OriginalContext / config.HighFrequencyFactor;
        var wavelength = 2 * Math.PI / frequencies;
        var slow = where(wavelength.gt(longest), frequencies / config.Factor, frequencies);
        var smooth = ((config.OriginalContext / wavelength) - config.LowFrequencyFactor) / (config.HighFrequencyFactor - config.LowFrequencyFactor);
        var blended = (1 - smooth) * slow / config.Factor + smooth * slow;
        var between = wavelength.ge(shortest).logical_and(wavelength.le(longest));
        return where(between, blended, slow);
    }
}
