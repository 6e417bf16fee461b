using DeepSeekR1.Models;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace DeepSeekR1.Benchmarks;

/// <summary>
/// The peer of the trainer: the same model as a plain loop on TorchSharp would have it, with its autograd, its AdamW and its clipping, and nothing of this
/// project but the weights to start from. Sequences of one length, so neither side pads. B sequences, L tokens each, T = B L rows, H heads.
/// </summary>
internal sealed class PlainTrainer : IDisposable
{
    private readonly ModelConfig _config;
    private readonly Dictionary<string, Parameter> _weights = [];
    private readonly Dictionary<string, Tensor> _routerBiases = [];
    private readonly optim.Optimizer _optimizer;
    private readonly Tensor _cos, _sin;

    /// <summary>Copies the weights of a model on dense kernels.</summary>
    public PlainTrainer(CausalLm model, int length, double learningRate, double decay)
    {
        _config = model.Config;
        foreach (var group in model.Weights.GroupBy(w => w.Target))
        {
            // What the model fuses into one product is one product here too.
            var copy = group.Key.Parameter.detach().clone().DetachFromDisposeScope();
            string name = group.First().Name;
            if (name.EndsWith("e_score_correction_bias", StringComparison.Ordinal))
                _routerBiases[name] = copy;
            else
                _weights[name] = new Parameter(copy);
        }

        _optimizer = optim.AdamW(_weights.Values, learningRate, 0.9, 0.95, 1e-8, decay);
        int width = _config.Mla!.RopeWidth;
        using var frequencies = pow(_config.Rope.Theta, arange(0, width, 2, ScalarType.Float32).div(-width));
        using var angles = outer(arange(length, ScalarType.Float32), frequencies);
        _cos = angles.cos().view(1, length, 1, width / 2).DetachFromDisposeScope();
        _sin = angles.sin().view(1, length, 1, width / 2).DetachFromDisposeScope();
    }

    /// <summary>One step on ids [B, L] that predict targets [B (L - 1)]; the mean cross entropy.</summary>
    public float Step(Tensor ids, Tensor targets)
    {
        using var scope = NewDisposeScope();
        _optimizer.zero_grad();
        var states = Forward(ids);
        var rows = states.narrow(1, 0, ids.shape[1] - 1).reshape(-1, _config.HiddenSize);
        var loss = cross_entropy(linear(rows, _weights["lm_head.weight"]), targets);
        loss.backward();
        nn.utils.clip_grad_norm_(_weights.Values, 1);
        _optimizer.step();
        return loss.item<float>();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _optimizer.Dispose();
        foreach (var weight in _weights.Values)
            weight.Dispose();
        foreach (var bias in _routerBiases.Values)
            bias.Dispose();
        _cos.Dispose();
        _sin.Dispose();
    }

    private Tensor Forward(Tensor ids)
    {
        var x = _weights["model.embed_tokens.weight"].index_select(0, ids.flatten()).view(ids.shape[0], ids.shape[1], -1); // [B, L, hidden]
        for (int layer = 0; layer < _config.NumLayers; layer++)
        {
            string prefix = $"model.layers.{layer}";
            x = x + Attend(Norm(x, $"{prefix}.input_layernorm", _config.RmsNormEps), $"{prefix}.self_attn");
            var input = Norm(x, $"{prefix}.post_attention_layernorm", _config.RmsNormEps);
            x = x + (_config.IsMoeLayer(layer) ? Experts(input, $"{prefix}.mlp") : Mlp(input, $"{prefix}.mlp"));
        }

        return Norm(x, "model.norm", _config.RmsNormEps);
    }

    private Tensor Norm(Tensor x, string name, double eps) => x * (x * x).mean([-1], true).add(eps).rsqrt() * _weights[name + ".weight"];

    private Tensor Attend(Tensor x, string prefix)
    {
        var mla = _config.Mla!;
        var (batch, length, heads) = (x.shape[0], x.shape[1], _config.NumHeads);
        var down = Norm(linear(x, _weights[prefix + ".q_a_proj.weight"]), prefix + ".q_a_layernorm", 1e-6);
        var q = linear(down, _weights[prefix + ".q_b_proj.weight"]).view(batch, length, heads, -1);
        var latent = linear(x, _weights[prefix + ".kv_a_proj_with_mqa.weight"]);
        var sharedKey = Rotate(latent.narrow(-1, mla.LatentRank, mla.RopeWidth).unsqueeze(2));
        var normed = Norm(latent.narrow(-1, 0, mla.LatentRank), prefix + ".kv_a_layernorm", 1e-6);
        var up = linear(normed, _weights[prefix + ".kv_b_proj.weight"]).view(batch, length, heads, -1);
        var query = cat([q.narrow(-1, 0, mla.NopeWidth), Rotate(q.narrow(-1, mla.NopeWidth, mla.RopeWidth))], -1);
        var key = cat([up.narrow(-1, 0, mla.NopeWidth), sharedKey.expand(-1, -1, heads, -1)], -1);
        var value = up.narrow(-1, mla.NopeWidth, mla.ValueWidth);
        var mixed = scaled_dot_product_attention(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_casual: true);
        return linear(mixed.transpose(1, 2).reshape(batch, length, -1), _weights[prefix + ".o_proj.weight"]);
    }

    /// <summary>Turns neighbours of [B, L, heads, width] as pairs.</summary>
    private Tensor Rotate(Tensor x)
    {
        var pairs = x.unflatten(3, -1, 2);
        var (first, second) = (pairs.select(-1, 0), pairs.select(-1, 1));
        return stack([first * _cos - second * _sin, second * _cos + first * _sin], -1).flatten(3);
    }

    private Tensor Mlp(Tensor x, string prefix)
    {
        var halves = linear(x, _weights[prefix + ".gate_proj.weight"]).chunk(2, -1);
        return linear(silu(halves[0]) * halves[1], _weights[prefix + ".down_proj.weight"]);
    }

    /// <summary>Group-limited choice by sigmoid, then expert by expert.</summary>
    private Tensor Experts(Tensor x, string prefix)
    {
        var rule = _config.Moe!.Rule;
        var rows = x.reshape(-1, _config.HiddenSize); // [T, hidden]
        var scores = linear(rows, _weights[prefix + ".gate.weight"]).sigmoid();
        var choice = (scores.detach() + _routerBiases[prefix + ".gate.e_score_correction_bias"]).view(rows.shape[0], rule.Groups, -1);
        var groups = choice.topk(2).values.sum(-1).topk(rule.TopGroups).indexes;
        var hidden = ones(rows.shape[0], rule.Groups).scatter(1, groups, zeros(groups.shape[0], groups.shape[1])).to_type(ScalarType.Bool);
        var chosen = choice.masked_fill(hidden.unsqueeze(-1), double.NegativeInfinity).flatten(1).topk(rule.TopK).indexes; // [T, TopK]
        var weights = scores.gather(1, chosen);
        weights = weights / weights.sum(-1, true) * rule.Scale;
        var sum = zeros_like(rows);
        for (int expert = 0; expert < _config.Moe.ExpertCount; expert++)
        {
            var places = chosen.eq(expert).nonzero(); // [picks, 2]: row, place
            var (row, place) = (places.select(1, 0), places.select(1, 1));
            var output = Mlp(rows.index_select(0, row), $"{prefix}.experts.{expert}");
            sum = sum.index_add(0, row, output * weights.flatten().index_select(0, row * rule.TopK + place).unsqueeze(1), 1);
        }

        return (sum + Mlp(rows, prefix + ".shared_experts")).view(x.shape);
    }
}
