using System.Text.Json;
using DeepSeekR1.Evaluation;
using DeepSeekR1.Evaluation.Grading;
using DeepSeekR1.Training.Grpo;
using DeepSeekR1.Training.Grpo.Rewards;
using Xunit;

namespace DeepSeekR1.Tests.Training;

/// <summary>Every reward by name, with the published values, and a table of tricks that must not pay.</summary>
public class RewardTests
{
    private static readonly RewardRegistry Registry = new();

    /// <summary>Name of the trick, completion; the gold answer is 42. None may earn anything from accuracy.</summary>
    public static TheoryData<string, string> Hacks => new()
    {
        { "empty", "" },
        { "answer only in the thought", "<think>\\boxed{42}</think> So that is it." },
        { "answer only in the thought, empty box after it", "<think>\\boxed{42}</think> \\boxed{}" },
        { "no end of thought", "<think>\\boxed{42}" },
        { "no thought at all", "\\boxed{42}" },
        { "two ends of thought", "<think>x</think>\\boxed{41}</think>\\boxed{42}" },
        { "a second thought after the answer", "<think>x</think>\\boxed{42}<think>" },
        { "two thoughts opened", "<think><think>x</think>\\boxed{42}" },
        { "several answers in joined boxes", "<think>x</think>\\boxed{41},\\boxed{42},\\boxed{43}" },
        { "several answers in one box", "<think>x</think>\\boxed{41,42,43}" },
        { "several answers with or", "<think>x</think>\\boxed{41\\text{ or }42}" },
        { "a box of everything", "<think>x</think>\\boxed{" + string.Join(",", Enumerable.Range(0, 100)) + "}" },
        { "an interval around it", "<think>x</think>\\boxed{[41,43]}" },
        { "an inequality", "<think>x</think>\\boxed{x\\ge 42}" },
        { "plus or minus", "<think>x</think>\\boxed{\\pm 42}" },
        { "last box wrong", "<think>x</think>\\boxed{42} no, \\boxed{43}" },
        { "unclosed box", "<think>x</think>\\boxed{42" },
        { "box without braces", "<think>x</think>\\boxed 42" },
        { "phrase instead of a box", "<think>x</think>The answer is 42." },
        { "bold instead of a box", "<think>x</think>**42**" },
        { "answer tags under the R1 template", "<think>x</think><answer>42</answer>" },
        { "a script", "<think>x</think>\\boxed{__import__('os').getpid()*0+42}" },
        { "an expression of a script", "<think>x</think>\\boxed{eval('6*7')}" },
        { "powers of Python", "<think>x</think>\\boxed{42**1}" },
        { "a comparison that is true", "<think>x</think>\\boxed{True}" },
        { "not a number", "<think>x</think>\\boxed{NaN}" },
        { "zero over zero", "<think>x</think>\\boxed{\\frac{0}{0}}" },
        { "the name of the gold column", "<think>x</think>\\boxed{answer}" },
        { "a false equation", "<think>x</think>\\boxed{41=42}" },
        { "a variable", "<think>x</think>\\boxed{x}" },
        { "words around the number", "<think>x</think>\\boxed{42\\text{ or more}}" },
        { "padding inside the box", "<think>x</think>\\boxed{42" + string.Concat(Enumerable.Repeat("+0", 2_000)) + "}" },
        { "a huge tower", "<think>x</think>\\boxed{9^{9^{9^{9}}}}" },
        { "invisible tags", "<think>x<\u200b/think>\\boxed{42}" },
        { "tags in other case", "<THINK>x</THINK>\\boxed{42}" },
        { "tag spam", string.Concat(Enumerable.Repeat("<think></think>", 50)) + "\\boxed{42}" },
    };

    [Theory]
    [MemberData(nameof(Hacks))]
    public void Accuracy_RewardHack_EarnsNothing(string name, string completion)
        => Assert.True(Score("accuracy", completion) == 0, name);

    [Theory]
    [InlineData("<think>6*7</think> \\boxed{42}", 1.0)]
    [InlineData("6*7\n</think>\n\n$\\boxed{\\frac{84}{2}}$", 1.0)]
    [InlineData("<think>6*7</think> \\boxed{43}", 0.0)]
    public void Accuracy_HonestAnswer_IsJudged(string completion, double expected) => Assert.Equal(expected, Score("accuracy", completion));

    [Fact]
    public void Accuracy_WithoutReadableGold_HasNoSay()
    {
        Assert.Null(Score("accuracy", "<think></think>\\boxed{1}", row: """{"answer": "\\frac{"}"""));
        Assert.Null(Score("accuracy", "<think></think>\\boxed{1}", row: """{"question": "?"}"""));
        Assert.Equal(1, Score("accuracy", "<think></think>\\boxed{1250}", row: """{"answer": "12 * 100 + 50\n#### 1,250"}"""));
        Assert.Equal(1, Score("accuracy", "<think></think>\\boxed{0.5}", row: """{"solution": "So $\\boxed{\\frac{1}{2}}$."}"""));
    }

    [Theory]
    [InlineData("</think>a</think>\\boxed{42}", 1.0)]
    [InlineData("\\boxed{42}", 0.0)]
    [InlineData("<think>\\boxed{42}</think>", 0.0)]
    [InlineData("</think><think>\\boxed{42}", 0.0)]
    public void ReasoningAccuracy_LooksBehindTheLastThought(string completion, double expected) => Assert.Equal(expected, Score("reasoning_accuracy", completion));

    [Theory]
    [InlineData("<think>\na\n</think>\n<answer>\nb\n</answer>", 1.0)]
    [InlineData("<think>\na\n</think>\n<answer>\nb\n</answer> more", 0.0)]
    [InlineData("x<think>\na\n</think>\n<answer>\nb\n</answer>", 0.0)]
    [InlineData("<think>\na\n</think>\n<answer>\nb\n</answer>\n</answer>", 0.0)]
    [InlineData("<think>a</think><answer>b</answer>", 0.0)]
    public void Format_OfR1Zero_IsTheWholeCompletion(string completion, double expected)
        => Assert.Equal(expected, Score("format", completion, new RewardSettings { Template = AnswerTemplate.Zero }));

    [Theory]
    [InlineData("<think>\na\n</think>\n\n42", false, 1.0)]
    [InlineData("a\n</think>\n\n42", true, 1.0)]
    [InlineData("a\n</think>\n\n42", false, 0.0)]
    [InlineData("<think>\na\n</think>\n\n42", true, 0.0)]
    [InlineData("<think>\na\n</think>\n\n", false, 0.0)]
    [InlineData("<think>\na\n</think>\n</think>42", false, 0.0)]
    [InlineData("", false, 0.0)]
    public void ThinkFormat_KnowsAPrefilledTag(string completion, bool prefilled, double expected)
        => Assert.Equal(expected, Score("think_format", completion, prefilled: prefilled));

    [Theory]
    [InlineData("<think>\na\n</think>\n<answer>\nb\n</answer>", 1.0)]
    [InlineData("<think>\na\n</think>\n", 0.5)]
    [InlineData("<think>\n<think>\na\n</think>\n", 0.25)]
    [InlineData("<think><think>\n<think>\n</answer></answer>", 0.0)]
    public void TagCount_SpamPaysNothing(string completion, double expected) => Assert.Equal(expected, Score("tag_count", completion));

    [Fact]
    public void ReasoningSteps_CountsMarks()
        => Assert.Equal(2 / 3.0, Score("reasoning_steps", "First, a. Next, b.")!.Value, 1e-12);

    [Theory]
    [InlineData("en", "<think>we add the numbers</think>", 1.0)]
    [InlineData("en", "<think>we \u6211\u4eec add</think>", 0.5)]
    [InlineData("zh", "<think>\u6211\u4eec ok</think>", 0.6666666666666666)]
    [InlineData("en", "<think>  </think>", 0.0)]
    [InlineData("en", "no thought", 0.0)]
    [InlineData("en", "<think>1+2=3 \\frac{1}{2}</think>", null)]
    public void LanguageConsistency_IsTheShareOfWords(string language, string completion, double? expected)
        => Assert.Equal(expected, Score("language_consistency", completion, new RewardSettings { Language = language }));

    [Fact]
    public void Length_WithinTheGroup_LikesShortCorrectAnswers()
    {
        const string right = "<think></think>\\boxed{42}", wrong = "<think></think>\\boxed{1}";
        var scores = Scores("length", [(right, 10), (right, 20), (wrong, 10), (wrong, 30)]);
        Assert.Equal([0.5, 0.0, 0.0, -0.5], scores.Select(s => s!.Value));
        Assert.All(Scores("length", [(right, 10), (wrong, 10)]), s => Assert.Equal(0, s));
    }

    [Theory]
    [InlineData(true, 0, 1.0)]
    [InlineData(true, 50, 0.75)]
    [InlineData(true, 100, 0.5)]
    [InlineData(true, 150, 0.5)]
    [InlineData(false, 0, -1.0)]
    [InlineData(false, 50, -0.75)]
    [InlineData(false, 100, -0.5)]
    [InlineData(false, 170, -0.5)]
    public void Cosine_StaysPutBeyondTheLimit(bool right, int length, double expected)
        => Assert.Equal(expected, Scores("cosine", [(right ? "<think></think>\\boxed{42}" : "<think></think>", length)], new RewardSettings { MaxCompletionLength = 100 })[0]!.Value, 1e-12);

    [Theory]
    [InlineData(79, 0)]
    [InlineData(80, 0)]
    [InlineData(90, -0.5)]
    [InlineData(100, -1)]
    [InlineData(500, -1)]
    public void SoftOverlong_FallsOverTheBuffer(int length, double expected)
        => Assert.Equal(expected, Scores("soft_overlong", [("", length)], new RewardSettings { MaxCompletionLength = 100, OverlongBuffer = 20 })[0]!.Value, 1e-12);

    [Theory]
    [InlineData(new[] { 5, 5, 5, 5, 5 }, 2, -0.75)]
    [InlineData(new[] { 1, 2, 3, 4 }, 2, 0.0)]
    [InlineData(new[] { 1 }, 2, 0.0)]
    [InlineData(new[] { 1, 11, 1, 11, 1 }, 2, -0.5)]
    public void RepetitionPenalty_CountsRunsOfTokens(int[] ids, int n, double expected)
        => Assert.Equal(expected, Registry.Create("repetition_penalty", new RewardSettings { RepetitionLength = n })(Group([new Completion("", ids, false)]))[0]!.Value, 1e-12);

    [Theory]
    [InlineData("(44-19)+35", 0.1)]
    [InlineData("19+35+44", 1.0)]
    [InlineData("44+35+19 = 98", 1.0)]
    [InlineData("98", 0.1)]
    [InlineData("19+35+44+0", 0.1)]
    [InlineData("19+35+44-44+44", 0.1)]
    [InlineData("__import__('os')", 0.1)]
    [InlineData("19+35+44/0", 0.1)]
    [InlineData("", 0.0)]
    public void Countdown_EachNumberOnce(string expression, double expected)
        => Assert.Equal(expected, Score("countdown", $"<think></think>\\boxed{{{expression}}}", row: """{"numbers": [44, 19, 35], "target": 98}"""));

    [Theory]
    [InlineData("42", 1.0)]
    [InlineData("042", 1.0)]
    [InlineData("42.0", 0.0)]
    [InlineData("6*7", 0.0)]
    [InlineData("--42", 0.0)]
    public void ExactInteger_TakesDigitsOnly(string answer, double expected) => Assert.Equal(expected, Score("exact_int", $"<think></think>\\boxed{{{answer}}}"));

    [Theory]
    [InlineData("B", 1.0)]
    [InlineData("(b)", 1.0)]
    [InlineData("\\text{B}", 1.0)]
    [InlineData("A", 0.0)]
    [InlineData("A,B", 0.0)]
    [InlineData("ABCD", 0.0)]
    public void MultipleChoice_OneLetter(string answer, double expected)
        => Assert.Equal(expected, Score("multiple_choice", $"<think></think>\\boxed{{{answer}}}", row: """{"answer": "B"}"""));

    [Theory]
    [InlineData("""{"name": "a", "age": 3}""", 1.0)]
    [InlineData("```json\n{\"name\": \"a\", \"age\": 3}\n```", 1.0)]
    [InlineData("""{"name": "a"}""", 0.0)]
    [InlineData("""{"name": "a", "age": 3.5}""", 0.0)]
    [InlineData("""{"name": "a", "age": 3, "x": 1}""", 0.0)]
    [InlineData("{", 0.0)]
    public void JsonSchema_FitsOrNot(string answer, double expected)
        => Assert.Equal(expected, Score("json_schema", "<think></think>" + answer, row: """
            {"schema": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name", "age"], "additionalProperties": false}}
            """));

    [Fact]
    public void Code_ComparesAllLines()
    {
        const string row = """{"tests": [{"input": "1", "output": "1\n2\n", "subtask": "a", "points": 30}, {"input": "2", "output": "2", "subtask": "b", "points": 70}]}""";
        var settings = new RewardSettings
        {
            RunCode = (program, input) => program.Contains("good", StringComparison.Ordinal) ? (input == "1" ? "1 \n2" : "2")
            : program.Contains("half", StringComparison.Ordinal) ? (input == "1" ? "1" : "2") : null
        };
        string Answer(string code) => $"<think>```python\ngood\n```</think>```python\nbad\n```\n```python\n{code}\n```";
        Assert.Equal(1, Score("code", Answer("good"), settings, row: row));
        Assert.Equal(0.5, Score("code", Answer("half"), settings, row: row));
        Assert.Equal(0, Score("code", Answer("crash"), settings, row: row));
        Assert.Equal(0, Score("code", "<think>```python\ngood\n```</think>", settings, row: row));
        Assert.Equal(0, Score("binary_code", Answer("half"), settings, row: row));
        Assert.Equal(0.7, Score("ioi_code", Answer("half"), settings, row: row)!.Value, 1e-12);
        Assert.Equal(0.05, Score("cf_code", Answer("half"), settings, row: row)!.Value, 1e-12);
        Assert.Equal(1.1, Score("cf_code", Answer("good"), settings, row: row)!.Value, 1e-12);
        Assert.Equal(1, Score("code_format", Answer("good"), settings, row: row));
        Assert.Contains("code runner", Assert.Throws<ArgumentException>(() => Registry.Create("code", new RewardSettings())).Message);
    }

    [Fact]
    public void Score_SeveralFunctions_WeightsAndNulls()
    {
        var registry = new RewardRegistry();
        registry.Register("mine", _ => group => [.. group.Completions.Select(c => c.Text.Length == 0 ? (double?)null : 2)]);
        WeightedReward[] rewards = [new("accuracy", 1, registry.Create("accuracy", new RewardSettings())), new("mine", 0.5, registry.Create("mine", new RewardSettings()))];
        var table = RewardTable.Score([Group([new("<think></think>\\boxed{42}", [1], false), new("", [], true)])], rewards);
        Assert.Equal(new double?[] { 2, 0 }, table.Totals);
        Assert.Contains("nonsense", Assert.Throws<ArgumentException>(() => registry.Create("nonsense", new RewardSettings())).Message);
        WeightedReward[] broken = [new("broken", 1, _ => [double.NaN, 1])];
        Assert.Throws<InvalidOperationException>(() => RewardTable.Score([Group([new("", [], false), new("", [], false)])], broken));
    }

    private static double? Score(string name, string completion, RewardSettings? settings = null, bool prefilled = false, string row = """{"answer": "42"}""")
        => Registry.Create(name, settings ?? new RewardSettings())(Group([new Completion(completion, [1, 2, 3], false)], row, prefilled))[0];

    private static IReadOnlyList<double?> Scores(string name, (string Text, int Length)[] completions, RewardSettings? settings = null)
        => Registry.Create(name, settings ?? new RewardSettings())(Group([.. completions.Select(c => new Completion(c.Text, [.. Enumerable.Range(0, c.Length)], false))]));

    private static RewardGroup Group(Completion[] completions, string row = """{"answer": "42"}""", bool prefilled = false)
        => new(new TaskRow("1", JsonDocument.Parse(row).RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value)), completions, prefilled);
}
