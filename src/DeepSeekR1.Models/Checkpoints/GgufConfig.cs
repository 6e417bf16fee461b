using DeepSeekR1.Compute;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>GGUF metadata to <see cref="ModelConfig"/>. Refuses what is not implemented by key and value.</summary>
internal static class GgufConfig
{
    /// <summary>Name of the tensor of rope divisors; part of the configuration, not of the weights.</summary>
    public const string RopeDivisors = "rope_freqs.weight";

    /// <summary>Reads the model's description.</summary>
    public static ModelConfig Read(GgufFile file)
    {
        var kind = file.GetString("general.architecture");
        var architecture = kind switch
        {
            "llama" => "LlamaForCausalLM",
            "qwen2" => "Qwen2ForCausalLM",
            "qwen3" => "Qwen3ForCausalLM",
            _ => throw new ModelLoadException($"'{file.Path}': general.architecture is {kind}; implemented in GGUF are llama, qwen2 and qwen3."),
        };
        int Whole(string key, long? standard = null) => file.GetInt($"{kind}.{key}", standard) is var value and >= 0 and <= int.MaxValue
            ? (int)value
            : throw new ModelLoadException($"'{file.Path}': {kind}.{key} is {file.GetInt($"{kind}.{key}", standard)}; it must be between 0 and {int.MaxValue}.");
        int heads = Whole("attention.head_count"), hidden = Whole("embedding_length");
        if (heads < 1 || hidden < 1)
            throw new ModelLoadException($"'{file.Path}': {kind}.attention.head_count is {heads} and {kind}.embedding_length is {hidden}; both must be positive.");
        int headWidth = Whole("attention.key_length", hidden / heads);
        RefuseScaling(file, kind, headWidth);
        var vocabulary = file.Tensors.TryGetValue("token_embd.weight", out var embedding) && embedding.Shape.Count == 2
            ? embedding.Shape[0]
            : throw new ModelLoadException($"'{file.Path}' has no matrix token_embd.weight.");
        return new ModelConfig
        {
            Architecture = architecture,
            VocabSize = (int)Math.Min(vocabulary, int.MaxValue),
            HiddenSize = hidden,
            IntermediateSize = Whole("feed_forward_length"),
            NumLayers = Whole("block_count"),
            NumHeads = heads,
            NumKvHeads = Whole("attention.head_count_kv", heads),
            HeadDim = headWidth,
            RmsNormEps = file.GetFloat($"{kind}.attention.layer_norm_rms_epsilon"),
            QkvBias = kind == "qwen2",
            QkNorm = kind == "qwen3",
            TieWordEmbeddings = !file.Tensors.ContainsKey("output.weight"),
            MaxPositions = Whole("context_length"),
            Rope = new RopeConfig { Theta = file.GetFloat($"{kind}.rope.freq_base", 10000), Width = headWidth, Divisors = ReadDivisors(file, headWidth) },
            BosTokenId = (int?)OptionalId(file, "tokenizer.ggml.bos_token_id"),
            EosTokenIds = OptionalId(file, "tokenizer.ggml.eos_token_id") is { } eos ? [(int)eos] : [],
        }.CheckSizes($"'{file.Path}'");
    }

    /// <summary>Llama 3's rope scaling comes as a tensor of divisors, one per pair, and not as metadata.</summary>
    private static unsafe float[]? ReadDivisors(GgufFile file, int headWidth)
    {
        if (!file.Tensors.TryGetValue(RopeDivisors, out var tensor))
            return null;
        if (tensor.Type != GgmlType.F32 || tensor.Shape.Count != 1 || tensor.Shape[0] != headWidth / 2)
            throw new ModelLoadException($"'{file.Path}': {RopeDivisors} is {tensor.Type} [{string.Join(", ", tensor.Shape)}]; it must be F32 [{headWidth / 2}].");
        using var mapped = new MappedFile(file.Path);
        var divisors = new float[headWidth / 2];
        fixed (float* target = divisors)
            GgmlBlocks.DecodeRow(tensor.Type, mapped.At(tensor.Offset), target, divisors.Length);
        return divisors;
    }

    private static long? OptionalId(GgufFile file, string key) => file.Metadata.ContainsKey(key) ? file.GetInt(key) : null;

    private static void RefuseScaling(GgufFile file, string kind, int headWidth)
    {
        var scaling = file.GetString($"{kind}.rope.scaling.type", "none");
        if (scaling != "none")
            throw new ModelLoadException($"'{file.Path}': {kind}.rope.scaling.type is {scaling}; implemented in GGUF is none.");
        long rotated = file.GetInt($"{kind}.rope.dimension_count", headWidth);
        if (rotated != headWidth)
            throw new ModelLoadException($"'{file.Path}': {kind}.rope.dimension_count is {rotated}; implemented is the head width {headWidth}.");
    }
}
