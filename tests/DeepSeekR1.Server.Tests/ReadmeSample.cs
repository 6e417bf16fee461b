using DeepSeekR1.Text;
using Microsoft.Extensions.AI;

namespace DeepSeekR1.Server.Tests;

/// <summary>The program of the README that has a model inside. A test compares it with the page and runs it.</summary>
internal static class ReadmeSample
{
    /// <summary>Runs it with a model.</summary>
    public static async Task RunAsync(string model)
    {
        // Sample begins.
        using var client = DeepSeekChatClient.Load(model);
        await foreach (var update in client.GetStreamingResponseAsync("What is the capital of France?", new() { Temperature = 0 }))
            Console.Write(update.Text);
        // Sample ends.
    }
}
