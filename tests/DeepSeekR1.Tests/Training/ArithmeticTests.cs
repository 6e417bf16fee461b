using DeepSeekR1.Testing;
using DeepSeekR1.Tests.Text.Templates;
using DeepSeekR1.Text.Templates;
using DeepSeekR1.Training;
using DeepSeekR1.Training.Arithmetic;
using Xunit;

namespace DeepSeekR1.Tests.Training;

/// <summary>The bundled model's data, tokenizer and template.</summary>
public sealed class ArithmeticTests
{
    [Fact]
    public void Draw_TwentyThousand_NoHeldOutProblemAndEveryAnswerRight()
    {
        var generator = new ArithmeticGenerator(11);
        for (long i = 0; i < 20_000; i++)
        {
            var drawn = generator.Draw(i);
            Assert.DoesNotMatch(@"\{\d\}", drawn.Turns[^1].Content);
            if (drawn.Answer is null)
                continue;

            // The visible reply names the problem in full, so it can be computed anew.
            var sum = System.Text.RegularExpressions.Regex.Match(drawn.Reply, @"^(\d+) ([+\-×÷]) (\d+) = \\boxed\{(.*)\}\.$");
            if (!sum.Success)
                continue;
            long a = long.Parse(sum.Groups[1].Value), b = long.Parse(sum.Groups[3].Value);
            var (kind, expected) = sum.Groups[2].Value switch
            {
                "+" => (ProblemKind.Add, $"{a + b}"),
                "-" => (ProblemKind.Subtract, $"{a - b}"),
                "×" => (ProblemKind.Multiply, $"{a * b}"),
                _ => (ProblemKind.Divide, a % b == 0 ? $"{a / b}" : $"{(a / b == 0 ? "" : $"{a / b}")}\\frac{{{a % b}}}{{{b}}}"),
            };
            Assert.Equal(expected, sum.Groups[4].Value);
            Assert.EndsWith($"so {expected}", drawn.Thought);
            Assert.False(new Problem(kind, a, b).IsHeldOut, drawn.Reply);
        }
    }

    /// <summary>Of the multiples of a long divisor each is compared until one is not smaller; the last that fits gives the digit.</summary>
    [Fact]
    public void Thought_LongDivision_ComparesMultiplesUpToTheDigit()
    {
        int steps = 0;
        foreach (var (a, b) in new[] { (9576L, 24L), (5670, 63), (9999, 10), (9801, 99), (25, 26), (48, 12) })
        {
            string[] lines = Trace.Of(new Problem(ProblemKind.Divide, a, b)).Text.Split('\n');
            for (int i = 0; i < lines.Length; i++)
            {
                if (lines[i].Split('?') is not [var current, var scan])
                    continue;
                var compared = System.Text.RegularExpressions.Regex.Matches(scan, @" (\d):(\d+)([<=>])");
                long number = long.Parse(current), digit = number / b;
                Assert.Equal(Enumerable.Range(1, compared.Count).Select(m => $" {m}:{m * b}{(m * b < number ? '<' : m * b > number ? '>' : '=')}"), compared.Select(m => m.Value));
                Assert.Equal(number % b == 0 || digit == 9 ? digit : digit + 1, compared.Count);
                Assert.Equal($"{number}/{b}={digit}:{digit * b}", lines[i + 1]);
                steps++;
            }
        }

        Assert.Equal(2 + 2 + 3 + 2 + 0 + 1, steps);
    }

    [Fact]
    public void HeldOut_EverySet_IsHeldOutAndRepeatable()
    {
        foreach (var split in ArithmeticData.SplitNames)
        {
            var first = ArithmeticData.HeldOut(5, split, 50).ToList();
            Assert.Equal(first.Select(c => (c.Id, c.Reply, c.Turns[0].Content)), ArithmeticData.HeldOut(5, split, 50).Select(c => (c.Id, c.Reply, c.Turns[0].Content)));
            Assert.All(first, c => Assert.Equal(split == "refusal", c.Answer is null));
        }
    }

    [Fact]
    public void Encode_PlantedMistake_IsNotLearnedAndWhatFollowsIs()
    {
        var encoder = new SampleEncoder(ModelFolder);
        var planted = Enumerable.Range(0, 2000).Select(i => new ArithmeticGenerator(11).Draw(i)).First(c => c.Unlearned.Count == 1);
        var sample = encoder.Encode(planted);
        var (start, length) = planted.Unlearned[0];
        int prompt = encoder.Prompt(planted.Turns).Length;
        string unlearned = encoder.Tokenizer.Decode([.. sample.Ids.Where((_, t) => t >= prompt && !sample.Learned[t])], skipSpecialTokens: false);
        Assert.Equal(planted.Thought.Substring(start, length), unlearned);
        Assert.StartsWith("Wait, check: ", planted.Thought[(start + length)..]);
        string completion = encoder.Tokenizer.Decode([.. sample.Ids.Skip(prompt)], skipSpecialTokens: true);
        Assert.Equal($"{planted.Thought}\n</think>\n\n{planted.Reply}", completion);
    }

    [Fact]
    public void Tokenizer_EveryDigitIsOneToken_AndAnyTextComesBack()
    {
        var tokenizer = new SampleEncoder(ModelFolder).Tokenizer;
        Assert.Equal(512, tokenizer.VocabularySize);
        Assert.Equal(10, tokenizer.Encode("1234567890").Length);
        foreach (string text in new[] { "", "a", "\u4f60\u597d 12+3", "\ud83d\ude80\u0000\t\r\n", "naïve – “x”" })
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text), skipSpecialTokens: false));
    }

    [GoldenFact]
    public void Template_RendersEveryCaseOfR1sTemplate()
    {
        var template = ChatTemplate.Parse(File.ReadAllText(Path.Combine(ModelFolder, "chat_template.jinja")), TemplateGoldens.Clock);
        var cases = TemplateGoldens.Lines("cases.jsonl").FindAll(line => line["template"]!.GetValue<string>() == "deepseek-r1.jinja");
        var failures = cases.Where(c => c["error"] is null).Select(c => TemplateGoldens.Check(template, c)).Where(f => f is not null).ToList();
        Assert.Empty(failures);
        Assert.Equal(59, cases.Count);
    }

    private static string ModelFolder { get; } = Path.Combine(Goldens.Repository, "models", "r1-tiny");
}
