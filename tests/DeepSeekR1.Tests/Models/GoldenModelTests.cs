using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models;
using DeepSeekR1.Testing;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models;

/// <summary>Every checkpoint of the goldens by every route: all must give the reference's logits within 1e-4 in float32.</summary>
public class GoldenModelTests
{
    public static TheoryData<string> Checkpoints => [.. GoldenModel.Names];

    [GoldenFact]
    public void Folder_HoldsTheTwelveCheckpoints()
        => Assert.Equal(GoldenModel.Names, Directory.GetDirectories(Goldens.At("models")).Select(d => Path.GetFileName(d)!).Order());

    [GoldenTheory]
    [MemberData(nameof(Checkpoints))]
    public void Prefill_Whole_EqualsReferenceAtEveryLayer(string name)
    {
        using var golden = new GoldenModel(name, new TorchKernels());
        foreach (var prompt in golden.Prompts)
        {
            using var scope = new TensorScope();
            var states = new Dictionary<int, Tensor>();
            var routing = new List<(Tensor Experts, Tensor Weights)>();
            var logits = golden.Step(
                [(prompt.Ids, 0, prompt.Ids.Length, GoldenModel.Blocks(3, prompt.Ids.Length))],
                observe: (layer, x) => states[layer] = x.clone(),
                observeRouting: (_, experts, weights) => routing.Add((experts.clone().DetachFromDisposeScope(), weights.clone().DetachFromDisposeScope())));
            Assert.True(golden.Difference(prompt, logits) <= GoldenModel.Tolerance, $"{name} prompt {prompt.Index}: {golden.Difference(prompt, logits)}");
            if (prompt.Index == 3)
            {
                CheckStates(golden, states);
                CheckRouting(golden, routing);
            }
        }
    }

    [GoldenTheory]
    [MemberData(nameof(Checkpoints))]
    public void EveryRoute_EqualsReference(string name)
    {
        foreach (var kernels in new KernelSet[] { new TorchKernels(), CpuKernels.CreateOrReference() })
        {
            using var golden = new GoldenModel(name, kernels);
            MlaForm[] forms = golden.Model.Config.Mla is null ? [MlaForm.Auto] : [MlaForm.Auto, MlaForm.Naive, MlaForm.Absorbed];
            foreach (var prompt in golden.Prompts)
                foreach (var form in forms)
                    foreach (int chunk in new[] { 1, 3, 16, 1000 })
                    {
                        using var scope = new TensorScope();
                        double difference = golden.Difference(prompt, golden.Logits(prompt.Ids, chunk, form));
                        Assert.True(difference <= GoldenModel.Tolerance, $"{name}, {kernels.GetType().Name}, prompt {prompt.Index}, chunk {chunk}, {form}: {difference}");
                    }
        }
    }

    [GoldenTheory]
    [MemberData(nameof(Checkpoints))]
    public void Batched_WithSequencesOfOtherLengths_EqualsReference(string name)
    {
        using var golden = new GoldenModel(name, CpuKernels.CreateOrReference());
        MlaForm[] forms = golden.Model.Config.Mla is null ? [MlaForm.Auto] : [MlaForm.Auto, MlaForm.Naive, MlaForm.Absorbed];
        foreach (var form in forms)
        {
            using var scope = new TensorScope();
            var blocks = new List<int[]>();
            int next = 1;
            foreach (var prompt in golden.Prompts)
            {
                blocks.Add(GoldenModel.Blocks(next, prompt.Ids.Length));
                next += blocks[^1].Length;
            }

            // Every sequence advances at its own pace: one row, three, seven, ... a step, so chunks and single tokens share steps.
            var computed = new int[golden.Prompts.Count];
            var rows = golden.Prompts.Select(_ => new List<Tensor>()).ToList();
            while (golden.Prompts.Any(p => computed[p.Index] < p.Ids.Length))
            {
                var work = golden.Prompts
                    .Where(p => computed[p.Index] < p.Ids.Length)
                    .Select(p => (Prompt: p, Count: Math.Min(1 + 2 * p.Index, p.Ids.Length - computed[p.Index])))
                    .ToList();
                var logits = golden.Step([.. work.Select(w => (w.Prompt.Ids, computed[w.Prompt.Index], w.Count, blocks[w.Prompt.Index]))], form);
                int row = 0;
                foreach (var (prompt, count) in work)
                {
                    rows[prompt.Index].Add(logits.narrow(0, row, count));
                    row += count;
                    computed[prompt.Index] += count;
                }
            }

            foreach (var prompt in golden.Prompts)
                Assert.True(golden.Difference(prompt, cat(rows[prompt.Index])) <= GoldenModel.Tolerance, $"{name} {form} prompt {prompt.Index}");
        }
    }

    [GoldenTheory]
    [MemberData(nameof(Checkpoints))]
    public void HalfPrecision_StaysCloseToReference(string name)
    {
        // Rounding weights and states to 8 or 11 bits moves logits; a wrong layout or a missing cast destroys them.
        foreach (var (type, least) in new[] { (ScalarType.BFloat16, 0.98), (ScalarType.Float16, 0.995) })
            foreach (var kernels in new KernelSet[] { new TorchKernels(), CpuKernels.CreateOrReference() })
            {
                using var golden = new GoldenModel(name, kernels, type: type);
                foreach (int chunk in new[] { 1, 1000 })
                {
                    using var scope = new TensorScope();
                    var logits = golden.Logits(golden.Prompts[3].Ids, chunk);
                    Assert.Equal(ScalarType.Float32, logits.dtype);
                    var similarities = nn.functional.cosine_similarity(logits, golden.Expected("prompt3.logits"), 1).data<float>().Order().ToList();

                    // Two experts may be so close that rounding changes the choice for a row. What is wrong is wrong for all rows.
                    double similarity = similarities[golden.HasExperts ? similarities.Count / 3 : 0];
                    Assert.True(similarity >= least, $"{name}, {type}, {kernels.GetType().Name}, chunk {chunk}: {string.Join(", ", similarities)}");
                }
            }
    }

    private static void CheckStates(GoldenModel golden, Dictionary<int, Tensor> states)
    {
        var expected = golden.Expected("prompt3.hidden_states");
        int layers = golden.Model.Config.NumLayers;
        Assert.Equal(layers + 1, expected.shape[0]);
        for (int i = 0; i <= layers; i++)
        {
            // The last entry of the reference is the state after the final norm.
            var actual = states[i == layers ? -1 : i];
            Assert.True(GoldenModel.MaxDifference(actual, expected[i]) <= GoldenModel.Tolerance, $"{golden.Name}: states {i}");
        }
    }

    private static void CheckRouting(GoldenModel golden, List<(Tensor Experts, Tensor Weights)> routing)
    {
        int expectedLayers = golden.Model.Config.Moe is { } moe ? golden.Model.Config.NumLayers - moe.FirstDenseLayers : 0;
        Assert.Equal(expectedLayers, routing.Count);
        for (int j = 0; j < routing.Count; j++)
        {
            var (expectedIds, order) = golden.Expected($"prompt3.router{j}.experts").sort(-1);
            var expectedWeights = golden.Expected($"prompt3.router{j}.weights").gather(-1, order);
            var (ids, ownOrder) = routing[j].Experts.sort(-1);
            Assert.True(ids.equal(expectedIds).all().item<bool>(), $"{golden.Name}: experts of layer {j}");
            Assert.True(GoldenModel.MaxDifference(routing[j].Weights.gather(-1, ownOrder), expectedWeights) <= 1e-5, $"{golden.Name}: weights of layer {j}");
        }
    }
}
