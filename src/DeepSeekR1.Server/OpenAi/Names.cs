using System.Text.Json;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>Property names and constant values of answers, encoded once.</summary>
internal static class Names
{
    public static readonly JsonEncodedText Assistant = JsonEncodedText.Encode("assistant");
    public static readonly JsonEncodedText Bytes = JsonEncodedText.Encode("bytes");
    public static readonly JsonEncodedText CacheHit = JsonEncodedText.Encode("prompt_cache_hit_tokens");
    public static readonly JsonEncodedText CacheMiss = JsonEncodedText.Encode("prompt_cache_miss_tokens");
    public static readonly JsonEncodedText CachedTokens = JsonEncodedText.Encode("cached_tokens");
    public static readonly JsonEncodedText ChatChunk = JsonEncodedText.Encode("chat.completion.chunk");
    public static readonly JsonEncodedText ChatCompletion = JsonEncodedText.Encode("chat.completion");
    public static readonly JsonEncodedText Choices = JsonEncodedText.Encode("choices");
    public static readonly JsonEncodedText CompletionTokens = JsonEncodedText.Encode("completion_tokens");
    public static readonly JsonEncodedText CompletionTokensDetails = JsonEncodedText.Encode("completion_tokens_details");
    public static readonly JsonEncodedText Content = JsonEncodedText.Encode("content");
    public static readonly JsonEncodedText Created = JsonEncodedText.Encode("created");
    public static readonly JsonEncodedText DecodedToken = JsonEncodedText.Encode("decoded_token");
    public static readonly JsonEncodedText Delta = JsonEncodedText.Encode("delta");
    public static readonly JsonEncodedText FinishReason = JsonEncodedText.Encode("finish_reason");
    public static readonly JsonEncodedText Id = JsonEncodedText.Encode("id");
    public static readonly JsonEncodedText Index = JsonEncodedText.Encode("index");
    public static readonly JsonEncodedText Length = JsonEncodedText.Encode("length");
    public static readonly JsonEncodedText Logprob = JsonEncodedText.Encode("logprob");
    public static readonly JsonEncodedText Logprobs = JsonEncodedText.Encode("logprobs");
    public static readonly JsonEncodedText Message = JsonEncodedText.Encode("message");
    public static readonly JsonEncodedText Model = JsonEncodedText.Encode("model");
    public static readonly JsonEncodedText Object = JsonEncodedText.Encode("object");
    public static readonly JsonEncodedText PromptLogprobs = JsonEncodedText.Encode("prompt_logprobs");
    public static readonly JsonEncodedText PromptTokenIds = JsonEncodedText.Encode("prompt_token_ids");
    public static readonly JsonEncodedText PromptTokens = JsonEncodedText.Encode("prompt_tokens");
    public static readonly JsonEncodedText PromptTokensDetails = JsonEncodedText.Encode("prompt_tokens_details");
    public static readonly JsonEncodedText Rank = JsonEncodedText.Encode("rank");
    public static readonly JsonEncodedText Reasoning = JsonEncodedText.Encode("reasoning");
    public static readonly JsonEncodedText ReasoningContent = JsonEncodedText.Encode("reasoning_content");
    public static readonly JsonEncodedText ReasoningTokens = JsonEncodedText.Encode("reasoning_tokens");
    public static readonly JsonEncodedText Role = JsonEncodedText.Encode("role");
    public static readonly JsonEncodedText Stop = JsonEncodedText.Encode("stop");
    public static readonly JsonEncodedText Text = JsonEncodedText.Encode("text");
    public static readonly JsonEncodedText TextCompletion = JsonEncodedText.Encode("text_completion");
    public static readonly JsonEncodedText TextOffset = JsonEncodedText.Encode("text_offset");
    public static readonly JsonEncodedText Token = JsonEncodedText.Encode("token");
    public static readonly JsonEncodedText TokenIds = JsonEncodedText.Encode("token_ids");
    public static readonly JsonEncodedText TokenLogprobs = JsonEncodedText.Encode("token_logprobs");
    public static readonly JsonEncodedText Tokens = JsonEncodedText.Encode("tokens");
    public static readonly JsonEncodedText TopLogprobs = JsonEncodedText.Encode("top_logprobs");
    public static readonly JsonEncodedText TotalTokens = JsonEncodedText.Encode("total_tokens");
    public static readonly JsonEncodedText Usage = JsonEncodedText.Encode("usage");
}
