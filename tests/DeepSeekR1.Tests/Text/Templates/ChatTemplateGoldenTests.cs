using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Tests.Text.Templates;

/// <summary>Every case of cases.jsonl: text, origin of each character, and errors with their class and message.</summary>
public sealed class ChatTemplateGoldenTests
{
    [GoldenTheory]
    [InlineData("deepseek-r1.jinja", 59)]
    [InlineData("deepseek-r1-0528.jinja", 59)]
    [InlineData("deepseek-r1-0528-qwen3-8b.jinja", 13)]
    [InlineData("deepseek-r1-distill-qwen.jinja", 59)]
    [InlineData("deepseek-r1-distill-qwen.llamacpp.jinja", 9)]
    [InlineData("deepseek-r1-distill-llama.jinja", 8)]
    [InlineData("deepseek-r1-distill-llama.llamacpp.jinja", 25)]
    [InlineData("deepseek-r1-tools.vllm.jinja", 59)]
    [InlineData("deepseek-r1-tools.llamacpp.jinja", 17)]
    [InlineData("deepseek-v3.jinja", 14)]
    [InlineData("deepseek-v3-0324.jinja", 15)]
    [InlineData("deepseek-v3.1.jinja", 59)]
    [InlineData("deepseek-v3.1.llamacpp.jinja", 13)]
    [InlineData("qwen2.5.jinja", 18)]
    [InlineData("qwen3.jinja", 59)]
    [InlineData("qwen3.5-4b.jinja", 10)]
    [InlineData("qwq-32b.jinja", 13)]
    [InlineData("llama-3.jinja", 13)]
    [InlineData("llama-3.1-8b-instruct.jinja", 18)]
    [InlineData("llama-3.2-3b-instruct.jinja", 10)]
    [InlineData("smollm2.jinja", 14)]
    [InlineData("smollm3-3b.unsloth.jinja", 8)]
    [InlineData("glm-4.6.jinja", 12)]
    [InlineData("gpt-oss-120b.jinja", 10)]
    [InlineData("granite-3.3-2b-instruct.jinja", 14)]
    [InlineData("kimi-k2-thinking.jinja", 19)]
    [InlineData("minimax-m2.jinja", 11)]
    [InlineData("mistral-nemo-instruct.jinja", 12)]
    [InlineData("nemotron-nano-v2.jinja", 11)]
    [InlineData("seed-oss.jinja", 15)]
    public void Render_EveryCaseOfTemplate_EqualsHuggingFace(string file, int count)
    {
        var template = TemplateGoldens.Template(file);
        var cases = TemplateGoldens.Lines("cases.jsonl").FindAll(line => line["template"]!.GetValue<string>() == file);
        var failures = cases.Select(line => (Id: line["id"]!.GetValue<string>(), Failure: TemplateGoldens.Check(template, line)))
            .Where(result => result.Failure is not null)
            .Select(result => $"{result.Id}: {result.Failure}")
            .ToList();
        Assert.Equal(count, cases.Count);
        Assert.True(failures.Count == 0, $"{failures.Count} of {count} differ\n{string.Join('\n', failures)}");
    }

    [GoldenFact]
    public void Cases_AllTemplates_AreCounted() => Assert.Equal(676, TemplateGoldens.Lines("cases.jsonl").Count);
}
