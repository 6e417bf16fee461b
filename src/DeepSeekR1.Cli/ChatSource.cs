using System.Runtime.CompilerServices;
using DeepSeekR1.Text;

namespace DeepSeekR1.Cli;

/// <summary>How the user wants to talk.</summary>
internal sealed record ChatSettings(string? System, double? Temperature, int? MaxTokens);

/// <summary>One message of the conversation.</summary>
internal sealed record ChatTurn(string Role, string Content);

/// <summary>Tokens of an answer.</summary>
internal readonly record struct ChatUsage(int Completion, int Reasoning);

/// <summary>What arrived of an answer.</summary>
internal readonly record struct ChatPiece(IReadOnlyList<OutputEvent> Events, ChatUsage? Usage = null);

/// <summary>The other side cannot answer; the message is for people.</summary>
internal sealed class ChatSourceException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Who answers.</summary>
internal abstract class ChatSource : IAsyncDisposable
{
    /// <summary>Name for the first line.</summary>
    public abstract string Name { get; }

    /// <summary>Answers a conversation whose last message is the user's.</summary>
    public abstract IAsyncEnumerable<ChatPiece> AnswerAsync(IReadOnlyList<ChatTurn> history, ChatSettings settings, CancellationToken cancellation);

    /// <inheritdoc/>
    public abstract ValueTask DisposeAsync();
}

/// <summary>A model in this process.</summary>
internal sealed class LocalChatSource(ChatEngine engine) : ChatSource
{
    /// <inheritdoc/>
    public override string Name => engine.Facts.Architecture;

    /// <inheritdoc/>
    public override async IAsyncEnumerable<ChatPiece> AnswerAsync(
        IReadOnlyList<ChatTurn> history, ChatSettings settings, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var generation = engine.Start(new ChatRequest
        {
            Id = "chat",
            Messages = [.. history.Select(turn => new ChatMessage(turn.Role, turn.Content))],
            Settings = new GenerationSettings { Temperature = (float?)settings.Temperature, MaxTokens = settings.MaxTokens },
        });
        try
        {
            await foreach (var step in generation.ReadAsync(cancellation))
                yield return new ChatPiece(step.Events, step.End is null ? null : new ChatUsage(generation.Usage.CompletionTokens, generation.Usage.ReasoningTokens));
        }
        finally
        {
            await generation.AbandonAsync();
        }
    }

    /// <inheritdoc/>
    public override ValueTask DisposeAsync() => engine.DisposeAsync();
}
