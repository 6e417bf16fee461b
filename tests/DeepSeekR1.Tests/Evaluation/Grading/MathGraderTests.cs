using CsCheck;
using DeepSeekR1.Evaluation.Grading;
using Xunit;

namespace DeepSeekR1.Tests.Evaluation.Grading;

/// <summary>The grader's rules: the table of reference pairs, pairs of our own for every rule, and properties over random answers.</summary>
public class MathGraderTests
{
    /// <summary>Number, gold, answer, verdict of the lenient and of the strict profile.</summary>
    private static readonly object[][] Table =
    [
        [1, @"42", @"42.0", true, true],
        [2, @"42", @"042", true, true],
        [3, @"7", @"-7", false, false],
        [4, @"1000", @"1,000", true, true],
        [5, @"1000", @"1{,}000", true, true],
        [6, @"1000", @"1\,000", true, true],
        [7, @"12,34", @"1234", false, false],
        [8, @"12000", @"1.2\times 10^4", true, true],
        [9, @"10", @"1e1", true, true],
        [10, @"2^{10}", @"1024", true, true],
        [11, @"\frac{1}{2}", @"0.5", true, true],
        [12, @"\frac{1}{2}", @".5", true, true],
        [13, @"\frac{1}{2}", @"1/2", true, true],
        [14, @"\frac{1}{2}", @"\dfrac{50}{100}", true, true],
        [15, @"\frac{1}{2}", @"\frac12", true, false],
        [16, @"\frac{1}{2}", @"50\%", true, true],
        [17, @"\frac{1}{3}", @"0.333333", true, true],
        [18, @"\frac{1}{3}", @"0.33333", false, false],
        [19, @"\frac{2}{3}", @"0.67", false, false],
        [20, @"\frac{1}{7}", @"0.142857", true, true],
        [21, @"0.\overline{3}", @"\frac{1}{3}", true, true],
        [22, @"-\frac{1}{2}", @"\frac{1}{-2}", true, true],
        [23, @"3\frac{1}{2}", @"3.5", true, true],
        [24, @"\frac{7}{2}", @"3\frac{1}{2}", true, true],
        [25, @"\sqrt{8}", @"2\sqrt{2}", true, true],
        [26, @"\sqrt{2}", @"1.414214", true, true],
        [27, @"\sqrt{2}", @"1.414", false, false],
        [28, @"\sqrt{2}", @"\sqrt2", true, false],
        [29, @"\frac{\sqrt{3}}{3}", @"\frac{1}{\sqrt{3}}", true, true],
        [30, @"\sqrt[3]{27}", @"3", true, true],
        [31, @"\sqrt{16}", @"\pm 4", false, false],
        [32, @"\sqrt{3}", "\u221a3", true, true],
        [33, @"\pi", @"3.14159265", true, true],
        [34, @"\pi", @"3.14", false, false],
        [35, @"\frac{22}{7}", @"\pi", false, false],
        [36, @"\pi", "\u03c0", true, true],
        [37, @"\frac{\pi}{4}", @"45^\circ", false, false],
        [38, @"90", @"90^\circ", true, true],
        [39, @"90", @"90\text{ degrees}", true, true],
        [40, @"5\text{ cm}", @"5", true, true],
        [41, @"5", @"5\,\mathrm{cm}^2", true, true],
        [42, @"5", @"5 dollars", true, true],
        [43, @"\$12.50", @"12.5", true, true],
        [44, @"72", @"72\text{ km/h}", true, true],
        [45, @"10\%", @"10", false, false],
        [46, @"10", @"10\%", false, false],
        [47, @"0.1", @"10\%", true, true],
        [48, @"25\%", @"\frac{1}{4}", true, true],
        [49, @"x=5", @"5", true, true],
        [50, @"5", @"x=2+3=5", true, true],
        [51, @"x=5", @"y=5", false, false],
        [52, @"2x+y=1", @"1", false, false],
        [53, @"(x+1)^2", @"x^2+2x+1", true, true],
        [54, @"x+1", @"y+1", false, false],
        [55, @"\frac{x^2-1}{x-1}", @"x+1", true, true],
        [56, @"\tan^2 y+1", @"\sec^2 y", true, true],
        [57, @"y=2x+1", @"2x-y+1=0", true, true],
        [58, @"y=2x+1", @"y=2x+2", false, false],
        [59, @"\{1,2,3\}", @"3,2,1", true, true],
        [60, @"\{1,2\}", @"\{1,2,3\}", false, false],
        [61, @"1,2", @"1\text{ or }2", true, true],
        [62, @"\pm 2", @"2,-2", true, true],
        [63, @"7", @"7\text{ or }8", false, false],
        [64, @"7", @"\{7\}", true, true],
        [65, @"\emptyset", @"\{\}", true, true],
        [66, @"x=1,x=2", @"1,2", true, true],
        [67, @"(1,2)", @"(2,1)", false, false],
        [68, @"(1,2)", @"1,2", true, true],
        [69, @"(1,\frac{9}{2})", @"(1,4.5)", true, true],
        [70, @"(1,2,3)", @"(3,2,1)", false, false],
        [71, @"(1,2)", @"[1,2]", false, false],
        [72, @"[0,1)", @"[0,1]", false, false],
        [73, @"[0,1)", @"0\le x<1", false, false],
        [74, @"0\le x<1", @"[0,1)", true, true],
        [75, @"x<2", @"(-\infty,2)", true, true],
        [76, @"[0,1]\cup[2,3]", @"[2,3]\cup[0,1]", true, true],
        [77, @"x<3", @"3>x", true, true],
        [78, @"x<1", @"-x>-1", true, true],
        [79, @"x\le 3", @"x<3", false, false],
        [80, @"[1,2]", @"x\in[1,2]", true, true],
        [81, @"\begin{pmatrix}1&2\\3&4\end{pmatrix}", @"\begin{bmatrix}1&2\\3&4\end{bmatrix}", true, true],
        [82, @"\begin{pmatrix}1&2\\3&4\end{pmatrix}", @"\begin{pmatrix}1&2\\4&3\end{pmatrix}", false, false],
        [83, @"\text{Monday}", @"monday", true, true],
        [84, @"\text{(A)}", @"A", true, true],
        [85, @"10!", @"3628800", true, true],
        [86, @"\binom{5}{2}", @"10", true, true],
        [87, @"\log_2 8", @"3", true, true],
        [88, @"3:4", @"\frac{3}{4}", true, true],
        [89, @"10^{100}", @"10^{100}+1", false, false],
        [90, @"1", @"0.9999999", true, true],
        [91, @"0.00000001", @"0.00000002", false, false],
        [92, @"11_2", @"3", true, true],
        [93, @"3", "\uff13", true, true],
        [94, @"-3", "\u22123", true, true],
        [95, @"42", @"42.", true, true],
        [96, @"42", @"\mathbf{42}", true, true],
    ];

    /// <summary>Gold, answer, verdict: at least one pair on either side of every rule.</summary>
    private static readonly (string Gold, string Answer, bool Same)[] Rules =
    [
        // numbers
        ("12", "12.0000001", true), ("12", "12.00001", false), ("0.0005", "0.00050004", true), ("0.0005", "0.0005004", false), ("0", "0.0000001", false),
        ("1234567", "1,234,567", true), ("1234567", "12,34,567", false), ("100,200", "200,100", true), ("1,234", "234,1", false), ("(1,234)", "(1, 234)", true),
        ("0.\\overline{27}", "\\frac{3}{11}", true), ("1.\\overline{3}", "\\frac{4}{3}", true), ("0.\\overline{27}", "0.27", false), ("0.\\dot{6}", "2/3", true),
        ("2\\frac{1}{3}", "\\frac{7}{3}", true), ("3 1/2", "3.5", true), ("\u00bd", "0.5", true), ("3\u00bd", "\\frac{7}{2}", true), ("2(1/2)", "1", true), ("2\\cdot\\frac{1}{2}", "1", true),
        ("7_8", "7", true), ("1A_{16}", "26", true), ("777_8", "511", true), ("129_{8}", "129", false), ("2.5\\text{ million}", "2500000", true),
        ("6.022e23", "6.022 \\times 10^{23}", true), ("3 \\times 10^{-2}", "0.03", true), ("-0.5", "-\\frac{1}{2}", true), ("+5", "5", true), ("--5", "5", true),
        ("10^{40}", "10^{40}+1", false), ("\\frac{10^{30}+1}{10^{30}}", "1", false), ("5\\%", "0.05", true), ("5\\%", "5", false), ("12.5 percent", "12.5\\%", true),
        ("\u20ac12", "12", true), ("\\$1{,}234.50", "1234.5", true), ("25\\text{ apples}", "25", true), ("25 apples", "25", true), ("25", "25 is wrong", false), ("25", "25\\text{ or more}", false),
        ("3\\text{ m/s}", "3", true), ("3", "3 m/s", true), ("9.8", "9.8\\,\\mathrm{m/s^2}", true), ("40", "40\\text{ square inches}", true), ("40", "40\\text{ km/h}", true), ("5", "5x", false),
        ("60", "60^\\circ", true), ("\\frac{\\pi}{3}", "60^\\circ", false), ("\\sin 30^\\circ", "\\frac{1}{2}", true), ("\\sin 30", "\\frac{1}{2}", false),
        ("\uff11\uff12", "12", true), ("1\u200b2", "12", true), ("x\u00b2+1", "x^2+1", true), ("2\u00d73", "6", true), ("\u22125", "-5", true),
        // exact irrational numbers
        ("\\sqrt{18}", "3\\sqrt{2}", true), ("\\sqrt{2}+\\sqrt{3}", "\\sqrt{5+2\\sqrt{6}}", true), ("\\sqrt{2}+\\sqrt{3}", "\\sqrt{10}", false), ("\\sqrt[3]{-8}", "-2", true), ("8^{2/3}", "4", true),
        ("\\sqrt[3]{20+14\\sqrt{2}}", "2+\\sqrt{2}", true), ("e^{\\pi\\sqrt{163}}", "262537412640768744", false), ("e^{\\ln 5}", "5", true), ("\\cos\\frac{\\pi}{5}", "\\frac{1+\\sqrt{5}}{4}", true),
        ("\\arctan 1", "\\frac{\\pi}{4}", true), ("\\tan^{-1} 1", "\\frac{\\pi}{4}", true), ("\\log_3 81", "4", true), ("\\log 1000", "3", true), ("\\ln 10", "\\log 10", false), ("\\frac{\\pi^2}{6}", "\\frac{\\pi\\cdot\\pi}{6}", true),
        ("\\frac{22}{7}", "3.142857", true), ("4\\pi", "12.566371", true), ("4\\pi", "12.56", false), ("|3-7|", "4", true), ("\\left|-\\frac{1}{2}\\right|", "0.5", true), ("\\lceil 2.1 \\rceil", "3", true),
        ("\\gcd(12,18)", "6", true), ("7!", "5040", true), ("\\binom{10}{3}", "120", true), ("{10 \\choose 3}", "120", true), ("\\frac{100!}{98!}", "9900", true), ("0^0", "1", false), ("\\frac{1}{0}", "\\infty", false),
        // functions of variables
        ("x(x+1)", "x^2+x", true), ("(a+b)(a-b)", "a^2-b^2", true), ("\\frac{x}{y}", "xy^{-1}", true), ("\\frac{1}{x}+\\frac{1}{y}", "\\frac{x+y}{xy}", true), ("(x+1)^{50}", "(1+x)^{50}", true), ("(x+1)^{50}", "(x+1)^{51}", false),
        ("x+y", "x-y", false), ("\\sqrt{x^2}", "|x|", true), ("\\sqrt{x^2}", "x", false), ("2^{n+1}", "2\\cdot 2^n", true), ("e^{x}e^{y}", "e^{x+y}", true), ("\\sin 2x", "2\\sin x\\cos x", true), ("\\cos 2x", "1-2\\sin^2 x", true),
        ("\\cos 2x", "1-\\sin^2 x", false), ("\\ln\\frac{a}{b}", "\\ln a-\\ln b", true), ("\\frac{n!}{(n-1)!}", "\\frac{n!}{(n-1)!}", true), ("x_1+x_2", "x_2+x_1", true), ("x_1", "x_2", false), ("0.5x", "\\frac{x}{2}", true), ("\\alpha+\\beta", "\\beta+\\alpha", true),
        // equations and inequalities
        ("x=5", "5=x", true), ("5", "2+3=5", true), ("5", "2+2=5", false), ("y=2x", "x=\\frac{y}{2}", true), ("y=x^2", "y=-x^2", false), ("f(x)=x^2", "x^2", true), ("x=\\frac{1}{3}", "x=0.333333", true), ("x^2+y^2=4", "\\frac{x^2}{4}+\\frac{y^2}{4}=1", true),
        ("x>2", "-x<-2", true), ("x>2", "-x>-2", false), ("1<x<3", "3>x>1", true), ("1<x<3", "1<x\\le 3", false), ("2x+1\\le 7", "x\\le 3", true), ("x\\ge 3", "[3,\\infty)", true), ("[3,\\infty)", "x\\ge 3", false), ("x<1\\text{ or }x>3", "(-\\infty,1)\\cup(3,\\infty)", true),
        ("x\\ne 2", "x\\neq 2", true), ("x\\ne 2", "x=2", false), ("-1\\le 2x+1<5", "[-1,2)", true), ("x\\in(0,1)", "(0,1)", true), ("x\\in\\{1,2\\}", "1,2", true),
        // several values
        ("\\{1,2\\}", "(1,2)", false), ("1,1", "1", true), ("(1,1)", "(1,1)", true), ("1, 2, 3", "1, 2 and 3", true), ("x=1,y=2", "y=2,x=1", true), ("x=1,y=2", "1,2", true), ("x=1,y=2", "2,1", false), ("(1,2),(3,4)", "(3,4),(1,2)", true), ("(1,2),(3,4)", "(2,1),(3,4)", false),
        ("\\pm\\sqrt{3}", "\\sqrt{3},-\\sqrt{3}", true), ("2\\pm 1", "3,1", true), ("2\\pm 1", "3", false), ("[1,2)", "[1,2)", true), ("[1,2)", "(1,2]", false), ("(1,2]\\cup(3,4)", "(3,4)U(1,2]", true), ("\\{x \\mid x>0\\}", "x>0", true), ("\\{0\\}", "\\emptyset", false),
        ("2:3", "4:6", true), ("1:2:3", "2:4:6", true), ("1:2:3", "2:4:7", false), ("\\begin{bmatrix}1\\\\2\\end{bmatrix}", "\\left(\\begin{array}{c}1\\\\2\\end{array}\\right)", true), ("\\mathbb{R}", "\\mathbb{R}", true),
        // words and letters
        ("\\text{blue}", "Blue", true), ("\\text{blue}", "\\text{not blue}", false), ("(C)", "C.", true), ("C", "C)", true), ("\\mathrm{(E)}", "E", true), ("E", "F", false), ("no solution", "\\text{No solution}", true), ("on", "no", false),
        // nothing, and what is none
        ("5", "\\boxed{}", false), ("5", "  ", false), ("5", "five", false), ("5", "5 5", false), ("5", "5)", false), ("5", "((5", false), ("5", "5^", false),
            ("5", "\\sqrt{}", false), ("5", "5;DROP TABLE", false), ("8", "__import__('os').system('echo 8')", false), ("8", "Math.Pow(2,3)", false), ("8", "2**3", false),
    ];

    public static TheoryData<int> TableRows => [.. Table.Select(row => (int)row[0])];

    [Theory]
    [MemberData(nameof(TableRows))]
    public void IsEquivalent_TableRow_HasItsVerdict(int number)
    {
        object[] row = Table[number - 1];
        Assert.Equal(row[3], MathGrader.IsEquivalent((string)row[1], (string)row[2], GraderProfile.Lenient));
        Assert.Equal(row[4], MathGrader.IsEquivalent((string)row[1], (string)row[2], GraderProfile.Strict));
    }

    [Fact]
    public void IsEquivalent_Rules_BothProfiles()
    {
        var misses = new List<string>();
        foreach (var (gold, answer, same) in Rules)
            foreach (var profile in Enum.GetValues<GraderProfile>())
                if (MathGrader.IsEquivalent(gold, answer, profile) != same)
                    misses.Add($"{profile}: {gold} and {answer} should be {same}");
        Assert.Empty(misses);
    }

    [Theory]
    [InlineData(@"<think>maybe \boxed{41}</think> so \boxed{42}", "42", true, true)]
    [InlineData(@"<think>it is \boxed{42}</think> done", "42", false, false)]
    [InlineData(@"<think>x</think>\boxed{41} wait \boxed{42}", "42", true, true)]
    [InlineData(@"<think>x</think>$x=\boxed{1}$ or $x=\boxed{2}$", "1,2", true, true)]
    [InlineData(@"<think>x</think>\boxed{42", "42", false, false)]
    [InlineData(@"<think>x</think>\boxed 42", "42", true, false)]
    [InlineData(@"<think>x</think>\fbox{42}", "42", true, true)]
    [InlineData(@"<think>x</think>\boxed{}", "42", false, false)]
    [InlineData("", "42", false, false)]
    [InlineData("<think>x</think>The answer is 42.", "42", true, false)]
    [InlineData("<think>x</think>The final answer is $42$. I hope it is correct.", "42", true, false)]
    [InlineData(@"<think>x</think>so $6\times 7=42$", "42", true, false)]
    [InlineData("<think>x</think>**42**", "42", true, false)]
    [InlineData(@"<think>x</think>\boxed{x=42}", "42", true, true)]
    [InlineData(@"<think>x</think>\boxed{forty-two}", "42", false, false)]
    [InlineData(@"<think>x</think>\boxed{\frac{a}{b}}", @"\frac{a}{b}", true, true)]
    [InlineData(@"\boxed{42}", "42", true, false)]
    [InlineData(@"x</think>a</think>\boxed{42}", "42", true, false)]
    [InlineData(@"x</think><think>\boxed{42}", "42", true, false)]
    [InlineData(@"<think><think>x</think>\boxed{42}", "42", true, false)]
    public void IsCorrect_WholeCompletion_ByProfile(string response, string gold, bool lenient, bool strict)
    {
        Assert.Equal(lenient, MathGrader.IsCorrect(gold, response, AnswerTemplate.R1, GraderProfile.Lenient));
        Assert.Equal(strict, MathGrader.IsCorrect(gold, response, AnswerTemplate.R1, GraderProfile.Strict));
    }

    [Fact]
    public void IsCorrect_AnswerTags_OnlyInTheirTemplate()
    {
        const string response = "<think>x</think><answer>42</answer>";
        Assert.True(MathGrader.IsCorrect("42", response, AnswerTemplate.Zero, GraderProfile.Strict));
        Assert.False(MathGrader.IsCorrect("42", response, AnswerTemplate.R1, GraderProfile.Strict));
    }

    /// <summary>Texts that an attacker or a broken model would write.</summary>
    [Fact]
    public void IsEquivalent_HostileTexts_HaveAVerdictSoon()
    {
        string Repeat(string text, int count) => string.Concat(Enumerable.Repeat(text, count));
        var texts = new Dictionary<string, string>
        {
            ["parentheses"] = Repeat("(", 20_000),
            ["balanced"] = Repeat("(", 20_000) + "5" + Repeat(")", 20_000),
            ["sets"] = Repeat("\\{", 9_000) + Repeat("\\}", 9_000),
            ["roots"] = Repeat("\\sqrt{", 5_000) + "2" + Repeat("}", 5_000),
            ["roots within the limit"] = Repeat("\\sqrt{x+", 100) + "2" + Repeat("}", 100),
            ["fractions within the limit"] = Repeat("\\frac{1}{x+", 110) + "2" + Repeat("}", 110),
            ["divisions"] = "5" + Repeat("/7", 9_000),
            ["minus signs"] = Repeat("-", 19_000) + "5",
            ["factorials"] = "5" + Repeat("!", 100),
            ["many factorials"] = "2000!" + Repeat("+2000!", 3_000),
            ["powers of factorials"] = "(2000!)^{2000!}",
            ["powers"] = Repeat("x^", 5_000) + "2",
            ["long products"] = Repeat("123456789\\cdot ", 4_000) + "1",
            ["long fractions"] = Repeat("\\frac{1}{123456789}+", 2_000) + "1",
            ["prime fractions"] = string.Join("+", Enumerable.Range(1, 3_000).Select(i => $"\\frac{{1}}{{{2 * i + 1}}}")),
            ["functions"] = Repeat("\\sin x\\cos x+", 3_000) + "1",
            ["nested functions"] = Repeat("\\sin(", 100) + "x" + Repeat(")", 100),
            ["exponentials"] = "e^{e^{e^{e^{9}}}}",
            ["huge root index"] = "\\sqrt[999999999]{2}",
            ["text in text"] = Repeat("\\text{", 5_000) + "5" + Repeat("}", 5_000),
            ["boxes"] = Repeat("\\boxed{", 5_000) + "5" + Repeat("}", 5_000),
            ["plus-minus"] = Repeat("\\pm 1", 5_000),
            ["sines"] = Repeat("\\sin", 15_000),
            ["root signs"] = Repeat("\u221a", 15_000) + "2",
            ["exponent towers in braces"] = Repeat("2^{", 5_000) + "2" + Repeat("}", 5_000),
            ["bars and fractions"] = Repeat("|\\frac|", 5_000),
            ["bars"] = Repeat("|", 9_000),
            ["equations"] = Repeat("x=", 5_000) + "5",
            ["inequalities"] = Repeat("x<", 5_000) + "5",
            ["list of sums"] = string.Join(",", Enumerable.Range(1, 390).Select(i => $"\\sqrt{{{i}}}+x")),
            ["commas"] = Repeat("1,", 15_000),
            ["unclosed commands"] = Repeat("\\frac{1}{", 9_000),
            ["matrix"] = "\\begin{pmatrix}" + Repeat("1&", 9_000) + "1\\end{pmatrix}",
            ["digits and commas"] = Repeat("123,", 12_000) + "123",
            ["spaces"] = Repeat(" ", 40_000) + "5",
        };
        foreach (var (name, text) in texts)
            foreach (string gold in new[] { "5", "x^2+\\sqrt{x}", text })
                GradingGoldenTests.Hostile(name, gold, text == gold ? text + "+0" : text);
        string nested = Repeat("\\boxed{", 30_000);
        Assert.Null(MathGrader.Extract("</think>" + nested, AnswerTemplate.R1, GraderProfile.Strict));
    }

    /// <summary>A sign of two values inside something that is no plain value: expanding it leaves it where it is, which must not go on for ever.</summary>
    [Theory]
    [InlineData("\\sin(\\pm 1,2)")]
    [InlineData("-(\\pm 1,2)")]
    [InlineData("2\\{\\pm 1,3\\}")]
    [InlineData("\\sqrt{\\{\\pm 1, 2\\}}")]
    [InlineData("-\\begin{pmatrix}\\pm 1\\end{pmatrix}")]
    [InlineData("\\log[\\pm 1,2)")]
    [InlineData("-(x=\\pm 1)")]
    public void IsEquivalent_PlusMinusInsideAGroup_HasAVerdict(string text)
    {
        foreach (string other in new[] { "5", "x=2", "[0,1)", "1,2", text, text + "+0" })
        {
            GradingGoldenTests.Hostile(text, other, text);
            GradingGoldenTests.Hostile(text, text, other);
        }
    }

    private static readonly Gen<(long Top, long Bottom)> Fractions = Gen.Select(Gen.Long[-5_000, 5_000], Gen.Long[1, 400]);

    [Fact]
    public void IsEquivalent_FractionInAnotherForm_IsAccepted()
        => Gen.Select(Fractions, Gen.Int[1, 60], Gen.Int[0, 6]).Sample((fraction, factor, form) =>
        {
            var (top, bottom) = fraction;
            Assert.True(MathGrader.IsEquivalent($"\\frac{{{top}}}{{{bottom}}}", Written(top * factor, bottom * factor, form), GraderProfile.Strict), Written(top * factor, bottom * factor, form));
        }, iter: 2_000);

    [Fact]
    public void IsEquivalent_NeighbourOfAFraction_IsRefused()
        => Gen.Select(Fractions, Gen.Int[0, 6], Gen.Bool).Sample((fraction, form, up) =>
        {
            var (top, bottom) = fraction;
            Assert.False(MathGrader.IsEquivalent($"\\frac{{{top}}}{{{bottom}}}", Written(top + (up ? 1 : -1), bottom, form), GraderProfile.Lenient));
        }, iter: 2_000);

    [Fact]
    public void IsEquivalent_ExpandedPolynomial_IsAcceptedAndItsNeighbourRefused()
        => Gen.Select(Gen.Int[-30, 30], Gen.Int[-30, 30], Gen.Int[1, 9]).Sample((a, b, c) =>
        {
            string factored = $"{c}(x{a:+0;-0;+0})(x{b:+0;-0;+0})";
            Assert.True(MathGrader.IsEquivalent(factored, $"{c}x^2{c * (a + b):+0;-0;+0}x{c * a * b:+0;-0;+0}", GraderProfile.Strict));
            Assert.False(MathGrader.IsEquivalent(factored, $"{c}x^2{c * (a + b):+0;-0;+0}x{c * a * b + 1:+0;-0;+0}", GraderProfile.Strict));
        }, iter: 500);

    [Fact]
    public void IsEquivalent_Root_IsAcceptedInAnyFormAndOnlyThen()
        => Gen.Select(Gen.Int[1, 40], Gen.Int[2, 60]).Sample((outside, inside) =>
        {
            string whole = $"\\sqrt{{{outside * outside * inside}}}";
            Assert.True(MathGrader.IsEquivalent(whole, $"{outside}\\sqrt{{{inside}}}", GraderProfile.Strict));
            Assert.True(MathGrader.IsEquivalent($"\\frac{{{outside}}}{{\\sqrt{{{inside}}}}}", $"\\frac{{{outside}\\sqrt{{{inside}}}}}{{{inside}}}", GraderProfile.Strict));
            Assert.False(MathGrader.IsEquivalent(whole, $"{outside + 1}\\sqrt{{{inside}}}", GraderProfile.Strict));
        }, iter: 500);

    /// <summary>Formatting never changes a verdict, and everything equals itself.</summary>
    [Fact]
    public void IsEquivalent_Formatting_ChangesNothing()
        => Gen.Select(Gen.Int[0, Table.Length - 1], Gen.Int[0, Wrappings.Length - 1]).Sample((row, wrapping) =>
        {
            string gold = (string)Table[row][1], answer = (string)Table[row][2];
            Assert.True(MathGrader.IsEquivalent(gold, gold, GraderProfile.Strict), gold);
            Assert.True(MathGrader.IsEquivalent(answer, answer, GraderProfile.Strict), answer);
            string wrapped = Wrappings[wrapping].Replace("#", answer, StringComparison.Ordinal);
            Assert.True((bool)Table[row][3] == MathGrader.IsEquivalent(gold, wrapped, GraderProfile.Lenient), $"{gold} and {wrapped}");
        }, iter: 1_000);

    private static readonly string[] Wrappings = [" # ", "{#}", "$#$", "\\displaystyle #", "\\, # \\,", "\\boxed{#}", "\\mathbf{#}", "$$#$$", "\\left.#\\right."];

    private static readonly string[] Pieces =
    [
        "\\frac", "{", "}", "1", "23", "x", "^", "_", "\\sqrt", "(", ")", "[", "]", "+", "-", "/", ",", "=", "<", "\\le", "\\{", "\\}", "|", "\\pm", "!", "%", "\\text{", "cm", "\\pi", ".", " ", "\\sin",
        "\\log", ":", "\\cup", "\\begin{pmatrix}", "\\end{pmatrix}", "&", "\\\\", "\\infty", "e", "i", "\\boxed{", "\\overline", "and",
    ];

    /// <summary>No text is an accident: random strings of what LaTeX is made of never throw.</summary>
    [Fact]
    public void IsEquivalent_RandomTokens_NeverThrow()
        => Gen.Int[0, Pieces.Length - 1].Select(i => Pieces[i])
            .Array[0, 18].Sample(tokens =>
            {
                string text = string.Concat(tokens);
                foreach (string other in (string[])["5", "x=2", "[0,1)", "1,2", text])
                {
                    MathGrader.IsEquivalent(other, text, GraderProfile.Lenient);
                    MathGrader.IsEquivalent(text, other, GraderProfile.Strict);
                }

                MathGrader.Extract("</think>" + text, AnswerTemplate.R1, GraderProfile.Lenient);
            }, iter: 20_000);

    private static string Written(long top, long bottom, int form) => form switch
    {
        0 => $"\\frac{{{top}}}{{{bottom}}}",
        1 => $"{top}/{bottom}",
        2 => $"\\dfrac{{{-top}}}{{{-bottom}}}",
        3 => $"{top} \\div {bottom}",
        4 => $"{top}\\cdot {bottom}^{{-1}}",
        5 => $"{top / bottom}{(top % bottom < 0 ? "-" : "+")}\\frac{{{Math.Abs(top % bottom)}}}{{{bottom}}}",
        _ => $"x = {top}:{bottom}",
    };
}
