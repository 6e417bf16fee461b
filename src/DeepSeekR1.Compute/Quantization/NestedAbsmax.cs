using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Quantization;

/// <summary>
/// Double quantization of nf4 (QLoRA section 3): the largest magnitudes themselves as bytes. value = code[byte] * absmax of its 256 +
/// offset; the offset is their mean, the code a table of 256 numbers between -1 and 1 that are denser towards 0.
/// </summary>
/// <param name="Bytes">uint8 [n].</param>
/// <param name="Absmax">float32 [ceil(n / 256)].</param>
/// <param name="Code">float32 [256], ascending.</param>
/// <param name="Offset">Mean of the numbers.</param>
public sealed record NestedAbsmax(Tensor Bytes, Tensor Absmax, Tensor Code, float Offset)
{
    private const int Run = 256;

    /// <summary>The numbers: float32 [n].</summary>
    public static Tensor Decode(Tensor bytes, Tensor absmax, Tensor code, float offset)
    {
        using var scope = NewDisposeScope();
        var values = code.index_select(0, bytes.to(ScalarType.Int64).view(-1));
        var scales = absmax.repeat_interleave(Run, 0).narrow(0, 0, values.numel());
        return (values * scales).Plus(Scalars.Of((double)offset)).MoveToOuterDisposeScope();
    }

    /// <summary>Rounds numbers [n]; belongs to the caller's scope.</summary>
    public static NestedAbsmax Encode(Tensor values)
    {
        using var scope = NewDisposeScope();
        long count = values.numel(), runs = (count + Run - 1) / Run;
        float offset = values.mean().item<float>();
        var flat = nn.functional.pad(values.Plus(Scalars.Of(-(double)offset)), [0, runs * Run - count]).view(runs, Run);
        var absmax = flat.abs().amax([1]);
        var relative = flat / absmax.masked_fill(absmax.eq(Scalars.Of(0L)), Scalars.Of(1L)).unsqueeze(1);
        var table = Table();
        var code = tensor(table);
        var borders = tensor(Enumerable.Range(0, table.Length - 1).Select(i => (table[i] + table[i + 1]) / 2).ToArray());
        var bytes = bucketize(relative.contiguous(), borders).to(ScalarType.Byte).view(-1).narrow(0, 0, count).contiguous();
        return new NestedAbsmax(
            bytes.MoveToOuterDisposeScope(), absmax.contiguous().MoveToOuterDisposeScope(), code.MoveToOuterDisposeScope(), offset);
    }

    /// <summary>
    /// The dynamic table (8-bit optimizers, Dettmers et al. 2022, section 1.3): for each power of ten from 10^-6 to 1 twice as many
    /// numbers as for the one before, each in the middle of its share of [0.1, 1]; both signs, 0 and 1.
    /// </summary>
    private static float[] Table()
    {
        const int Powers = 7;
        var numbers = new List<float> { 0, 1 };
        for (int i = 0; i < Powers; i++)
        {
            using var borders = linspace(0.1, 1, (1 << i) + 1, ScalarType.Float32);
            var edges = borders.data<float>().ToArray();
            double power = Math.Pow(10, i - (Powers - 1));
            for (int j = 0; j + 1 < edges.Length; j++)
            {
                float middle = (edges[j] + edges[j + 1]) / 2;
                numbers.Add((float)power * middle);
                numbers.Add(-(float)power * middle);
            }
        }

        numbers.Sort();
        return [.. numbers];
    }
}
