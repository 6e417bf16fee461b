using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using DeepSeekR1.Tests.Models;
using Xunit;
using Tensor = TorchSharp.torch.Tensor;

namespace DeepSeekR1.Tests.Engine;

/// <summary>Several ranks as threads: the ids and log-probabilities of one rank, the bytes of one checkpoint, no silent end.</summary>
public class TensorParallelTests
{
    public static TheoryData<string, int> Splits
    {
        get
        {
            var data = new TheoryData<string, int>();
            foreach (var name in GoldenModel.Names)
            {
                bool threeHeads = name.StartsWith("llama", StringComparison.Ordinal);
                int[] sizes = threeHeads ? [3] : name == "qwen2" ? [2] : [2, 4];
                foreach (int size in sizes)
                    data.Add(name, size);
            }

            return data;
        }
    }

    /// <summary>The same with whole experts per rank; three ranks share the experts unevenly.</summary>
    public static TheoryData<string, int> ExpertSplits
    {
        get
        {
            var data = new TheoryData<string, int>();
            foreach (var name in GoldenModel.Names.Where(n => n.StartsWith("deepseek", StringComparison.Ordinal)))
                foreach (int size in new[] { 2, 4 })
                    data.Add(name, size);
            return data;
        }
    }

    [GoldenTheory]
    [MemberData(nameof(Splits))]
    public Task Submit_OnSeveralRanks_GivesReferenceIdsAndLogprobs(string name, int ranks) => CheckAsync(name, ranks, experts: false);

    [GoldenTheory]
    [MemberData(nameof(ExpertSplits))]
    public Task Submit_WithWholeExpertsPerRank_GivesReferenceIdsAndLogprobs(string name, int ranks) => CheckAsync(name, ranks, experts: true);

    private static async Task CheckAsync(string name, int ranks, bool experts)
    {
        IReadOnlyList<GoldenPrompt> prompts;
        using (var golden = new GoldenModel(name, new TorchKernels()))
            prompts = golden.Prompts;
        await using var engine = EngineFixture.Load(name, o => o with { TensorParallelSize = ranks, EnableExpertParallel = experts, MaxNumBatchedTokens = 64, MaxNumSeqs = 8 });
        int room = engine.Facts.MaxModelLen;
        var runs = prompts.Select(p => (Prompt: p, Stream: engine.Submit(EngineFixture.Greedy(p.Ids, Math.Min(32, room - p.Ids.Length), logprobs: 0)))).ToList();
        foreach (var (prompt, stream) in runs)
        {
            var outputs = await EngineFixture.Collect(stream);
            Assert.Equal(prompt.Greedy.Take(outputs.Count), outputs.Select(o => o.TokenId));
            for (int i = 0; i < outputs.Count; i++)
                Assert.Equal(prompt.GreedyLogprobs[i], outputs[i].Logprob!.Value, 1e-4);
        }
    }

    [GoldenFact]
    public void Load_ExpertParallel_RefusesWhatHasNoMeaning()
    {
        Assert.Contains("has no experts", Assert.Throws<StartupException>(() => EngineFixture.Load("qwen2", o => o with { EnableExpertParallel = true })).Message);
    }

    [GoldenTheory]
    [InlineData("llama", 2, "1, 3, 6")]
    [InlineData("qwen2", 4, "1, 2, 6")]
    [InlineData("deepseek-v3-plain", 3, "1, 2, 4")]
    public void Load_SizeThatCannotWork_NamesThoseThatDo(string name, int ranks, string sizes)
    {
        var error = Assert.Throws<StartupException>(() => EngineFixture.Load(name, o => o with { TensorParallelSize = ranks }));
        Assert.Contains($"option:tensor-parallel-size {ranks} cannot split", error.Message);
        Assert.Contains($"Use one of: {sizes}.", error.Message);
    }

    [GoldenTheory]
    [InlineData("qwen2-tied", 4)]
    [InlineData("deepseek-v3-fp8-mtp", 2)]
    [InlineData("deepseek-v3-plain", 4, true)]
    [InlineData("llama", 3)]
    public void Load_OnSeveralRanks_ReadsEachSliceOnce(string name, int ranks, bool experts = false)
    {
        var group = new LocalGroup(ranks, TimeSpan.FromSeconds(10));
        var config = ModelConfigReader.Read(Goldens.At("models", name));
        using var checkpoint = Checkpoint.Open(Goldens.At("models", name));
        long replicated = 0;
        foreach (var member in group.Members())
        {
            var rank = new RankContext(member, new TorchKernels(), TorchSharp.torch.CPU, TorchSharp.torch.ScalarType.Float32) { ExpertParallel = experts };
            using var model = CausalLm.Create(config, rank);
            WeightLoader.Load(model, checkpoint);

            // What every rank holds whole by design, and the scales of a block that a cut goes through.
            if (member.Rank > 0)
                replicated += model.Weights.Where(s => s.Slice == TensorSlice.Whole(s.Shape) && !s.Name.Contains(".mlp.experts."))
                    .Sum(s => s.Count * 4) + model.Weights.Count * 64L;
        }

        long stored = checkpoint.Tensors.Values.Where(t => !t.Name.Contains($"layers.{config.NumLayers}."))
            .Sum(t => t.Shape.Aggregate(1L, (a, b) => a * b) * DTypes.Bytes(t.Type));
        Assert.InRange(checkpoint.BytesRead, stored, stored + replicated);
    }

    [GoldenTheory]
    [InlineData("qwen3", 2)]
    [InlineData("deepseek-v3-yarn", 2)]
    [InlineData("deepseek-v3-yarn", 2, true)]
    [InlineData("deepseek-v3-yarn", 4, true)]
    public void Forward_Collectives_AreTwoPerLayer(string name, int ranks, bool experts = false)
    {
        var group = new LocalGroup(ranks, TimeSpan.FromSeconds(10));
        var members = group.Members();
        var config = ModelConfigReader.Read(Goldens.At("models", name));
        using var checkpoint = Checkpoint.Open(Goldens.At("models", name));
        var models = members.Select(m => CausalLm.Create(config,
            new RankContext(m, new TorchKernels(), TorchSharp.torch.CPU, TorchSharp.torch.ScalarType.Float32) { ExpertParallel = experts })).ToList();
        models.ForEach(m => WeightLoader.Load(m, checkpoint));
        const int Rows = 5;
        var threads = models.Select(model => new Thread(() =>
        {
            using var scope = new TensorScope();
            var ids = TorchSharp.torch.arange(Rows, TorchSharp.torch.ScalarType.Int64);
            var attention = new DeepSeekR1.Models.Attention.DenseAttention(model.Rank.Kernels, [Rows]);
            model.Logits(model.Forward(ids, new ForwardContext(ids, attention)));
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());

        // Embedding, two per layer (attention output, feed-forward with shared experts), logits.
        Assert.Equal(1 + 2 * config.NumLayers + 1, group.Operations);
        long states = (1 + 2L * config.NumLayers) * Rows * config.HiddenSize * 4, logits = (long)Rows * config.VocabSize / ranks * 4;
        Assert.Equal(states + logits, group.Bytes);
        models.ForEach(m => m.Dispose());
    }

    [GoldenTheory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task Fault_OnOneRank_EndsEveryRequestAndNamesTheRank(int bad)
    {
        await using var engine = EngineFixture.Load("qwen2",
            o => o with { TensorParallelSize = 2, WrapKernels = (rank, kernels) => rank == bad ? new FailingKernels(100, hang: false) : kernels });
        var streams = Enumerable.Range(0, 4).Select(i => engine.Submit(EngineFixture.Greedy([i + 1, 2, 3], 200))).ToList();
        foreach (var stream in streams)
        {
            var fault = await Assert.ThrowsAsync<EngineFaultedException>(() => EngineFixture.Collect(stream));
            Assert.Contains($"Rank {bad} failed in its step: out of luck", fault.Message);
        }

        Assert.False(engine.IsHealthy);
    }

    [GoldenFact]
    public async Task Hang_OfOneRank_EndsEveryRequestAfterTheBoundedWait()
    {
        var hanging = new FailingKernels(100, hang: true);
        await using var engine = EngineFixture.Load("qwen2",
            o => o with { TensorParallelSize = 2, RankTimeoutSeconds = 1, WrapKernels = (rank, kernels) => rank == 1 ? hanging : kernels });
        var stream = engine.Submit(EngineFixture.Greedy([1, 2, 3], 200));
        var fault = await Assert.ThrowsAsync<EngineFaultedException>(() => EngineFixture.Collect(stream));
        Assert.Contains("Rank 1 did not arrive at AllReduce within 1 s", fault.Message);
        hanging.Release();
    }

    /// <summary>Fails or hangs at one linear call.</summary>
    private sealed class FailingKernels(int after, bool hang) : TorchKernels
    {
        private readonly ManualResetEventSlim _gate = new();
        private int _calls;

        public void Release() => _gate.Set();

        public override Tensor Linear(Tensor x, LinearWeight weight, Tensor? bias)
        {
            if (++_calls == after && hang)
                _gate.Wait();
            return _calls > after && !hang ? throw new InvalidOperationException("out of luck") : base.Linear(x, weight, bias);
        }
    }
}
