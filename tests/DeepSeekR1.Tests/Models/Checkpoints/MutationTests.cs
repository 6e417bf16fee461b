using System.Diagnostics;
using System.Text;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using DeepSeekR1.Text.Tokenization;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models.Checkpoints;

/// <summary>
/// Files that were damaged or made to hurt: whatever the bytes, a file either opens or is refused with our own exception, soon, and
/// without taking more memory than the file has and 64 MiB.
/// </summary>
public sealed class MutationTests : IDisposable
{
    private const long Slack = 64 << 20;
    private static readonly int Rounds = Goldens.Long ? 20_000 : 2_000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);

    /// <summary>What a header or a JSON text is likely to be hurt by.</summary>
    private static readonly string[] Splinters =
    [
        "0", "-1", "1", "9223372036854775807", "18446744073709551615", "1e308", "-0.5", "null", "true", "{}", "[]", "\"\"", "[[[[[[[[[[", "{{{{", "]", "}", ",", ":",
        "\"\\ud800\"", "2147483647", "4294967296", "NaN", "\0", "\u00ff", "1e-320", "\"F64\"", "\"shape\"",
    ];

    private readonly string _folder = Directory.CreateTempSubdirectory("mutations").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [GoldenFact]
    public void Safetensors_HoweverDamaged_OpenOrAreRefused()
    {
        var sources = Directory.GetFiles(Goldens.At("safetensors", "files"), "ok-*.safetensors").Select(File.ReadAllBytes).Where(b => b.Length is > 16 and < 65536).ToList();
        Assert.InRange(sources.Count, 5, 1000);
        Run(sources, "damaged.safetensors", path =>
        {
            using var checkpoint = Checkpoint.Open(path);
            foreach (var name in checkpoint.Tensors.Keys)
                checkpoint.Read(name).Dispose();
        });
    }

    [GoldenFact]
    public void Gguf_HoweverDamaged_OpenOrAreRefused()
    {
        var sources = new[] { "llama", "qwen2" }.Select(name => File.ReadAllBytes(Goldens.At("gguf", name + ".gguf"))).ToList();
        Run(sources, "damaged.gguf", path =>
        {
            using var checkpoint = Checkpoint.Open(path);
            foreach (var name in checkpoint.Tensors.Keys.Take(3))
                checkpoint.Read(name).Dispose();
        });
    }

    [GoldenFact]
    public void Config_HoweverDamaged_IsReadOrRefused()
    {
        var sources = new[] { "deepseek-v3-fp8-mtp", "qwen3-yarn", "llama" }.Select(name => File.ReadAllBytes(Goldens.At("models", name, "config.json"))).ToList();
        Run(sources, "config.json", path =>
        {
            using var scope = new TensorScope();
            var config = ModelConfigReader.Read(Path.GetDirectoryName(path)!);
            using var model = CausalLm.Create(config, new RankContext(new SingleRank(), new TorchKernels(), torch.CPU, ScalarType.Float32));
        });
    }

    [GoldenFact]
    public void Tokenizer_HoweverDamaged_IsReadOrRefused()
    {
        var sources = new[] { "deepseek-v3-yarn", "qwen2" }.Select(name => File.ReadAllBytes(Goldens.At("models", name, "tokenizer.json"))).ToList();
        Run(sources, "tokenizer.json", path => Tokenizer.Create(ModelTextAssetsReader.FromFolder(Path.GetDirectoryName(path)!)).Encode("some text 123"));
    }

    private void Run(List<byte[]> sources, string name, Action<string> open)
    {
        var path = Path.Combine(_folder, name);
        int opened = 0, refused = 0;
        for (int round = 0; round < Rounds; round++)
        {
            var bytes = Mutate(sources[round % sources.Count], new Random(round));
            File.WriteAllBytes(path, bytes);
            long before = GC.GetAllocatedBytesForCurrentThread();
            var watch = Stopwatch.StartNew();
            try
            {
                open(path);
                opened++;
            }
            catch (Exception e) when (e is ModelLoadException or StartupException)
            {
                Assert.False(string.IsNullOrWhiteSpace(e.Message));
                refused++;
            }
            catch (Exception e)
            {
                Assert.Fail($"{name}, round {round}: {e}");
            }

            Assert.True(watch.Elapsed < Limit, $"{name}, round {round}: took {watch.Elapsed}");
            long taken = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(taken < bytes.Length + Slack, $"{name}, round {round}: took {taken} bytes for a file of {bytes.Length}");
        }

        Assert.True(opened > 0 && refused > Rounds / 10, $"{name}: {opened} opened, {refused} were refused");
    }

    private static byte[] Mutate(byte[] source, Random random)
    {
        var bytes = new List<byte>(source);
        for (int count = 1 + random.Next(3); count > 0 && bytes.Count > 0; count--)
        {
            // Most of what can go wrong is at the beginning.
            int at = random.Next(random.Next(3) == 0 ? bytes.Count : Math.Min(bytes.Count, 2048));
            switch (random.Next(8))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
                case 3:
                    bytes.RemoveRange(at, Math.Min(bytes.Count - at, 1 + random.Next(16)));
                    break;
                case 4:
                    bytes.InsertRange(at, Encoding.Latin1.GetBytes(Splinters[random.Next(Splinters.Length)]));
                    break;
                case 5:
                    var piece = bytes.GetRange(at, Math.Min(bytes.Count - at, 1 + random.Next(200)));
                    bytes.InsertRange(random.Next(bytes.Count), piece);
                    break;
                case 6:
                    // A length or a number of eight bytes.
                    var value = BitConverter.GetBytes(random.Next(3) == 0 ? random.NextInt64() : 1L << random.Next(63));
                    for (int i = 0; i < 8 && at + i < bytes.Count; i++)
                        bytes[at + i] = value[i];
                    break;
                default:
                    ReplaceNumber(bytes, at, random);
                    break;
            }
        }

        return [.. bytes];
    }

    /// <summary>The next run of digits becomes something else.</summary>
    private static void ReplaceNumber(List<byte> bytes, int from, Random random)
    {
        int start = bytes.FindIndex(from, b => char.IsAsciiDigit((char)b));
        if (start < 0)
            return;
        int end = start;
        while (end < bytes.Count && char.IsAsciiDigit((char)bytes[end]))
            end++;
        bytes.RemoveRange(start, end - start);
        bytes.InsertRange(start, Encoding.Latin1.GetBytes(Splinters[random.Next(Splinters.Length)]));
    }
}
