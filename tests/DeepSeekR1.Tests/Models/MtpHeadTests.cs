using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Architectures;
using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models;

/// <summary>The multi-token prediction head against the reference logits, in one go, in chunks and token by token.</summary>
public class MtpHeadTests
{
    private const int BlockSize = 16, NumBlocks = 40;

    [GoldenTheory]
    [InlineData("deepseek-v3-mtp")]
    [InlineData("deepseek-v3-fp8-mtp")]
    public void Forward_ByEveryRoute_EqualsReference(string name)
    {
        IReadOnlyList<GoldenPrompt> prompts;
        using var golden = new GoldenModel(name, new TorchKernels());
        prompts = golden.Prompts;
        var rank = new RankContext(new SingleRank(), CpuKernels.CreateOrReference(), torch.CPU, ScalarType.Float32);
        using var model = new DeepseekV3(golden.Model.Config, rank, withMtp: true);
        using (var checkpoint = Checkpoint.Open(Goldens.At("models", name)))
        {
            // The copies of embedding and output layer stay in the file.
            var report = WeightLoader.Load(model, checkpoint);
            Assert.All(report.Ignored, ignored => Assert.Matches(@"embed_tokens|shared_head\.head", ignored));
        }

        using var cache = new KvCache(model.Config, rank, NumBlocks, BlockSize, mtpLayers: 1);
        int compared = 0;
        foreach (var prompt in prompts.Where(p => p.Ids.Length > 2))
            foreach (var form in new[] { MlaForm.Naive, MlaForm.Absorbed })
                foreach (int chunk in new[] { 1000, 16, 3, 1 })
                {
                    using var scope = new TensorScope();
                    var logits = Predict(model, cache, prompt.Ids, chunk, form);
                    var expected = golden.Expected($"prompt{prompt.Index}.mtp_logits");
                    Assert.Equal(expected.shape, logits.shape);
                    double difference = GoldenModel.MaxDifference(logits, expected);
                    Assert.True(difference <= GoldenModel.Tolerance, $"{name} prompt {prompt.Index}, chunk {chunk}, {form}: {difference}");

                    // The guess is what speculation will use: it must be the same at every position, however the rows came.
                    var (guesses, wanted) = (logits.argmax(-1), expected.argmax(-1));
                    Assert.True(guesses.equal(wanted).all().item<bool>(), $"{name} prompt {prompt.Index}, chunk {chunk}, {form}: another greedy guess");
                    compared++;
                }

        Assert.Equal(5 * 2 * 4, compared);
    }

    /// <summary>Main model and head side by side, chunk by chunk: row t of the head takes token t + 1.</summary>
    private static Tensor Predict(DeepseekV3 model, KvCache cache, int[] ids, int chunk, MlaForm form)
    {
        var blocks = GoldenModel.Blocks(2, ids.Length);
        var parts = new List<Tensor>();
        for (int done = 0; done < ids.Length - 1; done += chunk)
        {
            int count = Math.Min(chunk, ids.Length - 1 - done);
            var batch = new PagedBatch([new PagedSequence(0, count, done + count, blocks)], BlockSize, torch.CPU);
            var context = new ForwardContext(arange(done, done + count, ScalarType.Int64), new PagedAttention(model.Rank.Kernels, cache, batch)) { MlaForm = form };
            var states = model.Forward(tensor(ids.Skip(done).Take(count).Select(i => (long)i).ToArray()), context);
            var next = tensor(ids.Skip(done + 1).Take(count).Select(i => (long)i).ToArray());
            parts.Add(model.Logits(model.Mtp!.Forward(next, states, context)));
        }

        return cat(parts);
    }
}
