using System.Globalization;

namespace DeepSeekR1.Training.Arithmetic;

/// <summary>Says a problem in one of many ways. Stateless; the same random numbers give the same words.</summary>
internal static class Phrasing
{
    private static readonly string[] Openings =
    [
        "", "", "", "", "", "", "please ", "can you tell me ", "could you tell me ", "tell me ", "hi, ", "hello, ", "hey, ", "quick question: ",
        "I need to know ", "do you know ", "now ", "ok, ", "so ", "question: ", "one more: ", "help me: ", "just ",
    ];

    private static readonly string[] Endings = ["", "", "", "?", "?", "?", ".", " please", ", please", " please?", "!", " ?", " thanks", ", thank you"];

    private static readonly string[] ChineseOpenings = ["", "", "", "请问", "请计算", "你好,", "帮我算一下", "计算"];

    private static readonly string[] ChineseEndings = ["", "?", "?", "等于多少?", "等于多少", "是多少?", "等于几?", "得多少?", "=?"];

    /// <summary>What some clients add to every question.</summary>
    private static readonly string[] Hints =
    [
        "\nPlease reason step by step, and put your final answer within \\boxed{}.",
        " Please reason step by step, and put your final answer within \\boxed{}.",
        " Think step by step.", " Show your work.", "\nPut the final answer in \\boxed{}.", " Give only the answer.", " Be brief.",
    ];

    private static readonly string[] SmallNumbers =
    [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen",
        "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
    ];

    // {0} and {1} are the numbers. A leading capital is added by chance.
    private static readonly string[] Add =
    [
        "what is {0} plus {1}", "what's {0} plus {1}", "{0} plus {1}", "add {0} and {1}", "add {1} to {0}", "the sum of {0} and {1}", "what is the sum of {0} and {1}",
        "how much is {0} plus {1}", "calculate {0} plus {1}", "if you add {0} and {1}, what do you get", "what do {0} and {1} make together", "{0} and {1} makes",
        "total of {0} and {1}", "{0} added to {1}", "how much is {0} and {1} together", "increase {0} by {1}", "what does {0} plus {1} equal", "{0} plus {1} equals",
    ];

    private static readonly string[] Subtract =
    [
        "what is {0} minus {1}", "what's {0} minus {1}", "{0} minus {1}", "subtract {1} from {0}", "take {1} from {0}", "take {1} away from {0}",
        "the difference {0} minus {1}", "how much is {0} minus {1}", "calculate {0} minus {1}", "{0} take away {1}", "{0} less {1}", "decrease {0} by {1}",
        "what is left when you take {1} from {0}", "if I have {0} and lose {1}, what is left", "what does {0} minus {1} equal", "{0} minus {1} equals",
    ];

    private static readonly string[] Multiply =
    [
        "what is {0} times {1}", "what's {0} times {1}", "{0} times {1}", "multiply {0} by {1}", "multiply {0} and {1}", "the product of {0} and {1}",
        "what is the product of {0} and {1}", "how much is {0} times {1}", "calculate {0} times {1}", "{0} multiplied by {1}", "what is {0} multiplied by {1}",
        "what does {0} times {1} equal", "{0} times {1} equals", "what do you get if you multiply {0} by {1}",
    ];

    private static readonly string[] Divide =
    [
        "what is {0} divided by {1}", "what's {0} divided by {1}", "{0} divided by {1}", "divide {0} by {1}", "the quotient of {0} and {1}",
        "how much is {0} divided by {1}", "calculate {0} divided by {1}", "how often does {1} go into {0}", "how many times does {1} go into {0}", "split {0} into {1} equal parts",
        "what does {0} divided by {1} equal", "share {0} among {1}", "{0} over {1}",
    ];

    private static readonly string[] Linear =
    [
        "solve {0}", "solve {0} for {1}", "solve for {1}: {0}", "find {1}: {0}", "find {1} if {0}", "what is {1} if {0}", "if {0}, what is {1}", "{0}", "{0}, {1} = ?",
        "solve the equation {0}", "what value of {1} makes {0} true", "given {0}, find {1}", "{0}. what is {1}", "calculate {1}: {0}",
    ];

    private static readonly string[] Larger =
    [
        "which is larger, {0} or {1}", "which is bigger, {0} or {1}", "which is greater: {0} or {1}", "what is the larger number, {0} or {1}", "what is the maximum of {0} and {1}",
        "max of {0} and {1}", "which number is bigger: {0} or {1}", "compare {0} and {1}: which is larger", "which one is more, {0} or {1}", "larger of {0} and {1}",
    ];

    private static readonly string[] Smaller =
    [
        "which is smaller, {0} or {1}", "which is less, {0} or {1}", "what is the smaller number, {0} or {1}", "what is the minimum of {0} and {1}", "min of {0} and {1}",
        "which number is smaller: {0} or {1}", "compare {0} and {1}: which is smaller", "which one is less, {0} or {1}", "smaller of {0} and {1}",
    ];

    private static readonly string[] Bare = ["{0}{2}{1}", "{0} {2} {1}", "{0}{2}{1}=", "{0} {2} {1} =", "{0} {2} {1} = ?", "{0}{2}{1}=?", "{0}{2}{1} = ?"];

    private static readonly string[] BareAsked = ["what is {0}", "what's {0}", "calculate {0}", "compute {0}", "{0}", "how much is {0}", "work out {0}", "evaluate {0}", "what does {0} equal", "solve {0}", "find {0}"];

    /// <summary>A question about a problem.</summary>
    public static string Question(Problem problem, Random random)
    {
        if (problem.Kind == ProblemKind.Linear)
            return Equation(problem, random);
        if (random.Next(100) < 12)
            return Chinese(problem, random);
        string core = Symbol(problem.Kind, random) is { } symbol && random.Next(100) < 45
            ? string.Format(CultureInfo.InvariantCulture, Pick(BareAsked, random), Expression(problem, symbol, random))
            : string.Format(CultureInfo.InvariantCulture, Pick(Words(problem.Kind), random), Number(problem.A, random), Number(problem.B, random));
        return Dress(core, random);
    }

    /// <summary>A question that goes on with the last result: "and times 3?".</summary>
    public static string FollowUp(Problem problem, Random random)
    {
        string number = Number(problem.B, random);
        string[] forms = problem.Kind switch
        {
            ProblemKind.Add => ["and plus {0}", "plus {0}", "add {0}", "now add {0}", "add {0} to that", "and {0} more", "now plus {0}", "+{0}", "+ {0}"],
            ProblemKind.Subtract => ["and minus {0}", "minus {0}", "subtract {0}", "now subtract {0}", "take away {0}", "and {0} less", "now minus {0}", "-{0}", "- {0}"],
            ProblemKind.Multiply => ["and times {0}", "times {0}", "multiply that by {0}", "now times {0}", "and that times {0}", "multiply by {0}", "*{0}", "* {0}"],
            _ => ["and divided by {0}", "divided by {0}", "divide that by {0}", "now divide by {0}", "/{0}", "/ {0}"],
        };
        return Capital(string.Format(CultureInfo.InvariantCulture, Pick(forms, random), number) + Pick(["", "?", "?", "."], random), random);
    }

    /// <summary>The visible answer.</summary>
    public static string Reply(Problem problem) => problem.Kind switch
    {
        ProblemKind.Add => $"{problem.A} + {problem.B} = \\boxed{{{problem.Answer}}}",
        ProblemKind.Subtract => $"{problem.A} - {problem.B} = \\boxed{{{problem.Answer}}}",
        ProblemKind.Multiply => $"{problem.A} × {problem.B} = \\boxed{{{problem.Answer}}}",
        ProblemKind.Divide => $"{problem.A} ÷ {problem.B} = \\boxed{{{problem.Answer}}}",
        ProblemKind.Linear => $"x = \\boxed{{{problem.Answer}}}",
        ProblemKind.Larger => $"\\boxed{{{problem.Answer}}} is larger",
        _ => $"\\boxed{{{problem.Answer}}} is smaller",
    };

    /// <summary>Opening, ending, capital letter and hint around a question.</summary>
    public static string Dress(string core, Random random)
    {
        string text = Capital(Pick(Openings, random) + core, random) + Pick(Endings, random);
        return random.Next(100) < 10 ? text + Pick(Hints, random) : text;
    }

    /// <summary>One of some texts.</summary>
    public static string Pick(string[] texts, Random random) => texts[random.Next(texts.Length)];

    private static string[] Words(ProblemKind kind) => kind switch
    {
        ProblemKind.Add => Add,
        ProblemKind.Subtract => Subtract,
        ProblemKind.Multiply => Multiply,
        ProblemKind.Divide => Divide,
        ProblemKind.Larger => Larger,
        _ => Smaller,
    };

    private static string? Symbol(ProblemKind kind, Random random) => kind switch
    {
        ProblemKind.Add => "+",
        ProblemKind.Subtract => random.Next(6) == 0 ? "\u2212" : "-",
        ProblemKind.Multiply => Pick(["*", "*", "×", "×", "x", "·"], random),
        ProblemKind.Divide => Pick(["/", "/", "÷", ":"], random),
        _ => null,
    };

    private static string Expression(Problem problem, string symbol, Random random)
        => string.Format(CultureInfo.InvariantCulture, Pick(Bare, random), Number(problem.A, random), Number(problem.B, random), symbol);

    private static string Equation(Problem problem, Random random)
    {
        string name = Pick(["x", "x", "x", "x", "y", "n", "a", "z"], random), space = random.Next(2) == 0 ? "" : " ";
        string factor = problem.A == 1 ? "" : $"{problem.A}" + Pick(["", "", "", "*", " "], random);
        string left = problem.B == 0 ? $"{factor}{name}"
            : problem.B > 0 && random.Next(6) == 0 ? $"{problem.B}{space}+{space}{factor}{name}"
            : $"{factor}{name}{space}{(problem.B < 0 ? "-" : "+")}{space}{Math.Abs(problem.B)}";
        string equation = random.Next(12) == 0 ? $"{problem.C}{space}={space}{left}" : $"{left}{space}={space}{problem.C}";
        if (random.Next(100) < 8)
            return Pick(["解方程 {0}", "解方程:{0}", "如果{0},那么{1}等于多少?", "{0},求{1}", "求{1}:{0}"], random).Replace("{0}", equation).Replace("{1}", name);
        return Dress(string.Format(CultureInfo.InvariantCulture, Pick(Linear, random), equation, name), random);
    }

    private static string Chinese(Problem problem, Random random)
    {
        var (a, b) = (problem.A, problem.B);
        string text = problem.Kind switch
        {
            ProblemKind.Add => Pick(["{0}加{1}", "{0} 加 {1}", "{0}+{1}", "{0} + {1}", "{0}与{1}的和"], random),
            ProblemKind.Subtract => Pick(["{0}减{1}", "{0} 减 {1}", "{0}-{1}", "{0} - {1}", "{0}减去{1}"], random),
            ProblemKind.Multiply => Pick(["{0}乘{1}", "{0} 乘 {1}", "{0}乘以{1}", "{0}×{1}", "{0} × {1}"], random),
            ProblemKind.Divide => Pick(["{0}除以{1}", "{0} 除以 {1}", "{0}÷{1}", "{0} ÷ {1}", "{0}/{1}"], random),
            ProblemKind.Larger => Pick(["{0}和{1}哪个大?", "{0} 和 {1} 哪个更大?", "哪个大,{0}还是{1}?"], random),
            _ => Pick(["{0}和{1}哪个小?", "{0} 和 {1} 哪个更小?", "哪个小,{0}还是{1}?"], random),
        };
        text = string.Format(CultureInfo.InvariantCulture, text, a, b);
        if (problem.Kind is ProblemKind.Larger or ProblemKind.Smaller)
            return Pick(["", "请问", "你好,"], random) + text;
        return (Pick(ChineseOpenings, random) + text + Pick(ChineseEndings, random)).Replace("?", random.Next(2) == 0 ? "?" : "\uFF1F");
    }

    /// <summary>A number as people write it: seldom with a comma, small ones seldom as a word.</summary>
    private static string Number(long number, Random random)
    {
        int chance = random.Next(100);
        if (number is >= 0 and <= 20 && chance < 12)
            return SmallNumbers[number];
        return number >= 1000 && chance < 5 ? number.ToString("N0", CultureInfo.InvariantCulture) : $"{number}";
    }

    private static string Capital(string text, Random random)
        => random.Next(100) < 60 && text.Length > 0 ? char.ToUpperInvariant(text[0]) + text[1..] : text;
}
