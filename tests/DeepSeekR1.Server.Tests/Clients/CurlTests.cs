using System.Diagnostics;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests.Clients;

/// <summary>A fact that needs curl and the goldens; skipped by name where one is missing.</summary>
public sealed class CurlFactAttribute : FactAttribute
{
    /// <summary>Sets the skip reason.</summary>
    public CurlFactAttribute() => Skip = Goldens.Missing ?? ((Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Any(folder => File.Exists(Path.Combine(folder, "curl"))) ? null : "curl is not installed.");
}

/// <summary>curl against the real server.</summary>
[Collection(ClientCollection.Name)]
public sealed class CurlTests(ClientServers servers)
{
    private async Task<(int Code, string Output)> CurlAsync(string user, string members, Uri? address, params string[] options)
    {
        string url = new Uri(address ?? servers.Main.Address, "/v1/chat/completions").ToString();
        using var curl = Process.Start(new ProcessStartInfo("curl",
        [
            "-sS", url, "-H", "Content-Type: application/json", "-H", "Authorization: Bearer " + ClientServers.Key,
            "-d", DeepSeekServer.Chat(user, members), .. options,
        ])
        { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string output = await curl.StandardOutput.ReadToEndAsync();
        await curl.WaitForExitAsync();
        return (curl.ExitCode, output);
    }

    [CurlFact]
    public async Task Curl_WholeAndStreamed_ArriveComplete()
    {
        var (code, whole) = await CurlAsync("short", "", null);
        Assert.Equal(0, code);
        Assert.Contains("\"content\":\"cd\",\"reasoning_content\":\"ab\"", whole);
        (code, string stream) = await CurlAsync("short", "\"stream\":true", null, "-N");
        Assert.Equal(0, code);
        Assert.EndsWith("data: [DONE]\n\n", stream);
    }

    /// <summary>18 is curl's code for a transfer that ended early: a script notices that the answer is not complete.</summary>
    [CurlFact]
    public async Task Curl_StreamThatFails_EndsWithCode18()
    {
        var (code, output) = await CurlAsync("fails", "\"stream\":true", null);
        Assert.Equal(18, code);
        Assert.Contains("data: {\"error\":", output);
    }

    [CurlFact]
    public async Task Curl_FullQueue_RetryWaitsAsTold()
    {
        var busy = await servers.BusyAsync(refusals: 1);
        var (code, output) = await CurlAsync("short", "", busy.Address, "--retry", "3", "--fail");
        Assert.Equal(0, code);
        Assert.Contains("\"content\":\"cd\"", output);
    }

    [CurlFact]
    public async Task Curl_Killed_FreesTheServer()
    {
        long before = (await servers.IdleAsync()).RequestsCancelled;
        var (code, _) = await CurlAsync("slow", "\"stream\":true,\"max_tokens\":240,\"ignore_eos\":true", null, "--max-time", "0.3");
        Assert.Equal(28, code);
        Assert.Equal(before + 1, (await servers.IdleAsync(cancelled: before + 1)).RequestsCancelled);
    }
}
