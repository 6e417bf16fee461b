using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Engine;

/// <summary>A real trained model from a GGUF file, in float32, against the reference implementation.</summary>
public class SmolLm2Tests
{
    private static readonly string Folder = Path.Combine(Goldens.Models, "smollm2-135m-instruct");
    private static readonly string File = Path.Combine(Folder, "SmolLM2-135M-Instruct.Q4_1.gguf");

    [GoldenFact]
    public async Task Engine_AllReferenceTextsAtOnce_GivesReferenceIds()
    {
        using var document = JsonDocument.Parse(System.IO.File.ReadAllText(Path.Combine(Folder, "reference.json")));
        var cases = Cases(document);
        Assert.Equal(21, cases.Count);
        await using var engine = LlmEngine.Load(new EngineOptions { ModelPath = File, DType = "float32", NumThreads = 1, KvCacheMemoryBytes = 256L << 20 });
        var runs = cases.Select(c => (Case: c, Stream: engine.Submit(EngineFixture.Greedy(Ints(c, "prompt_ids"), 64, stop: [2])))).ToList();
        foreach (var (expected, stream) in runs)
        {
            var ids = (await EngineFixture.Collect(stream)).Select(o => o.TokenId).ToArray();
            Assert.Equal(Ints(expected, "greedy_ids"), ids);
        }
    }

    [GoldenFact]
    public void Prefill_OfEveryText_GivesReferenceLogitsAndPerplexity()
    {
        using var checkpoint = GgufCheckpoint.Open(File);
        var rank = new RankContext(new SingleRank(), CpuKernels.CreateOrReference(), torch.CPU, ScalarType.Float32);
        using var model = CausalLm.Create(checkpoint.Config, rank);
        WeightLoader.Load(model, checkpoint);
        using var cache = new KvCache(checkpoint.Config, rank, 128, 16);
        using var document = JsonDocument.Parse(System.IO.File.ReadAllText(Path.Combine(Folder, "reference.json")));
        foreach (var expected in Cases(document))
        {
            using var scope = new TensorScope();
            var logits = model.Logits(Prefill(model, cache, Ints(expected, "prompt_ids")))[^1];
            var values = expected.GetProperty("top_logits").EnumerateArray().Select(e => e.GetSingle()).ToArray();
            var ids = Ints(expected, "top_ids");
            Assert.Equal(20, ids.Length);
            for (int i = 0; i < ids.Length; i++)
                Assert.Equal(values[i], logits[ids[i]].item<float>(), 1e-3);
        }

        CheckPerplexity(model, cache);
    }

    private static void CheckPerplexity(CausalLm model, KvCache cache)
    {
        using var document = JsonDocument.Parse(System.IO.File.ReadAllText(Path.Combine(Folder, "perplexity.json")));
        var ids = Ints(document.RootElement, "ids");
        using var scope = new TensorScope();
        var logprobs = model.Logits(Prefill(model, cache, ids)).log_softmax(-1);
        var targets = tensor(ids.Skip(1).Select(i => (long)i).ToArray()).unsqueeze(1);
        double nll = -logprobs.narrow(0, 0, ids.Length - 1).gather(1, targets).mean().item<float>();
        Assert.Equal(21.118, Math.Exp(nll), 0.002);
    }

    private static Tensor Prefill(CausalLm model, KvCache cache, int[] ids)
    {
        var blocks = Enumerable.Range(0, (ids.Length + cache.BlockSize - 1) / cache.BlockSize).ToArray();
        var batch = new PagedBatch([new PagedSequence(0, ids.Length, ids.Length, blocks)], cache.BlockSize, torch.CPU);
        var context = new ForwardContext(arange(ids.Length, ScalarType.Int64), new PagedAttention(model.Rank.Kernels, cache, batch));
        return model.Forward(tensor(ids.Select(i => (long)i).ToArray()), context);
    }

    private static List<JsonElement> Cases(JsonDocument document) => [.. Find(document.RootElement)];

    private static IEnumerable<JsonElement> Find(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object when element.TryGetProperty("greedy_ids", out _) => [element],
        JsonValueKind.Object => element.EnumerateObject().SelectMany(p => Find(p.Value)),
        JsonValueKind.Array => element.EnumerateArray().SelectMany(Find),
        _ => [],
    };

    private static int[] Ints(JsonElement element, string name) => [.. element.GetProperty(name).EnumerateArray().Select(e => e.GetInt32())];
}
