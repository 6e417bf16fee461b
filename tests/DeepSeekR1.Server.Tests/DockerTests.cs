using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>What can be checked of the images without Docker.</summary>
public sealed class DockerTests
{
    [Theory]
    [InlineData("Dockerfile")]
    [InlineData("Dockerfile.cuda")]
    public void Dockerfile_EveryCopiedPath_Exists(string name)
    {
        string root = Testing.Goldens.Repository;
        var sources = File.ReadLines(Path.Combine(root, "docker", name))
            .Where(line => line.StartsWith("COPY ", StringComparison.Ordinal) && !line.Contains("--from="))
            .SelectMany(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1..^1])
            .ToArray();
        Assert.NotEmpty(sources);
        Assert.All(sources, source => Assert.True(Path.Exists(Path.Combine(root, source)), $"{name} copies '{source}', which does not exist."));
    }
}
