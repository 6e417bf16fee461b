using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using DeepSeekR1.Text.Templates;
using Xunit;

namespace DeepSeekR1.Tests.Text.Templates;

/// <summary>Every line of jinja-features.jsonl: one feature of Jinja each, as jinja2 renders it.</summary>
public sealed class JinjaFeatureTests
{
    // Their message quotes the Python source that jinja2 generates.
    private static readonly string[] KindOnly = ["tag-310"];

    [GoldenFact]
    public void Render_EveryFeature_EqualsJinja2()
    {
        var lines = TemplateGoldens.Lines("jinja-features.jsonl");
        var failures = lines.Select(line => (Id: line["id"]!.GetValue<string>(), Failure: Check(line)))
            .Where(result => result.Failure is not null)
            .Select(result => $"{result.Id}: {result.Failure}")
            .ToList();
        Assert.Equal(327, lines.Count);
        Assert.Equal(52, lines.Count(line => line.ContainsKey("error")));
        Assert.True(failures.Count == 0, $"{failures.Count} differ\n{string.Join('\n', failures)}");
    }

    private static string? Check(JsonObject line)
    {
        var variables = line["context"]!.AsObject()
            .ToDictionary(entry => entry.Key, entry => TemplateVariables.Value(entry.Value, isRequest: true));
        try
        {
            var template = ChatTemplate.Parse(line["template"]!.GetValue<string>(), TemplateGoldens.Clock);
            var text = string.Concat(template.Render(variables).Select(segment => segment.Text));
            if (line.ContainsKey("error"))
                return $"rendered '{text}', but {line["error"]} was expected: {line["message"]}";
            return text == line["expected"]!.GetValue<string>() ? null : $"'{text}' instead of '{line["expected"]}'";
        }
        catch (TemplateException exception)
        {
            if (!line.ContainsKey("error"))
                return $"failed with {exception.Kind}: {exception.Message}";
            var isSame = exception.Kind == line["error"]!.GetValue<string>()
                && (KindOnly.Contains(line["id"]!.GetValue<string>()) || exception.Message == line["message"]!.GetValue<string>());
            return isSame ? null : $"failed with {exception.Kind}: {exception.Message}; expected {line["error"]}: {line["message"]}";
        }
    }
}
