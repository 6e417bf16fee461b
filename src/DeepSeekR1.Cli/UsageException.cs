namespace DeepSeekR1.Cli;

/// <summary>The command line, the environment or the settings file hold something wrong. Becomes exit code 2.</summary>
internal sealed class UsageException(string message) : Exception(message);
