namespace DeepSeekR1.Engine;

/// <summary>A user's request cannot be served as it is. Becomes HTTP 400 in OpenAI's error shape.</summary>
/// <param name="param">Name of the offending field; null when no single field is to blame.</param>
/// <param name="code">Machine-readable code, for example <c>context_length_exceeded</c>.</param>
/// <param name="message">Names the value, the limit and the next step.</param>
public sealed class InvalidRequestException(string? param, string? code, string message) : Exception(message)
{
    /// <summary>Name of the offending field.</summary>
    public string? Param { get; } = param;

    /// <summary>Machine-readable code.</summary>
    public string? Code { get; } = code;
}

/// <summary>No room at present: the queue is full, or the engine is closing. Becomes HTTP 429 or 503.</summary>
public sealed class CapacityException(string message, bool closing = false) : Exception(message)
{
    /// <summary>True when the engine is closing (503), false when its queue is full (429).</summary>
    public bool Closing { get; } = closing;
}

/// <summary>
/// The step that a request was part of failed, or gave it no numbers; the engine goes on. Becomes HTTP 500 that may be tried again.
/// </summary>
public sealed class StepFailedException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The engine itself failed; every waiting request ends with it. Becomes HTTP 500.</summary>
public sealed class EngineFaultedException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// The engine cannot start with this checkpoint, these options or this machine. The message says what is wrong and what to
/// do; the process ends with exit code 2. Wraps what the lower layers report (<c>ModelLoadException</c>).
/// </summary>
public sealed class StartupException(string message, Exception? inner = null) : Exception(message, inner);
