using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Tests.Models.Checkpoints;

/// <summary>The GGUF container reader against good, broken and mutated files.</summary>
public sealed class GgufFileTests
{
    private static readonly string[] Models = ["llama", "llama3-scaled", "qwen2", "deepseek2"];

    [GoldenFact]
    public void Open_EveryMalformedCase_BehavesAsListed()
    {
        using var list = JsonDocument.Parse(File.ReadAllText(Goldens.At("gguf", "malformed.json")));
        var cases = 0;
        foreach (var entry in list.RootElement.EnumerateArray())
        {
            cases++;
            var file = entry.GetProperty("file").GetString()!;
            var isModelLevel = entry.GetProperty("level").GetString() == "model";
            var expect = isModelLevel ? "ok" : entry.GetProperty("expect").GetString();
            var before = GC.GetAllocatedBytesForCurrentThread();
            var error = Record.Exception(() => GgufFile.Open(Goldens.At("gguf", file)));
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 4 << 20, $"{file} allocated too much");
            Assert.True(error is null or ModelLoadException, $"{file}: {error}");
            if (error is not null)
                Assert.Contains(Path.GetFileName(file), error.Message, StringComparison.Ordinal);
            if (expect != "any")
                Assert.True(expect == "ok" == (error is null), $"{file}: {expect} expected, got {error?.Message ?? "no error"}");
        }
        Assert.Equal(47, cases);
    }

    [GoldenFact]
    public void Open_Models_ShapesAndTypesAreTheGoldens()
    {
        var tensors = 0;
        using var types = JsonDocument.Parse(File.ReadAllText(Goldens.At("gguf", "models.json")));
        foreach (var model in types.RootElement.EnumerateArray())
        {
            var file = GgufFile.Open(Goldens.At("gguf", model.GetProperty("file").GetString()!));
            Assert.Equal(model.GetProperty("architecture").GetString(), file.GetString("general.architecture"));
            foreach (var type in model.GetProperty("tensor_types").EnumerateObject())
            {
                var tensor = file.GetTensor(type.Name);
                Assert.Equal(type.Value.GetString(), tensor.Type.ToString());
                Assert.Equal(tensor.NumElements / tensor.Type.BlockSize() * tensor.Type.BytesPerBlock(), tensor.ByteLength);
                Assert.Equal(0, tensor.Offset % file.Alignment);
                tensors++;
            }
            var embedding = file.GetTensor("token_embd.weight").Shape;
            var width = file.GetInt($"{file.GetString("general.architecture")}.embedding_length");
            Assert.Equal([file.GetStrings("tokenizer.ggml.tokens").Count, width], embedding);
        }
        Assert.Equal(4, types.RootElement.GetArrayLength());
        Assert.True(tensors > 90, $"{tensors} tensors");
    }

    [GoldenFact]
    public void Open_RealModel_ReadsTheWholeHeader()
    {
        var file = GgufFile.Open(Path.Combine(Goldens.Models, "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf"));
        Assert.Equal((3, 32, 33, 272), (file.Version, file.Alignment, file.Metadata.Count, file.Tensors.Count));
        Assert.Equal(210, file.Tensors.Values.Count(tensor => tensor.Type == GgmlType.Q4_1));
        Assert.Equal(48_900, file.GetStrings("tokenizer.ggml.merges").Count);
        Assert.Equal(17, file.GetInts("tokenizer.ggml.token_type").Count(type => type == 3));
        Assert.Equal(1e-5f, (float)file.GetFloat("llama.attention.layer_norm_rms_epsilon"));
        Assert.False(file.GetBool("tokenizer.ggml.add_bos_token"));
    }

    [GoldenFact]
    public void Getters_WrongTypeOrMissing_NameFileKeyAndCause()
    {
        var file = GgufFile.Open(Goldens.At("gguf", "malformed", "ok-two-tensors.gguf"));
        AssertFault(() => file.GetInt("general.architecture"), "general.architecture", "integer");
        AssertFault(() => file.GetStrings("general.architecture"), "general.architecture", "array of strings");
        AssertFault(() => file.GetString("no.such.key"), "no.such.key", "missing");
        AssertFault(() => file.GetTensor("no.such.tensor"), "no.such.tensor", "missing");
        Assert.Equal(7, file.GetInt("no.such.key", 7));
        Assert.Equal(["a", "b"], file.Tensors.Keys);

        static void AssertFault(Func<object> action, string item, string cause)
        {
            var message = Assert.Throws<ModelLoadException>(action).Message;
            Assert.Contains("ok-two-tensors.gguf", message, StringComparison.Ordinal);
            Assert.Contains(item, message, StringComparison.Ordinal);
            Assert.Contains(cause, message, StringComparison.Ordinal);
        }
    }

    [GoldenFact]
    public void Open_EveryTruncationAndRandomDamage_NeverFailsOtherwise()
    {
        var path = Path.GetTempFileName();
        try
        {
            foreach (var name in Models)
            {
                var bytes = File.ReadAllBytes(Goldens.At("gguf", name + ".gguf"));
                var random = new Random(7);
                for (var turn = 0; turn < (Goldens.Long ? 5_000 : 250); turn++)
                {
                    var copy = bytes[..(turn % 5 == 0 ? random.Next(bytes.Length) : bytes.Length)];
                    for (var change = random.Next(3); change >= 0 && copy.Length > 0; change--)
                        copy[random.Next(Math.Min(copy.Length, 20_000))] = (byte)(random.Next(4) == 0 ? 255 : random.Next(256));
                    File.WriteAllBytes(path, copy);
                    var error = Record.Exception(() => GgufFile.Open(path));
                    Assert.True(error is null or ModelLoadException, $"{name}, turn {turn}: {error}");
                }
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Open_MissingFileOrFolder_IsAModelLoadException()
    {
        Assert.Throws<ModelLoadException>(() => GgufFile.Open("/no/such/file.gguf"));
        Assert.Throws<ModelLoadException>(() => GgufFile.Open(Path.GetTempPath()));
    }

    [Fact]
    public void GgmlTypes_EveryMemberOfTheEnum_HasASize()
    {
        foreach (var type in Enum.GetValues<GgmlType>())
            Assert.True(GgmlTypes.IsKnown(type) && type.BlockSize() > 0 && type.BytesPerBlock() > 0, $"{type}");
    }
}
