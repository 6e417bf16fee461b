using System.Diagnostics;
using System.Globalization;
using System.Numerics.Tensors;
using DeepSeekR1.Compute;
using DeepSeekR1.Models;

namespace DeepSeekR1.Engine.Planning;

/// <summary>What to plan for.</summary>
/// <param name="Context">Longest sequence in tokens.</param>
/// <param name="Concurrency">Sequences of that length at once.</param>
/// <param name="Quantization">fp8 or none; null takes the checkpoint's.</param>
/// <param name="ComputeType">Type of activations, cache and dense weights.</param>
/// <param name="ChunkTokens">Most tokens of one step (max-num-batched-tokens).</param>
public sealed record PlanRequest(int Context, int Concurrency, string? Quantization, DType ComputeType = DType.BFloat16, int ChunkTokens = 2048);

/// <summary>Bytes on the largest rank.</summary>
public sealed record RankPlan(
    long LinearWeights, long OtherWeights, long QuantizedWeights, long TiedHeadCopy, long KvCache, long Activations, long Communication, long Overhead)
{
    /// <summary>Everything but the cache.</summary>
    public long Fixed => LinearWeights + OtherWeights + QuantizedWeights + TiedHeadCopy + Activations + Communication + Overhead;

    /// <summary>Everything.</summary>
    public long Total => Fixed + KvCache;
}

/// <summary>A model on some devices: what it takes, whether that fits, and why not.</summary>
/// <param name="Device">The device.</param>
/// <param name="Devices">Number of ranks, one a device.</param>
/// <param name="Rank">Bytes on the largest rank.</param>
/// <param name="UsableBytes">What a rank may take.</param>
/// <param name="Fits">Whether it does.</param>
/// <param name="Why">One sentence with the numbers.</param>
/// <param name="MaxTokens">Tokens that the cache can hold in what is left beside weights and buffers.</param>
/// <param name="DecodeTokensPerSecond">Upper estimate for one stream; null when the bandwidth is not known.</param>
/// <param name="PrefillTokensPerSecond">Estimate; null when the speed of the device is not known.</param>
/// <param name="DecodeFormula">How the first was computed, with the numbers.</param>
/// <param name="PrefillFormula">How the second was.</param>
public sealed record DevicePlan(
    HardwareEntry Device, int Devices, RankPlan Rank, long UsableBytes, bool Fits, string Why, long MaxTokens, double? DecodeTokensPerSecond,
    double? PrefillTokensPerSecond, string DecodeFormula, string PrefillFormula)
{
    /// <summary>Sequences of a length that fit at once.</summary>
    public long ConcurrencyAt(int context) => MaxTokens / Math.Max(1, context);
}

/// <summary>
/// Says what a model needs and where it fits, from its configuration alone: weights and cache exactly, as the engine allocates them;
/// activations, communication and overhead as estimates.
/// </summary>
public sealed class HardwarePlanner
{
    /// <summary>Share of a GPU that serving takes (gpu-memory-utilization).</summary>
    private const double GpuShare = 0.9;

    /// <summary>Share of the bandwidth that reading weights reaches, and of the peak speed that long products reach.</summary>
    private const double BandwidthShare = 0.7, SpeedShare = 0.4;

    private const long Gib = 1L << 30, OperatingSystem = 2 * Gib, GpuContext = 3 * Gib / 4, CpuBaseline = 3 * Gib / 10, NcclBuffers = Gib / 2;

    /// <summary>Rows of queries whose scores the attention kernels hold at once, and how many such tensors.</summary>
    private const int ScoreRows = 256, ScoreTensors = 3;
    private const int BlockSize = 16;
    private readonly ModelConfig _config;
    private readonly PlanRequest _request;
    private readonly string? _quantization;

    /// <summary>Counts the model.</summary>
    /// <exception cref="StartupException">The request makes no sense for the model.</exception>
    public HardwarePlanner(ModelConfig config, PlanRequest request)
    {
        (_config, _request) = (config, request);
        if (request.Context < 1 || request.Context > config.MaxPositions)
            throw new StartupException($"{PlanOptionList.Context} is {request.Context}; the model allows 1 to {config.MaxPositions} (max_position_embeddings).");
        if (request.Concurrency < 1)
            throw new StartupException($"{PlanOptionList.Concurrency} is {request.Concurrency}; it must be at least 1.");
        _quantization = request.Quantization switch
        {
            null => config.Fp8Block is null ? null : "fp8",
            "none" => null,
            "fp8" => "fp8",
            var other => throw new StartupException($"{PlanOptionList.Quantization} is '{other}'; it must be none or fp8."),
        };
        Size = new ModelSize(config);
    }

    /// <summary>The model, counted.</summary>
    public ModelSize Size { get; }

    /// <summary>Format of the quantized weights that is planned for; null when none are.</summary>
    public string? Quantization => _quantization;

    private int TypeBytes => _request.ComputeType == DType.Float32 ? 4 : 2;

    /// <summary>This machine's CPUs and free memory as a device, with its bandwidth as measured now.</summary>
    public static HardwareEntry ThisMachine() => new(
        $"this machine, CPU ({Environment.ProcessorCount} cores)", "host", MachineMemory.FreeHostBytes() / (double)Gib, ReadBandwidth(), null, null, true, false, null, 1, true);

    /// <summary>TB/s of plain reads on all cores: best of three over memory that no cache holds.</summary>
    private static double ReadBandwidth()
    {
        const int Piece = 1 << 20, Pieces = 256;
        var memory = new float[Piece / sizeof(float) * Pieces];
        Array.Fill(memory, 1);
        double best = double.MaxValue;
        for (int round = 0; round < 3; round++)
        {
            var watch = Stopwatch.StartNew();
            Parallel.For(0, Pieces, i => TensorPrimitives.Sum<float>(memory.AsSpan(i * (Piece / sizeof(float)), Piece / sizeof(float))));
            best = Math.Min(best, watch.Elapsed.TotalSeconds);
        }

        return Math.Round((double)Piece * Pieces / best / 1e12, 4);
    }

    /// <summary>The model on a number of equal devices.</summary>
    /// <exception cref="ModelLoadException">The model cannot be split over so many.</exception>
    public DevicePlan On(HardwareEntry device, int devices)
    {
        bool isHost = device.Vendor == "host";
        var weights = Size.OnRank(devices, _request.ComputeType.ToScalarType(), _quantization);
        long perToken = Size.CacheBytesPerToken(devices, TypeBytes);
        long wanted = (long)_request.Concurrency * ((_request.Context + BlockSize - 1) / BlockSize * BlockSize);
        var rank = new RankPlan(
            weights.Linear, weights.Other, weights.Quantized, isHost ? weights.TiedHead : 0, wanted * perToken, Activations(devices), Communication(devices),
            isHost ? CpuBaseline : GpuContext + (devices > 1 ? NcclBuffers : 0));
        long usable = isHost ? (long)(device.MemoryGib * Gib) - OperatingSystem : (long)(device.MemoryGib * Gib * GpuShare);
        long left = usable - rank.Fixed;
        long maxTokens = Math.Max(0, left / perToken / BlockSize * BlockSize);
        var (decode, decodeFormula) = Decode(device, devices, weights, perToken);
        var (prefill, prefillFormula) = Prefill(device, devices);
        return new DevicePlan(
            device, devices, rank, usable, rank.Total <= usable, Why(rank, usable, left, devices), maxTokens, decode, prefill, decodeFormula, prefillFormula);
    }

    /// <summary>
    /// The smallest purchase of the catalogue that fits: least memory in all, then fewest devices. Prices are not known here; memory
    /// follows them roughly. Null when nothing fits.
    /// </summary>
    public DevicePlan? Cheapest(IReadOnlyList<HardwareEntry> catalogue)
    {
        DevicePlan? best = null;
        var sizes = ((int[])[1, 2, 4, 8, 16]).Where(Size.CanSplit).ToList();
        foreach (var device in catalogue.Where(d => d.Runs && (d.Bf16 || _request.ComputeType != DType.BFloat16)))
            foreach (int count in sizes.Where(n => n <= 2 * device.PerNode))
            {
                // Nothing larger than the best so far is worth a look.
                if (best is not null && (count * device.MemoryGib, count).CompareTo((best.Devices * best.Device.MemoryGib, best.Devices)) >= 0)
                    break;
                if (On(device, count) is { Fits: true } plan)
                {
                    best = plan;
                    break;
                }
            }

        return best;
    }

    /// <summary>Bytes for people.</summary>
    public static string Text(long bytes) => bytes >= Gib / 10
        ? (bytes / (double)Gib).ToString("#,0.0", CultureInfo.InvariantCulture) + " GiB"
        : (bytes / (double)(1 << 20)).ToString("#,0.0", CultureInfo.InvariantCulture) + " MiB";

    private string Why(RankPlan rank, long usable, long left, int devices)
    {
        string each = devices == 1 ? "" : " a rank";
        if (left < 0)
            return $"Weights and buffers take {Text(rank.Fixed)}{each}, {Text(-left)} more than the {Text(usable)} that may be used; nothing is left for the cache.";
        return rank.Total <= usable
            ? $"It takes {Text(rank.Total)}{each} of {Text(usable)}."
            : $"The cache for {_request.Concurrency} x {_request.Context} tokens takes {Text(rank.KvCache)}{each}, but beside weights and buffers only {Text(left)} are left.";
    }

    /// <summary>
    /// The widest tensors of a layer for one step of tokens, the scores of one chunk of queries against the whole context, and the
    /// logits of the rows that sample.
    /// </summary>
    private long Activations(int devices)
    {
        long tokens = Math.Min(_request.ChunkTokens, (long)_request.Concurrency * _request.Context), hidden = _config.HiddenSize;
        long queries = (long)_config.NumHeads * (_config.Mla is { } mla ? mla.NopeWidth + mla.RopeWidth : _config.HeadDim) / devices;
        long inner = 3L * _config.IntermediateSize / devices;
        if (_config.Moe is { } moe)
            inner = Math.Max(inner, 3L * moe.ExpertWidth * moe.Rule.TopK / devices);
        long widest = tokens * Math.Max(6 * hidden, Math.Max(hidden + 3 * queries, hidden + inner)) * TypeBytes;
        long scores = ScoreTensors * sizeof(float) * Math.Max(1, _config.NumHeads / devices) * Math.Min(tokens, ScoreRows) * (long)_request.Context;
        long logits = sizeof(float) * (long)Math.Min(_request.Concurrency, tokens) * _config.VocabSize;
        return widest + scores + logits;
    }

    /// <summary>Sums of one step's states and the logits of all ranks.</summary>
    private long Communication(int devices) => devices == 1
        ? 0
        : 2 * TypeBytes * Math.Min(_request.ChunkTokens, (long)_request.Concurrency * _request.Context) * _config.HiddenSize
            + sizeof(float) * (long)_request.Concurrency * _config.VocabSize;

    private (double?, string) Decode(HardwareEntry device, int devices, RankWeights weights, long perToken)
    {
        // One token reads every weight once, but of the routed experts only the chosen ones, and of the embedding one row.
        long unused = _config.Moe is { } moe ? weights.Experts / moe.ExpertCount * (moe.ExpertCount - moe.Rule.TopK) : 0;
        long embedding = _config.TieWordEmbeddings ? 0 : (long)TypeBytes * _config.VocabSize * _config.HiddenSize / devices;
        long read = weights.Total - unused - embedding + perToken * _request.Context;
        if (device.BandwidthTbS is not { } bandwidth)
            return (null, $"bytes read a token and rank: {Text(read)}; the bandwidth of this device is not in the catalogue");
        double rate = bandwidth * 1e12 * BandwidthShare / read;
        return (rate, string.Create(
            CultureInfo.InvariantCulture,
            $"bandwidth {bandwidth} TB/s x {BandwidthShare} / bytes read a token and rank ({read / 1e9:0.00} GB: active weights and {_request.Context} cached tokens); latency of collectives not counted"));
    }

    private (double?, string) Prefill(HardwareEntry device, int devices)
    {
        if (device.Fp16Tflops is not { } speed)
            return (null, "the speed of this device is not in the catalogue");
        double rate = speed * 1e12 * SpeedShare * devices / (2.0 * Size.ActiveParameters);
        return (rate, string.Create(
            CultureInfo.InvariantCulture,
            $"{devices} x {speed} TFLOPS x {SpeedShare} / (2 x {Size.ActiveParameters / 1e9:0.00} G active parameters); products of attention not counted"));
    }
}
