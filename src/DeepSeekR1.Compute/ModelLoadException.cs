namespace DeepSeekR1.Compute;

/// <summary>A checkpoint, an option or this machine does not allow the model to be loaded. The message says what and what to do.</summary>
public sealed class ModelLoadException(string message, Exception? inner = null) : Exception(message, inner);
