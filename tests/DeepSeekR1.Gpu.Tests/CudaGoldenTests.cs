using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine;
using DeepSeekR1.Models;
using DeepSeekR1.Testing;
using DeepSeekR1.Tests.Models;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Gpu.Tests;

/// <summary>A theory that needs a CUDA device and the goldens; skipped by name elsewhere.</summary>
public sealed class CudaTheoryAttribute : TheoryAttribute
{
    /// <summary>Sets the skip reason.</summary>
    public CudaTheoryAttribute() => Skip = Goldens.Missing ?? (TorchRuntime.CudaDeviceCount > 0
        ? null
        : $"No CUDA device: libtorch is {TorchRuntime.Source}. Build with -p:TorchBackend=cuda or set {TorchRuntime.LibraryVariable}.");
}

/// <summary>The golden checkpoints on a GPU: the same logits and ids as on the CPU.</summary>
public class CudaGoldenTests
{
    public static TheoryData<string> Checkpoints => [.. GoldenModel.Names];

    [CudaTheory]
    [MemberData(nameof(Checkpoints))]
    public void EveryRoute_EqualsReference(string name)
    {
        using var golden = new GoldenModel(name, new TorchKernels(), new Device(TorchSharp.DeviceType.CUDA, 0));
        MlaForm[] forms = golden.Model.Config.Mla is null ? [MlaForm.Auto] : [MlaForm.Naive, MlaForm.Absorbed];
        foreach (var prompt in golden.Prompts)
            foreach (var form in forms)
                foreach (int chunk in new[] { 1, 16, 1000 })
                {
                    using var scope = new TensorScope();
                    double difference = golden.Difference(prompt, golden.Logits(prompt.Ids, chunk, form));
                    Assert.True(difference <= GoldenModel.Tolerance, $"{name}, prompt {prompt.Index}, chunk {chunk}, {form}: {difference}");
                }
    }

    [CudaTheory]
    [MemberData(nameof(Checkpoints))]
    public async Task Engine_AllPromptsAtOnce_GivesReferenceIds(string name)
    {
        IReadOnlyList<GoldenPrompt> prompts;
        using (var golden = new GoldenModel(name, new TorchKernels()))
            prompts = golden.Prompts;
        await using var engine = LlmEngine.Load(new EngineOptions { ModelPath = Goldens.At("models", name), DType = "float32", Device = "cuda" });
        var runs = prompts.Select(p => (Prompt: p, Stream: engine.Submit(new GenerationRequest
        {
            Id = "gpu",
            PromptIds = p.Ids,
            Sampling = new SamplingParams { Temperature = 0, MaxTokens = Math.Min(32, engine.Facts.MaxModelLen - p.Ids.Length) },
        }))).ToList();
        foreach (var (prompt, stream) in runs)
        {
            var ids = new List<int>();
            await foreach (var output in stream.Outputs.ReadAllAsync())
                ids.Add(output.TokenId);
            Assert.Equal(prompt.Greedy.Take(ids.Count), ids);
        }
    }
}
