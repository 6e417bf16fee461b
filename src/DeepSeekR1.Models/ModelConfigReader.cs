using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;

namespace DeepSeekR1.Models;

/// <summary>
/// config.json to <see cref="ModelConfig"/>, in the old and the new spelling of the field's libraries. Refuses what is not
/// implemented by naming field and value: a wrong number is worse than no answer.
/// </summary>
public sealed class ModelConfigReader
{
    /// <summary>Stands for a missing value in messages.</summary>
    private const string Nothing = "(nothing)";

    private readonly JsonElement _root;
    private readonly string _source;

    private ModelConfigReader(JsonElement root, string source)
    {
        _root = root;
        _source = source;
    }

    /// <summary>Architectures that are implemented.</summary>
    public static IReadOnlyList<string> Architectures { get; } =
        ["DeepseekV3ForCausalLM", "LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"];

    /// <summary>Reads the config.json of a checkpoint folder.</summary>
    /// <exception cref="ModelLoadException">It is missing, malformed or describes something that is not implemented.</exception>
    public static ModelConfig Read(string folder)
    {
        var path = Path.Combine(folder, "config.json");
        if (!File.Exists(path))
            throw new ModelLoadException(
                $"'{folder}' has no config.json. MODEL must be a checkpoint folder as published on the hub (config.json, "
                + "*.safetensors, tokenizer.json) or a .gguf file.");
        try
        {
            return Parse(File.ReadAllText(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelLoadException($"'{path}' cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Parses the text of a config.json.</summary>
    /// <param name="json">The text.</param>
    /// <param name="source">Name for error messages.</param>
    public static ModelConfig Parse(string json, string source = "config.json")
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new ModelLoadException($"{source} is not a JSON object.");
            return new ModelConfigReader(document.RootElement, source).Build();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a string that is no text, for example half a surrogate pair.
            throw new ModelLoadException($"{source} is not valid JSON: {e.Message}", e);
        }
    }

    private ModelConfig Build()
    {
        var architecture = ReadArchitecture();
        Require("hidden_act", Text("hidden_act") ?? "silu", "silu", "swish");
        RefuseSlidingWindow();
        int hidden = Int("hidden_size", 1), heads = Int("num_attention_heads", 1), layers = Int("num_hidden_layers", 1);
        var mla = architecture == "DeepseekV3ForCausalLM" ? ReadMla() : null;
        int kvHeads = mla is null ? Int("num_key_value_heads", 1, heads) : heads;
        int headDim = mla is null ? Int("head_dim", 1, hidden / heads) : mla.NopeWidth + mla.RopeWidth;
        if (headDim == 0)
            throw Refuse("num_attention_heads", heads.ToString(), $"at most hidden_size ({hidden})");
        if (mla is null && heads % kvHeads != 0)
            throw Refuse("num_key_value_heads", kvHeads.ToString(), $"a divisor of num_attention_heads ({heads})");
        int positions = Int("max_position_embeddings", 1, 2048);
        bool attentionBias = Flag("attention_bias");
        var config = new ModelConfig
        {
            Architecture = architecture,
            VocabSize = Int("vocab_size", 1),
            HiddenSize = hidden,
            IntermediateSize = Int("intermediate_size", 1),
            NumLayers = layers,
            NumHeads = heads,
            NumKvHeads = kvHeads,
            HeadDim = headDim,
            RmsNormEps = Number("rms_norm_eps") ?? 1e-6,
            QkvBias = architecture == "Qwen2ForCausalLM" || attentionBias,
            OutputBias = architecture != "Qwen2ForCausalLM" && attentionBias,
            MlpBias = Flag("mlp_bias"),
            QkNorm = architecture == "Qwen3ForCausalLM",
            TieWordEmbeddings = Flag("tie_word_embeddings"),
            MaxPositions = positions,
            Rope = new RopeReader(_root, _source).Read(mla?.RopeWidth ?? headDim, positions, mla is not null),
            Mla = mla,
            Moe = mla is null ? null : ReadMoe(),
            NumMtpLayers = mla is null ? 0 : Int("num_nextn_predict_layers", 0, 0),
            DeclaredType = ReadType(),
            BosTokenId = OptionalInt("bos_token_id", 0),
            EosTokenIds = ReadIds("eos_token_id"),
        };
        if (mla is not null && attentionBias)
            throw Refuse("attention_bias", "true", "false for DeepSeek-V3");
        return ReadQuantization(config).CheckSizes(_source);
    }

    private string ReadArchitecture()
    {
        var names = Member("architectures") is { ValueKind: JsonValueKind.Array } list
            ? list.EnumerateArray().Where(e => e.ValueKind == JsonValueKind.String).Select(e => e.GetString()!).ToArray()
            : [];
        var name = names.FirstOrDefault() ?? Text("model_type") switch
        {
            "deepseek_v3" => "DeepseekV3ForCausalLM",
            "qwen2" => "Qwen2ForCausalLM",
            "qwen3" => "Qwen3ForCausalLM",
            "llama" => "LlamaForCausalLM",
            var other => other ?? "",
        };
        return Architectures.Contains(name)
            ? name
            : throw Refuse("architectures", name.Length == 0 ? Nothing : name, string.Join(", ", Architectures));
    }

    private MlaConfig ReadMla() => new(
        OptionalInt("q_lora_rank", 1),
        Int("kv_lora_rank", 1),
        Int("qk_nope_head_dim", 1),
        Int("qk_rope_head_dim", 2),
        Int("v_head_dim", 1));

    private MoeConfig? ReadMoe()
    {
        if (OptionalInt("n_routed_experts", 1) is not { } experts)
            return null;
        Require("topk_method", Text("topk_method") ?? "noaux_tc", "noaux_tc");
        Require("scoring_func", Text("scoring_func") ?? "sigmoid", "sigmoid");
        int frequency = Int("moe_layer_freq", 1, 1);
        if (frequency != 1)
            throw Refuse("moe_layer_freq", frequency.ToString(), "1");
        int groups = Int("n_group", 1, 1), topGroups = Int("topk_group", 1, 1);
        int topK = Int("num_experts_per_tok", 1);
        if (experts % groups != 0)
            throw Refuse("n_group", groups.ToString(), $"a divisor of n_routed_experts ({experts})");
        if (topGroups > groups)
            throw Refuse("topk_group", topGroups.ToString(), $"at most n_group ({groups})");
        if (topK > experts / groups * topGroups)
            throw Refuse("num_experts_per_tok", topK.ToString(), $"at most the {experts / groups * topGroups} experts of the kept groups");
        var rule = new RoutingRule(topK, groups, topGroups, Flag("norm_topk_prob", true), Number("routed_scaling_factor") ?? 1);
        return new MoeConfig(experts, Int("n_shared_experts", 0, 0), Int("moe_intermediate_size", 1), Int("first_k_dense_replace", 0, 0), rule);
    }

    private void RefuseSlidingWindow()
    {
        bool used = Flag("use_sliding_window") && Member("sliding_window") is { ValueKind: JsonValueKind.Number };
        if (used && Int("max_window_layers", 0, 0) < Int("num_hidden_layers", 1))
            throw Refuse("use_sliding_window", "true", "false (attention over a window is not implemented)");
        if (Member("layer_types") is { } types)
            foreach (var type in types.ValueKind == JsonValueKind.Array ? types.EnumerateArray() : throw Refuse("layer_types", types.ToString(), "a list"))
                Require("layer_types", type.ToString(), "full_attention");
    }

    private ModelConfig ReadQuantization(ModelConfig config)
    {
        const string Section = "quantization_config", BlockSize = "weight_block_size", Group = "group_size", FourBits = "bnb_4bit_quant_type";
        if (Member(Section) is not { } quantization)
            return config;
        if (quantization.ValueKind != JsonValueKind.Object)
            throw Refuse(Section, quantization.ToString(), "an object");
        string Value(string name) => quantization.TryGetProperty(name, out var value) && value.ToString() is { Length: > 0 } text ? text : Nothing;
        bool IsTrue(string name) => quantization.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;
        void Known(string name, string wanted, params string[] known)
        {
            if (!known.Contains(Value(name)))
                throw Refuse($"{Section}.{name}", Value(name), wanted);
        }

        Known("quant_method", "fp8 (128 x 128 blocks), bitsandbytes or deepseek-r1-int4", "fp8", "bitsandbytes", "deepseek-r1-int4");
        switch (Value("quant_method"))
        {
            case "bitsandbytes" when IsTrue("load_in_8bit"):
                float threshold = quantization.TryGetProperty("llm_int8_threshold", out var limit) && limit.ValueKind == JsonValueKind.Number ? limit.GetSingle() : 6;
                return config with { QuantizationMethod = "int8", OutlierThreshold = threshold };
            case "bitsandbytes":
                Known(FourBits, "nf4", "nf4");
                return config with { QuantizationMethod = "nf4" };
            case "deepseek-r1-int4":
                if (!quantization.TryGetProperty(Group, out var group))
                    throw Refuse($"{Section}.{Group}", Nothing, "a whole number of at least 1");
                return config with { QuantizationMethod = "int4", QuantizationGroup = Whole(group, $"{Section}.{Group}", 1) };
        }

        Known("fmt", "e4m3", "e4m3", Nothing);
        Known("scale_fmt", "nothing (float32 scales)", Nothing);
        if (!quantization.TryGetProperty(BlockSize, out var block) || block.ValueKind != JsonValueKind.Array || block.GetArrayLength() != 2)
            throw Refuse($"{Section}.{BlockSize}", Value(BlockSize), "two block sizes, for example [128, 128]");
        return config with
        {
            QuantizationMethod = "fp8",
            Fp8Block = (Whole(block[0], $"{Section}.{BlockSize}", 1), Whole(block[1], $"{Section}.{BlockSize}", 1)),
        };
    }

    private DType? ReadType()
    {
        var field = Member("torch_dtype") is null ? "dtype" : "torch_dtype";
        if (Text(field) is not { } name)
            return null;
        return DTypes.ParseComputeType(name) ?? throw Refuse(field, name, "float32, bfloat16 or float16");
    }

    private int[] ReadIds(string name) => Member(name) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Array } many => [.. many.EnumerateArray().Select(e => Whole(e, name, 0))],
        { } one => [Whole(one, name, 0)],
    };

    private JsonElement? Member(string name) => _root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private string? Text(string name) => Member(name) is { } value
        ? value.ValueKind == JsonValueKind.String ? value.GetString() : throw Refuse(name, value.ToString(), "a text")
        : null;

    private bool Flag(string name, bool standard = false) => Member(name) is { } value
        ? value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw Refuse(name, value.ToString(), "true or false"),
        }
        : standard;

    private double? Number(string name) => Member(name) is { } value
        ? value.ValueKind == JsonValueKind.Number ? value.GetDouble() : throw Refuse(name, value.ToString(), "a number")
        : null;

    private int Int(string name, int minimum, int? standard = null)
        => OptionalInt(name, minimum) ?? standard ?? throw new ModelLoadException($"{_source} has no '{name}', which this architecture needs.");

    private int? OptionalInt(string name, int minimum) => Member(name) is { } value ? Whole(value, name, minimum) : null;

    private int Whole(JsonElement value, string name, int minimum)
        => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= minimum
            ? number
            : throw Refuse(name, value.ToString(), $"a whole number of at least {minimum}");

    private void Require(string field, string value, params string[] known)
    {
        if (!known.Contains(value))
            throw Refuse(field, value, string.Join(" or ", known));
    }

    private ModelLoadException Refuse(string field, string value, string wanted)
        => new($"{_source}: {field} is {value}; implemented is {wanted}.");
}
