using System.Text.Json.Nodes;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Server.Operations;

/// <summary>
/// What a request field is when it is left out, for the OpenAPI document. Sampling defaults are those of the loaded checkpoint.
/// </summary>
internal sealed class FieldDefaults(string model, ServerOptions options, GenerationDefaults? checkpoint)
{
    /// <summary>Fields that are simply not set when they are left out; their descriptions say what happens then.</summary>
    private static readonly HashSet<string> Unset =
    [
        "seed", "stop", "logit_bias", "allowed_token_ids", "cache_salt", "best_of", "prompt_logprobs", "timeout", "stream_options", "user",
        "max_completion_tokens", "thinking_token_budget", "answer_reserve", "thinking", "separate_reasoning", "chat_template_kwargs", "max_tokens",
        "continue_final_message",
    ];

    /// <summary>The default as JSON; null when the field is not set then.</summary>
    /// <exception cref="InvalidOperationException">Nobody has said what the field's default is.</exception>
    public JsonNode? Of(string field, string type) => field switch
    {
        _ when Unset.Contains(field) => null,
        "model" => model,
        "temperature" => Round(checkpoint?.Temperature ?? 1),
        "top_p" => Round(checkpoint?.TopP ?? 1),
        "top_k" => checkpoint?.TopK ?? 0,
        "min_p" => Round(checkpoint?.MinP ?? 0),
        "repetition_penalty" => Round(checkpoint?.RepetitionPenalty ?? 1),
        "presence_penalty" or "frequency_penalty" or "min_tokens" or "priority" or "top_logprobs" => 0,
        "n" => 1,
        "stop_token_ids" or "bad_words" => new JsonArray(),
        "skip_special_tokens" or "add_generation_prompt" or "add_special_tokens" or "think" => true,
        "ignore_eos" or "include_stop_str_in_output" or "return_token_ids" or "stream" or "maths_hint" or "echo" or "return_token_strs" => false,
        "enforce_thinking" => options.EnforceThinking,
        "logprobs" => type == "boolean" ? false : null,
        "reasoning_format" => options.ReasoningFormat == Text.ReasoningFormat.Inline ? "inline" : "separate",
        "reasoning_effort" => "medium",
        _ => throw new InvalidOperationException($"The field '{field}' has no default in the OpenAPI document."),
    };

    /// <summary>0.6 and not 0.60000002384: the nearest short number of a float32.</summary>
    private static JsonNode Round(float value) => (double)(decimal)value;
}
