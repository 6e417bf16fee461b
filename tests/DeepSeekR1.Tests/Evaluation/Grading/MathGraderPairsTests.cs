using DeepSeekR1.Evaluation.Grading;
using Xunit;

namespace DeepSeekR1.Tests.Evaluation.Grading;

/// <summary>Answers as models write them for MATH, AIME and GSM8K: each gold with answers that are right and answers that are wrong, divided by two bars.</summary>
public class MathGraderPairsTests
{
    private static readonly (string Gold, string Right, string Wrong)[] Table =
    [
        // numbers and how they are dressed
        (@"12", @"\(12\) || \[12\] || **12** || ""12"" || `12` || = 12 || \approx 12 || 12\\ || 12 \text{.} || \textcolor{red}{12} || \color{blue}{12} || \hphantom{x}12 || 12, || \boxed{\boxed{12}}", @"1 2 || 12! || 12x || 12\% || 21 || **13** || \neq 12 || <12"),
        (@"\frac{3}{4}", @"\cfrac{6}{8} || \frac{1}{\frac{4}{3}} || 3\div 4 || .75 || {3 \over 4} || 75\% || \frac{3}{4} \approx 0.75 || x=\frac{3}{4}\approx 0.8", @"\frac{3}{4}\approx 5 || 0.8 || 3:5 || \frac{3}{4}+\frac{3}{4}"),
        (@"-\frac{5}{6}", @"\frac{-5}{6} || \frac{5}{-6} || -5/6", @"\frac{-5}{-6} || 5/6"),
        (@"12.5\%", @"0.125 || 1/8 || 12\frac{1}{2}\%", @"12.5 || 12\frac{1}{2} || \frac{12}{200}"),
        (@"11,\! 111,\! 111,\! 100", @"11111111100 || 11{,}111{,}111{,}100", @"11 || 1111111110"),
        (@"0.\overline{6}", @"2/3 || .\overline{6} || 0.6\overline{6} || 0.\overline{66} || 0.666667", @"0.6 || 0.67 || 0.666"),
        (@"-7", "\ufe637 || \u22127 || \uff0d7", "7 || 7-"),
        (@"2", "\u221b8 || \\sqrt[4]{16}", "\u221b9"),
        (@"1358", @"2516_8 || (2516)_8 || 2516_{8}", @"2516 || 2516_9"),
        (@"171", @"AB_{16}", @"AB || AB_{15}"),
        // units and times
        (@"5", @"5\,\frac{\text{m}}{\text{s}} || 5 years old || 5 sq. units || 5 \text{ in.} || 5 °C || 5^\circ\mathrm{C} || 5 \mathrm{~m} \cdot \mathrm{s}^{-1}", @"5\,\frac{\text{m}}{\text{no}} || 5 dozen || 5\text{ million} || 5 minus 1"),
        (@"3:00 PM", @"3:00 pm || 3:00 p.m. || 3:00\text{ p.m.}", @"3:00 AM || 3:01 PM"),
        (@"10\text{ a.m.}", @"10 a.m. || 10 AM", @"10 p.m. || 11 a.m."),
        // what a value is called
        (@"5", @"AB=5 || |AB|=5 || f(3)=5 || P(A)=5 || \angle A = 5 || \theta=5 || \text{Area}=5", @"AB=6 || f(5)=3 || ABC || m+n=5 || 5=6"),
        (@"f(3)=5", @"5 || f(3)=5", @"f(2)=5 || f(3)=6"),
        (@"\angle ABC", "\\angle CBA || \u2220ABC", @"\angle ACB || ABC || \triangle ABC"),
        (@"\triangle ABC", "\u25b3ABC", @"\triangle ABD || \angle ABC"),
        // several values
        (@"\{1,2,3\}", @"\lbrace 1,2,3\rbrace || 1, 2, \text{ and } 3 || {1,2,3}", @"\{1,2\} || (1,2,3) || 123"),
        (@"\{-2,2\}", @"x_1=2,x_2=-2 || x=\pm 2 || x=2\text{ or }x=-2", @"x_1=2,x_2=3 || 2"),
        (@"(2,1)", @"\langle 2,1\rangle || x=2,y=1", @"x=1,y=2 || x_1=1,x_2=2 || \langle 1,2\rangle"),
        (@"x=2,y=3", @"\begin{cases}x=2\\y=3\end{cases} || (2,3) || y=3,x=2", @"\begin{cases}x=3\\y=2\end{cases} || (3,2)"),
        (@"1,2,\ldots,10", "1,2,...,10 || 1,2,\\dots,10 || 1, 2, \u2026, 10", @"1,2,10 || 1,2,...,11"),
        (@"3:4", @"3\colon 4 || 6:8", @"4\colon 3 || 3,4"),
        (@"\text{Alice and Bob}", @"Alice and Bob || Bob and Alice || \text{Alice}, \text{Bob}", @"Alice || Bob and Carl"),
        (@"\text{infinitely many}", @"infinitely many", @"many || infinite"),
        // intervals and inequalities
        (@"-1<x<3", @"x>-1\text{ and }x<3 || x<3, x>-1 || x\in(-1,3)", @"x>-1 || x<-1\text{ or }x>3 || x\in[-1,3) || y\in(-1,3)"),
        (@"x<-1\text{ or }x>3", @"x>3\text{ or }x<-1", @"-1<x<3 || 3<x<-1"),
        (@"0<a\le 1", @"a\in(0,1] || (0,1]", @"a\in[0,1] || x\in(0,1]"),
        (@"\mathbb{R}", @"(-\infty,\infty) || x\in\mathbb{R}", @"(0,\infty) || \mathbb{Z}"),
        (@"x>2", @"\{x:x>2\} || \{x\in\mathbb{R} : x>2\} || \{x\mid x>2\}", @"\{x:x<2\} || \{2\}"),
        // matrices
        (@"\begin{pmatrix}1&2\\3&4\end{pmatrix}", @"\begin{pmatrix}1&2\\[2pt]3&4\end{pmatrix} || \frac{1}{2}\begin{pmatrix}2&4\\6&8\end{pmatrix} || -\begin{pmatrix}-1&-2\\-3&-4\end{pmatrix}", @"2\begin{pmatrix}1&2\\3&4\end{pmatrix} || \begin{pmatrix}1&3\\2&4\end{pmatrix} || \begin{pmatrix}1&2\\3\end{pmatrix}"),
        // expressions
        (@"\frac{n(n+1)}{2}", @"\binom{n+1}{2} || \frac{(n+1)!}{2(n-1)!}", @"\binom{n}{2} || \binom{n+2}{2} || \frac{n!}{2(n-2)!}"),
        (@"(n+1)!", @"(n+1)n! || n!\cdot(n+1)", @"n! || n\cdot n! || (n+1)"),
        (@"\binom{2n}{n}", @"\frac{(2n)!}{n!n!} || \frac{(2n)!}{(n!)^2}", @"\frac{(2n)!}{n!} || \binom{2n}{n+1}"),
        (@"\sqrt[n]{x}", @"x^{1/n} || x^{\frac{1}{n}}", @"x^n || \sqrt{x}"),
        (@"|-5|", @"\vert -5\vert || 5", @"-5"),
    ];

    [Fact]
    public void IsEquivalent_AnswersAsWritten_HaveTheirVerdict()
    {
        var wrong = new List<string>();
        foreach (var (gold, right, other) in Table)
            foreach (var (answers, same) in new[] { (right, true), (other, false) })
                foreach (string answer in answers.Split(" || "))
                    foreach (var profile in Enum.GetValues<GraderProfile>())
                        if (MathGrader.IsEquivalent(gold, answer, profile) != same)
                            wrong.Add($"{gold} and {answer} should be {same} ({profile})");
        Assert.Empty(wrong);
    }

    [Theory]
    [InlineData(@"a</think> \(\boxed{1}\) and \(\boxed{2}\)", AnswerTemplate.R1, "1,2", "1,2")]
    [InlineData(@"a</think> \boxed{1}; \boxed{2}", AnswerTemplate.R1, "1,2", "1,2")]
    [InlineData(@"a</think> \boxed{x = \boxed{5}}", AnswerTemplate.R1, "5", "5")]
    [InlineData(@"a</think> **Final Answer**: $12$", AnswerTemplate.R1, null, "12")]
    [InlineData(@"a</think> **Answer:** 12", AnswerTemplate.R1, null, "12")]
    [InlineData(@"a</think> \boxed{7} \boxed{8", AnswerTemplate.R1, "7", "7")]
    [InlineData(@"<think>\boxed{41}</think> no box here", AnswerTemplate.R1, null, null)]
    [InlineData("#### $5.00", AnswerTemplate.Gsm8k, "5.00", "5.00")]
    public void Extract_ResponsesAsWritten_FindTheAnswer(string response, AnswerTemplate template, string? strict, string? lenient)
    {
        Assert.Equal(strict, MathGrader.Extract(response, template, GraderProfile.Strict));
        Assert.Equal(lenient, MathGrader.Extract(response, template, GraderProfile.Lenient));
    }

    /// <summary>A text of a megabyte whose marks never close is searched once, not once for each mark.</summary>
    [Theory]
    [InlineData(@"\boxed{1}", @"\boxed{", 150_000)]
    [InlineData("", @"\boxed{a{", 100_000)]
    [InlineData("", @"\(", 400_000)]
    [InlineData("", @"\[", 400_000)]
    [InlineData("", "$a ", 300_000)]
    [InlineData("", "**a", 300_000)]
    public void Extract_MarksThatNeverClose_TakesLittleTime(string start, string mark, int count)
    {
        string text = start + string.Concat(Enumerable.Repeat(mark, count));
        var time = System.Diagnostics.Stopwatch.StartNew();
        MathGrader.Extract(text, AnswerTemplate.Plain, GraderProfile.Lenient);
        Assert.True(time.Elapsed < TimeSpan.FromSeconds(2), $"{time.Elapsed}");
    }

    [Theory]
    [InlineData("(2000n)!/(1999n)!", "n")]
    [InlineData(@"\binom{1000n}{500n}^9", "n^9")]
    [InlineData(@"\approx", "5")]
    public void IsEquivalent_Hostile_HasAVerdictSoon(string piece, string answer)
        => GradingGoldenTests.Hostile(piece, string.Join('+', Enumerable.Repeat(piece, 2_000)), answer);
}
