using System.Text.Json;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models;

/// <summary>One prompt of expected.json.</summary>
public sealed record GoldenPrompt(int Index, int[] Ids, int[] Greedy, double[] GreedyLogprobs, bool AllPositions);

/// <summary>A golden checkpoint loaded in float32 with its expectations, and a paged cache to run it on.</summary>
internal sealed class GoldenModel : IDisposable
{
    public const int BlockSize = 16;
    public const double Tolerance = 1e-4;
    private const int NumBlocks = 160;
    private readonly Checkpoint _expected;

    public GoldenModel(string name, KernelSet kernels, Device? device = null, ScalarType type = ScalarType.Float32)
    {
        Name = name;
        var folder = Goldens.At("models", name);
        var config = ModelConfigReader.Read(folder);
        Rank = new RankContext(new SingleRank(), kernels, device ?? torch.CPU, type);
        Model = CausalLm.Create(config, Rank);
        using (var checkpoint = Checkpoint.Open(folder))
            Report = WeightLoader.Load(Model, checkpoint);
        Cache = new KvCache(config, Rank, NumBlocks, BlockSize);
        _expected = Checkpoint.Open(Path.Combine(folder, "expected", "tensors.safetensors"));
        using var document = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "expected", "expected.json")));
        Prompts = [.. document.RootElement.GetProperty("prompts").EnumerateArray().Select((p, i) => new GoldenPrompt(
            i,
            [.. p.GetProperty("ids").EnumerateArray().Select(e => e.GetInt32())],
            [.. p.GetProperty("greedy").EnumerateArray().Select(e => e.GetInt32())],
            [.. p.GetProperty("greedy_logprobs").EnumerateArray().Select(e => e.GetDouble())],
            p.GetProperty("logits").GetString() == "all positions"))];
    }

    /// <summary>All twelve checkpoints, by their folders.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        "deepseek-v3-fp8-mtp", "deepseek-v3-mtp", "deepseek-v3-no-q-lora", "deepseek-v3-plain", "deepseek-v3-yarn", "deepseek-v3-yarn-mscale",
        "llama", "llama-tied", "qwen2", "qwen2-tied", "qwen3", "qwen3-yarn",
    ];

    public string Name { get; }

    public RankContext Rank { get; }

    public CausalLm Model { get; }

    public KvCache Cache { get; }

    public LoadReport Report { get; }

    public IReadOnlyList<GoldenPrompt> Prompts { get; }

    public bool HasExperts => Model.Config.Moe is not null;

    /// <summary>A tensor of the expectation; the caller disposes it.</summary>
    public Tensor Expected(string name) => _expected.Read(name);

    /// <summary>
    /// Runs one step: for each sequence the tokens [computed, computed + count) of its ids, on blocks of its own. Returns the logits
    /// of all rows [T, vocabulary] in the caller's scope.
    /// </summary>
    public Tensor Step(IReadOnlyList<(int[] Ids, int Computed, int Count, int[] Blocks)> work, MlaForm form = MlaForm.Auto, Action<int, Tensor>? observe = null,
        Action<int, Tensor, Tensor>? observeRouting = null)
    {
        var sequences = new List<PagedSequence>();
        List<long> ids = [], positions = [];
        foreach (var (all, computed, count, blocks) in work)
        {
            sequences.Add(new PagedSequence(ids.Count, count, computed + count, blocks));
            for (int i = computed; i < computed + count; i++)
            {
                ids.Add(all[i]);
                positions.Add(i);
            }
        }

        var batch = new PagedBatch(sequences, BlockSize, Rank.Device);
        var context = new ForwardContext(tensor(positions, ScalarType.Int64, Rank.Device), new PagedAttention(Rank.Kernels, Cache, batch))
        {
            MlaForm = form,
            Observe = observe,
            ObserveRouting = observeRouting,
        };
        var states = Model.Forward(tensor(ids, ScalarType.Int64, Rank.Device), context);
        observe?.Invoke(-1, states);
        return Model.Logits(states);
    }

    /// <summary>Blocks for a sequence of a length, from a block on, in an order that is not the natural one.</summary>
    public static int[] Blocks(int first, int length) => [.. Enumerable.Range(first, (length + BlockSize - 1) / BlockSize).Reverse()];

    /// <summary>Logits of all rows of ids, computed in chunks.</summary>
    public Tensor Logits(int[] ids, int chunk, MlaForm form = MlaForm.Auto, int firstBlock = 3)
    {
        var blocks = Blocks(firstBlock, ids.Length);
        var parts = new List<Tensor>();
        for (int done = 0; done < ids.Length; done += chunk)
            parts.Add(Step([(ids, done, Math.Min(chunk, ids.Length - done), blocks)], form));
        return parts.Count == 1 ? parts[0] : cat(parts);
    }

    /// <summary>Largest absolute difference between logits of all rows of a prompt and the expectation.</summary>
    public double Difference(GoldenPrompt prompt, Tensor logits)
    {
        using var expected = Expected($"prompt{prompt.Index}.logits");
        using var actual = logits.narrow(0, logits.shape[0] - expected.shape[0], expected.shape[0]);
        return MaxDifference(actual, expected);
    }

    public static double MaxDifference(Tensor a, Tensor b) => (a.cpu() - b.cpu()).abs().max().item<float>();

    public void Dispose()
    {
        Model.Dispose();
        Cache.Dispose();
        _expected.Dispose();
    }
}
