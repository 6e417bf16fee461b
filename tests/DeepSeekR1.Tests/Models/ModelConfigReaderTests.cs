using System.Text.Json.Nodes;
using DeepSeekR1.Compute;
using DeepSeekR1.Models;
using DeepSeekR1.Testing;
using DeepSeekR1.Tests.Models.Checkpoints;
using Xunit;

namespace DeepSeekR1.Tests.Models;

/// <summary>What config.json may say: both spellings, and a refusal that names field, value and what is implemented.</summary>
public class ModelConfigReaderTests
{
    private const string Dense = """
        {
          "architectures": ["Qwen2ForCausalLM"], "vocab_size": 100, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4,
          "num_attention_heads": 8, "num_key_value_heads": 2, "max_position_embeddings": 512, "rope_theta": 1000000.0,
          "rms_norm_eps": 1e-05, "torch_dtype": "bfloat16", "bos_token_id": 3, "eos_token_id": [4, 5]
        }
        """;

    private const string DeepSeek = """
        {
          "architectures": ["DeepseekV3ForCausalLM"], "vocab_size": 100, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4,
          "num_attention_heads": 8, "max_position_embeddings": 512, "q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 8,
          "qk_rope_head_dim": 4, "v_head_dim": 8, "n_routed_experts": 16, "n_shared_experts": 1, "n_group": 4, "topk_group": 2,
          "num_experts_per_tok": 4, "moe_intermediate_size": 32, "first_k_dense_replace": 1, "norm_topk_prob": true,
          "routed_scaling_factor": 2.5, "topk_method": "noaux_tc", "scoring_func": "sigmoid",
          "quantization_config": { "quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128] }
        }
        """;

    /// <summary>Base, change, and the message after "config.json".</summary>
    public static TheoryData<string, string, string> Refusals => new()
    {
        { Dense, """{"architectures": ["MixtralForCausalLM"]}""", ": architectures is MixtralForCausalLM; implemented is DeepseekV3ForCausalLM, LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM." },
        { Dense, """{"architectures": ["DeepseekV2ForCausalLM", "Qwen2ForCausalLM"]}""", ": architectures is DeepseekV2ForCausalLM; implemented is DeepseekV3ForCausalLM, LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM." },
        { Dense, """{"architectures": [], "model_type": "gpt2"}""", ": architectures is gpt2; implemented is DeepseekV3ForCausalLM, LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM." },
        { Dense, """{"architectures": null}""", ": architectures is (nothing); implemented is DeepseekV3ForCausalLM, LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM." },
        { Dense, """{"hidden_act": "gelu"}""", ": hidden_act is gelu; implemented is silu or swish." },
        { Dense, """{"hidden_act": 1}""", ": hidden_act is 1; implemented is a text." },
        { Dense, """{"use_sliding_window": true, "sliding_window": 128, "max_window_layers": 2}""", ": use_sliding_window is true; implemented is false (attention over a window is not implemented)." },
        { Dense, """{"use_sliding_window": "yes"}""", ": use_sliding_window is yes; implemented is true or false." },
        { Dense, """{"layer_types": ["full_attention", "sliding_attention"]}""", ": layer_types is sliding_attention; implemented is full_attention." },
        { Dense, """{"layer_types": [7]}""", ": layer_types is 7; implemented is full_attention." },
        { Dense, """{"layer_types": "full_attention"}""", ": layer_types is full_attention; implemented is a list." },
        { Dense, """{"num_key_value_heads": 3}""", ": num_key_value_heads is 3; implemented is a divisor of num_attention_heads (8)." },
        { Dense, """{"num_attention_heads": 128, "num_key_value_heads": 128}""", ": num_attention_heads is 128; implemented is at most hidden_size (64)." },
        { Dense, """{"num_attention_heads": 8.5}""", ": num_attention_heads is 8.5; implemented is a whole number of at least 1." },
        { Dense, """{"hidden_size": "64"}""", ": hidden_size is 64; implemented is a whole number of at least 1." },
        { Dense, """{"hidden_size": 0}""", ": hidden_size is 0; implemented is a whole number of at least 1." },
        { Dense, """{"vocab_size": 3000000000}""", ": vocab_size is 3000000000; implemented is a whole number of at least 1." },
        { Dense, """{"vocab_size": null}""", " has no 'vocab_size', which this architecture needs." },
        { Dense, """{"hidden_size": null}""", " has no 'hidden_size', which this architecture needs." },
        { Dense, """{"intermediate_size": null}""", " has no 'intermediate_size', which this architecture needs." },
        { Dense, """{"num_hidden_layers": null}""", " has no 'num_hidden_layers', which this architecture needs." },
        { Dense, """{"num_attention_heads": null}""", " has no 'num_attention_heads', which this architecture needs." },
        { Dense, """{"rms_norm_eps": "small"}""", ": rms_norm_eps is small; implemented is a number." },
        { Dense, """{"tie_word_embeddings": 1}""", ": tie_word_embeddings is 1; implemented is true or false." },
        { Dense, """{"head_dim": 7}""", ": the rotated head width is 7; it must be even." },
        { Dense, """{"torch_dtype": "int8"}""", ": torch_dtype is int8; implemented is float32, bfloat16 or float16." },
        { Dense, """{"torch_dtype": null, "dtype": "float8"}""", ": dtype is float8; implemented is float32, bfloat16 or float16." },
        { Dense, """{"torch_dtype": 16}""", ": torch_dtype is 16; implemented is a text." },
        { Dense, """{"bos_token_id": 1.5}""", ": bos_token_id is 1.5; implemented is a whole number of at least 0." },
        { Dense, """{"eos_token_id": "</s>"}""", ": eos_token_id is </s>; implemented is a whole number of at least 0." },
        { Dense, """{"eos_token_id": [1, "x"]}""", ": eos_token_id is x; implemented is a whole number of at least 0." },
        { Dense, """{"rope_theta": "10000"}""", ": rope_theta is 10000; it must be a number." },
        { Dense, """{"rope_theta": 0}""", ": rope_theta is 0; it must be above 0." },
        { Dense, """{"partial_rotary_factor": 0.5}""", ": partial_rotary_factor is 0.5; implemented is 1." },
        { Dense, """{"rope_parameters": {"partial_rotary_factor": 0.5}}""", ": partial_rotary_factor is 0.5; implemented is 1." },
        { Dense, """{"rope_scaling": "yarn"}""", ": rope_scaling is yarn; it must be an object." },
        { Dense, """{"rope_scaling": {"type": "dynamic", "factor": 2}}""", ": rope_scaling type is dynamic; implemented is default, linear, yarn or llama3." },
        { Dense, """{"rope_scaling": {"rope_type": "longrope"}}""", ": rope_scaling type is longrope; implemented is default, linear, yarn or llama3." },
        { Dense, """{"rope_scaling": {"type": 3}}""", ": rope_scaling type is 3; it must be a text." },
        { Dense, """{"rope_scaling": {"type": "yarn"}}""", ": rope_scaling has no 'factor', which its type needs." },
        { Dense, """{"rope_scaling": {"type": "yarn", "factor": 0.5}}""", ": rope_scaling.factor is 0.5; it must be at least 1." },
        { Dense, """{"rope_scaling": {"type": "yarn", "factor": "4"}}""", ": factor is 4; it must be a number." },
        { Dense, """{"rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 0}}""", ": original_max_position_embeddings is 0; it must be above 0." },
        { Dense, """{"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}}""", ": rope_scaling has no 'original_max_position_embeddings', which its type needs." },
        { Dense, """{"rope_scaling": {"type": "llama3", "factor": 8, "high_freq_factor": 4}}""", ": rope_scaling has no 'low_freq_factor', which its type needs." },
        { DeepSeek, """{"topk_method": "group_limited_greedy"}""", ": topk_method is group_limited_greedy; implemented is noaux_tc." },
        { DeepSeek, """{"scoring_func": "softmax"}""", ": scoring_func is softmax; implemented is sigmoid." },
        { DeepSeek, """{"scoring_func": true}""", ": scoring_func is True; implemented is a text." },
        { DeepSeek, """{"moe_layer_freq": 2}""", ": moe_layer_freq is 2; implemented is 1." },
        { DeepSeek, """{"n_group": 5}""", ": n_group is 5; implemented is a divisor of n_routed_experts (16)." },
        { DeepSeek, """{"topk_group": 5}""", ": topk_group is 5; implemented is at most n_group (4)." },
        { DeepSeek, """{"num_experts_per_tok": 9}""", ": num_experts_per_tok is 9; implemented is at most the 8 experts of the kept groups." },
        { DeepSeek, """{"n_routed_experts": "16"}""", ": n_routed_experts is 16; implemented is a whole number of at least 1." },
        { DeepSeek, """{"q_lora_rank": "24"}""", ": q_lora_rank is 24; implemented is a whole number of at least 1." },
        { DeepSeek, """{"kv_lora_rank": null}""", " has no 'kv_lora_rank', which this architecture needs." },
        { DeepSeek, """{"v_head_dim": null}""", " has no 'v_head_dim', which this architecture needs." },
        { DeepSeek, """{"num_experts_per_tok": null}""", " has no 'num_experts_per_tok', which this architecture needs." },
        { DeepSeek, """{"qk_rope_head_dim": 5}""", ": the rotated head width is 5; it must be even." },
        { DeepSeek, """{"attention_bias": true}""", ": attention_bias is true; implemented is false for DeepSeek-V3." },
        { DeepSeek, """{"quantization_config": "fp8"}""", ": quantization_config is fp8; implemented is an object." },
        { DeepSeek, """{"quantization_config": {"quant_method": "gptq"}}""", ": quantization_config.quant_method is gptq; implemented is fp8 (128 x 128 blocks), bitsandbytes or deepseek-r1-int4." },
        { DeepSeek, """{"quantization_config": {"bits": 4}}""", ": quantization_config.quant_method is (nothing); implemented is fp8 (128 x 128 blocks), bitsandbytes or deepseek-r1-int4." },
        { DeepSeek, """{"quantization_config": {"quant_method": "fp8", "fmt": "e5m2"}}""", ": quantization_config.fmt is e5m2; implemented is e4m3." },
        { DeepSeek, """{"quantization_config": {"quant_method": "fp8", "scale_fmt": "ue8m0"}}""", ": quantization_config.scale_fmt is ue8m0; implemented is nothing (float32 scales)." },
        { DeepSeek, """{"quantization_config": {"quant_method": "fp8"}}""", ": quantization_config.weight_block_size is (nothing); implemented is two block sizes, for example [128, 128]." },
        { DeepSeek, """{"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 0]}}""", ": quantization_config.weight_block_size is 0; implemented is a whole number of at least 1." },
        { DeepSeek, """{"quantization_config": {"quant_method": "fp8", "weight_block_size": [128.5, 128]}}""", ": quantization_config.weight_block_size is 128.5; implemented is a whole number of at least 1." },
    };

    /// <summary>Two spellings of one thing.</summary>
    public static TheoryData<string, string, string> Spellings => new()
    {
        { Dense, """{"torch_dtype": "float16"}""", """{"torch_dtype": null, "dtype": "float16"}""" },
        { Dense, """{"eos_token_id": [7]}""", """{"eos_token_id": 7}""" },
        { Dense, """{"model_type": "qwen2"}""", """{"architectures": null, "model_type": "qwen2"}""" },
        { Dense, """{"hidden_act": "silu"}""", """{"hidden_act": null}""" },
        { Dense, """{"head_dim": 8}""", "{}" },
        { Dense, """{"rope_scaling": null}""", """{"rope_theta": null, "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}}""" },
        { Dense, """{"use_sliding_window": true, "sliding_window": 128, "max_window_layers": 4}""",
            """{"use_sliding_window": false, "sliding_window": 128, "layer_types": ["full_attention", "full_attention", "full_attention", "full_attention"]}""" },
        {
            Dense,
            """{"rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 128, "attn_factor": 0.9}}""",
            """{"rope_theta": null, "rope_parameters": {"rope_type": "yarn", "rope_theta": 1000000, "factor": 4.0, "original_max_position_embeddings": 128, "attn_factor": 0.9}}"""
        },
        {
            Dense,
            """{"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 128}}""",
            """{"rope_theta": null, "rope_parameters": {"rope_type": "llama3", "rope_theta": 1000000, "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 128}}"""
        },
        {
            Dense,
            """{"rope_scaling": {"type": "linear", "factor": 2}}""",
            """{"rope_parameters": {"rope_type": "linear", "factor": 2}}"""
        },
        {
            DeepSeek,
            """{"rope_theta": 5000, "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 64, "mscale": 0.707, "mscale_all_dim": 1}}""",
            """{"rope_interleave": true, "rope_parameters": {"rope_type": "yarn", "rope_theta": 5000, "factor": 40, "original_max_position_embeddings": 64, "mscale": 0.707, "mscale_all_dim": 1, "beta_fast": 32, "beta_slow": 1}}"""
        },
        { DeepSeek, """{"topk_method": null, "scoring_func": null}""", """{"moe_layer_freq": 1, "num_nextn_predict_layers": 0}""" },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public void Parse_WhatIsNotImplemented_IsRefusedByFieldAndValue(string start, string change, string message)
    {
        var refusal = Assert.Throws<ModelLoadException>(() => ModelConfigReader.Parse(Changed(start, change)));
        Assert.Equal("config.json" + message, refusal.Message);
    }

    [Theory]
    [MemberData(nameof(Spellings))]
    public void Parse_OldAndNewSpelling_GiveEqualConfigs(string start, string first, string second)
    {
        var (old, fresh) = (ModelConfigReader.Parse(Changed(start, first)), ModelConfigReader.Parse(Changed(start, second)));
        Assert.Equal(old.EosTokenIds, fresh.EosTokenIds);
        Assert.Equal(old with { EosTokenIds = [] }, fresh with { EosTokenIds = [] });
    }

    [Fact]
    public void Parse_EveryFieldOfADenseModel_IsRead()
    {
        var config = ModelConfigReader.Parse(Dense);
        Assert.Equal([4, 5], config.EosTokenIds);
        var expected = new ModelConfig
        {
            Architecture = "Qwen2ForCausalLM",
            VocabSize = 100,
            HiddenSize = 64,
            IntermediateSize = 128,
            NumLayers = 4,
            NumHeads = 8,
            NumKvHeads = 2,
            HeadDim = 8,
            RmsNormEps = 1e-5,
            QkvBias = true,
            MaxPositions = 512,
            Rope = new RopeConfig { Theta = 1e6, Width = 8 },
            DeclaredType = DType.BFloat16,
            BosTokenId = 3,
        };
        Assert.Equal(expected, config with { EosTokenIds = [] });
    }

    [Fact]
    public void Parse_EveryFieldOfDeepSeek_IsRead()
    {
        var config = ModelConfigReader.Parse(DeepSeek);
        var expected = new ModelConfig
        {
            Architecture = "DeepseekV3ForCausalLM",
            VocabSize = 100,
            HiddenSize = 64,
            IntermediateSize = 128,
            NumLayers = 4,
            NumHeads = 8,
            NumKvHeads = 8,
            HeadDim = 12,
            RmsNormEps = 1e-6,
            MaxPositions = 512,
            Rope = new RopeConfig { Theta = 10000, Width = 4, Interleaved = true },
            Mla = new MlaConfig(24, 16, 8, 4, 8),
            Moe = new MoeConfig(16, 1, 32, 1, new DeepSeekR1.Compute.Kernels.RoutingRule(4, 4, 2, true, 2.5)),
            Fp8Block = (128, 128),
            QuantizationMethod = "fp8",
        };
        Assert.Equal(expected, config with { EosTokenIds = [] });
        Assert.Equal([false, true, true, true], Enumerable.Range(0, 4).Select(config.IsMoeLayer));
    }

    [Theory]
    [InlineData("", "config.json is not valid JSON: ")]
    [InlineData("{\"vocab_size\": 1,}", "config.json is not valid JSON: ")]
    [InlineData("not json", "config.json is not valid JSON: ")]
    [InlineData("{\"model_type\": \"\\ud800\"}", "config.json is not valid JSON: ")]
    [InlineData("[]", "config.json is not a JSON object.")]
    [InlineData("null", "config.json is not a JSON object.")]
    public void Parse_WhatIsNotAnObject_IsRefused(string text, string message)
        => Assert.StartsWith(message, Assert.Throws<ModelLoadException>(() => ModelConfigReader.Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void Read_FolderWithoutConfig_SaysWhatModelMustBe()
    {
        using var folder = CheckpointCopy.Empty();
        Assert.Equal(
            $"'{folder.Folder}' has no config.json. MODEL must be a checkpoint folder as published on the hub (config.json, *.safetensors, tokenizer.json) or a .gguf file.",
            Assert.Throws<ModelLoadException>(() => ModelConfigReader.Read(folder.Folder)).Message);
        Directory.CreateDirectory(folder.At("config.json"));
        Assert.Contains("has no config.json", Assert.Throws<ModelLoadException>(() => ModelConfigReader.Read(folder.Folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_FileThatCannotBeRead_IsRefusedByItsPath()
    {
        using var folder = CheckpointCopy.Empty();
        using var held = new FileStream(folder.At("config.json"), FileMode.Create, FileAccess.Write, FileShare.None);
        Assert.StartsWith(
            $"'{folder.At("config.json")}' cannot be read: ", Assert.Throws<ModelLoadException>(() => ModelConfigReader.Read(folder.Folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_MessagesNameTheFile()
    {
        using var folder = CheckpointCopy.Empty();
        File.WriteAllText(folder.At("config.json"), Changed(Dense, """{"hidden_act": "gelu"}"""));
        Assert.Equal(
            $"{folder.At("config.json")}: hidden_act is gelu; implemented is silu or swish.", Assert.Throws<ModelLoadException>(() => ModelConfigReader.Read(folder.Folder)).Message);
    }

    [GoldenTheory]
    [MemberData(nameof(GoldenModelTests.Checkpoints), MemberType = typeof(GoldenModelTests))]
    public void Read_GoldenInNewSpelling_GivesTheSameConfig(string name)
    {
        using var copy = CheckpointCopy.Of(name);
        var old = ModelConfigReader.Read(copy.Folder);
        copy.EditConfig(config =>
        {
            var rules = (config["rope_scaling"]?.DeepClone() as JsonObject) ?? new JsonObject { ["rope_type"] = "default" };
            rules["rope_theta"] = config["rope_theta"]!.DeepClone();
            if (rules["type"] is { } type)
            {
                rules["rope_type"] = type.DeepClone();
                rules.Remove("type");
            }

            config["rope_parameters"] = rules;
            config["dtype"] = config["torch_dtype"]!.DeepClone();
            foreach (var field in new[] { "rope_theta", "rope_scaling", "torch_dtype" })
                config.Remove(field);
        });
        var fresh = ModelConfigReader.Read(copy.Folder);
        Assert.Equal(old.EosTokenIds, fresh.EosTokenIds);
        Assert.Equal(old with { EosTokenIds = [] }, fresh with { EosTokenIds = [] });
    }

    /// <summary>A config with fields replaced, or removed where the change says null.</summary>
    private static string Changed(string start, string change)
    {
        var config = (JsonObject)JsonNode.Parse(start)!;
        foreach (var (name, value) in (JsonObject)JsonNode.Parse(change)!)
        {
            config.Remove(name);
            if (value is not null)
                config[name] = value.DeepClone();
        }

        return config.ToJsonString();
    }
}
