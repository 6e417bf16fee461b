using DeepSeekR1.Compute;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>
/// A .gguf file as a checkpoint: ggml names become hub names, blocks are decoded to float32 when they are read, and the row
/// order that llama.cpp gives q and k of Llama models is undone. Owns the mapping.
/// </summary>
public sealed class GgufCheckpoint : Checkpoint
{
    private static readonly (string Ggml, string Hub)[] LayerNames =
    [
        ("attn_norm", "input_layernorm"),
        ("ffn_norm", "post_attention_layernorm"),
        ("attn_q_norm", "self_attn.q_norm"),
        ("attn_k_norm", "self_attn.k_norm"),
        ("attn_q", "self_attn.q_proj"),
        ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"),
        ("attn_output", "self_attn.o_proj"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"),
        ("ffn_down", "mlp.down_proj"),
    ];

    private readonly MappedFile _mapped;
    private readonly Dictionary<string, StoredTensor> _tensors = [];
    private readonly Dictionary<string, GgufTensor> _sources = [];
    private readonly int _headWidth;
    private readonly bool _interleavedRows;

    private GgufCheckpoint(GgufFile file)
    {
        File = file;
        Config = GgufConfig.Read(file);
        _headWidth = Config.HeadDim;
        _interleavedRows = file.GetString("general.architecture") == "llama";
        foreach (var tensor in file.Tensors.Values.Where(t => t.Name != GgufConfig.RopeDivisors))
        {
            var name = HubName(tensor.Name);
            if (!GgmlBlocks.CanDecode(tensor.Type))
                throw new ModelLoadException($"'{file.Path}': tensor '{tensor.Name}' is {tensor.Type}; implemented are F32, F16, BF16, Q4_0, Q4_1 and Q8_0.");
            _sources.Add(name, tensor);
            _tensors.Add(name, new StoredTensor(name, DType.Float32, [.. tensor.Shape]));
        }

        _mapped = new MappedFile(file.Path);
    }

    /// <summary>The container: metadata for configuration and tokenizer.</summary>
    public GgufFile File { get; }

    /// <summary>The model that the metadata describes.</summary>
    public ModelConfig Config { get; }

    /// <inheritdoc/>
    public override string Location => File.Path;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, StoredTensor> Tensors => _tensors;

    /// <summary>Opens a file.</summary>
    /// <exception cref="ModelLoadException">It is malformed, or holds something that is not implemented.</exception>
    public static GgufCheckpoint Open(string path) => new(GgufFile.Open(path));

    /// <inheritdoc/>
    public override unsafe Tensor Read(string name, TensorSlice slice)
    {
        var stored = Find(name);
        var source = _sources[name];
        bool isVector = stored.Shape.Length == 1;
        long width = isVector ? stored.Shape[0] : stored.Shape[1];
        long rowBytes = width / source.Type.BlockSize() * source.Type.BytesPerBlock();
        var matrix = isVector ? new TensorSlice(0, 1, slice.Row, slice.Rows) : slice;
        var result = empty(isVector ? [slice.Rows] : [slice.Rows, slice.Columns], ScalarType.Float32);
        var target = (float*)TorchShim.Data(result);
        bool whole = matrix.Column == 0 && matrix.Columns == width;
        bool reorder = _interleavedRows && (name.EndsWith("q_proj.weight", StringComparison.Ordinal) || name.EndsWith("k_proj.weight", StringComparison.Ordinal));
        CountBytes(matrix.Rows * rowBytes);
        TorchShim.ParallelFor(0, matrix.Rows, 16, (begin, end) =>
        {
            var scratch = whole ? [] : new float[width];
            for (long r = begin; r < end; r++)
            {
                long row = matrix.Row + r;
                var bytes = _mapped.At(source.Offset + (reorder ? StoredRow(row) : row) * rowBytes);
                if (whole)
                {
                    GgmlBlocks.DecodeRow(source.Type, bytes, target + r * width, width);
                    continue;
                }

                fixed (float* all = scratch)
                    GgmlBlocks.DecodeRow(source.Type, bytes, all, width);
                scratch.AsSpan((int)matrix.Column, (int)matrix.Columns).CopyTo(new Span<float>(target + r * matrix.Columns, (int)matrix.Columns));
            }
        });
        return result;
    }

    /// <inheritdoc/>
    public override void Dispose() => _mapped.Dispose();

    /// <summary>
    /// Llama files store the rows of each q and k head with pairs as neighbours (2 i, 2 i + 1); the hub has them half a head apart.
    /// </summary>
    private long StoredRow(long row)
    {
        long head = row / _headWidth, within = row % _headWidth, half = _headWidth / 2;
        return head * _headWidth + (within < half ? 2 * within : 2 * (within - half) + 1);
    }

    private string HubName(string name)
    {
        switch (name)
        {
            case "token_embd.weight": return Layers.Embedding.EmbeddingName;
            case "output.weight": return Layers.Embedding.HeadName;
            case "output_norm.weight": return "model.norm.weight";
        }

        var parts = name.Split('.');
        if (parts.Length == 4 && parts[0] == "blk" && int.TryParse(parts[1], out int layer))
            foreach (var (ggml, hub) in LayerNames)
                if (parts[2] == ggml)
                    return $"model.layers.{layer}.{hub}.{parts[3]}";
        throw new ModelLoadException($"'{File.Path}': tensor '{name}' is not known for architecture {File.GetString("general.architecture")}.");
    }
}
