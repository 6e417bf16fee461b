using System.Globalization;

namespace DeepSeekR1.Training.Arithmetic;

/// <summary>Says a problem in one of many ways. Stateless; the same random numbers give the same words.</summary>
internal static class Phrasing
{
    private static readonly string[] Openings =
    [
        "", "", "", "", "", "", "", "", "", "", "please ", "can you tell me ", "could you tell me ", "tell me ", "hi, ", "hello, ", "hey, ", "quick question: ",
        "I need to know ", "do you know ", "now ", "ok, ", "so ", "question: ", "one more: ", "help me: ", "just ", "Hi! ", "Hello! ", "Hi there, ",
        "good morning, ", "can you help me? ", "could you please tell me ", "can you please tell me ", "would you tell me ", "I want to know ", "I'd like to know ",
        "I have a question: ", "a question: ", "math question: ", "homework: ", "next: ", "another one: ", "and ", "well, ", "Q: ", "please tell me ",
        "can you work out ", "can you calculate ", "could you calculate ", "please calculate ", "please work out ", "please compute ", "can you compute ",
        "do you know: ", "I wonder ", "I was wondering, ", "let me ask you: ", "try this: ", "try this one: ", "problem: ", "let's see, ",
    ];

    private static readonly string[] Endings =
    [
        "", "", "", "", "?", "?", "?", "?", ".", " please", ", please", " please?", ", please?", "!", " ?", " thanks", ", thank you", "??", "? Thanks!", "? Thank you.",
        " exactly?", "? Be exact.", " by hand?", "\n", "?\n",
    ];

    private static readonly string[] ChineseOpenings = ["", "", "", "请问", "请计算", "你好,", "帮我算一下", "计算"];

    private static readonly string[] ChineseEndings = ["", "?", "?", "等于多少?", "等于多少", "是多少?", "等于几?", "得多少?", "=?"];

    /// <summary>What some clients add to every question.</summary>
    private static readonly string[] Hints =
    [
        "\nPlease reason step by step, and put your final answer within \\boxed{}.",
        " Please reason step by step, and put your final answer within \\boxed{}.",
        " Think step by step.", " Show your work.", "\nPut the final answer in \\boxed{}.", " Give only the answer.", " Be brief.", " Let's think step by step.",
        " Solve it step by step.", " Answer with a number.", " Just the number.", " Explain.", " Only the result.", " Answer:", "\nAnswer:",
        "\nLet's think step by step and output the final answer within \\boxed{}.", " Write the answer in \\boxed{}.",
    ];

    private static readonly string[] SmallNumbers =
    [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen",
        "sixteen", "seventeen", "eighteen", "nineteen",
    ];

    private static readonly string[] Tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

    // {0} and {1} are the numbers. A leading capital is added by chance.
    private static readonly string[] Add =
    [
        "what is {0} plus {1}", "what's {0} plus {1}", "{0} plus {1}", "add {0} and {1}", "add {1} to {0}", "the sum of {0} and {1}", "what is the sum of {0} and {1}",
        "how much is {0} plus {1}", "calculate {0} plus {1}", "if you add {0} and {1}, what do you get", "what do {0} and {1} make together", "{0} and {1} makes",
        "total of {0} and {1}", "{0} added to {1}", "how much is {0} and {1} together", "increase {0} by {1}", "what does {0} plus {1} equal", "{0} plus {1} equals",
        "what is the total of {0} and {1}", "what do you get when you add {0} and {1}", "what is the result of {0} plus {1}", "sum {0} and {1}", "sum of {0} and {1}",
        "what is {0} added to {1}", "what is {1} more than {0}", "{1} more than {0}", "find the sum of {0} and {1}", "compute the sum of {0} and {1}",
        "if I have {0} and get {1} more, how many do I have", "{0} and {1} more", "work out {0} plus {1}", "compute {0} plus {1}", "what is {0} and {1}",
        "find {0} plus {1}", "what number is {0} plus {1}", "the result of {0} plus {1}", "plus: {0}, {1}", "add these: {0} and {1}", "add {0}, {1}",
        "what does {0} and {1} add up to", "what do {0} and {1} add up to", "combine {0} and {1}", "{0} increased by {1}", "what is {0} increased by {1}",
    ];

    private static readonly string[] Subtract =
    [
        "what is {0} minus {1}", "what's {0} minus {1}", "{0} minus {1}", "subtract {1} from {0}", "take {1} from {0}", "take {1} away from {0}",
        "the difference {0} minus {1}", "how much is {0} minus {1}", "calculate {0} minus {1}", "{0} take away {1}", "{0} less {1}", "decrease {0} by {1}",
        "what is left when you take {1} from {0}", "if I have {0} and lose {1}, what is left", "what does {0} minus {1} equal", "{0} minus {1} equals",
        "what is the result of {0} minus {1}", "what do you get when you subtract {1} from {0}", "what is {1} less than {0}", "{1} less than {0}", "compute {0} minus {1}",
        "work out {0} minus {1}", "find {0} minus {1}", "what is {0} less {1}", "what is {0} take away {1}", "what remains if you take {1} from {0}",
        "if I have {0} and give away {1}, how many are left", "what is {1} subtracted from {0}", "{1} subtracted from {0}", "reduce {0} by {1}", "{0} reduced by {1}",
        "what is {0} decreased by {1}", "the result of {0} minus {1}", "how much is left of {0} after {1}", "what number is {0} minus {1}", "from {0} take {1}",
        "what is {0} reduced by {1}", "if you subtract {1} from {0}, what do you get", "what is left of {0} if you take away {1}", "deduct {1} from {0}",
    ];

    private static readonly string[] Multiply =
    [
        "what is {0} times {1}", "what's {0} times {1}", "{0} times {1}", "multiply {0} by {1}", "multiply {0} and {1}", "the product of {0} and {1}",
        "what is the product of {0} and {1}", "how much is {0} times {1}", "calculate {0} times {1}", "{0} multiplied by {1}", "what is {0} multiplied by {1}",
        "what does {0} times {1} equal", "{0} times {1} equals", "what do you get if you multiply {0} by {1}",
        "product of {0} and {1}", "find the product of {0} and {1}", "compute the product of {0} and {1}", "compute {0} times {1}", "work out {0} times {1}",
        "find {0} times {1}", "what is the result of {0} times {1}", "what do you get when you multiply {0} and {1}", "if you multiply {0} by {1}, what do you get",
        "how much is {0} multiplied by {1}", "what number is {0} times {1}", "the result of {0} times {1}", "{0} lots of {1}", "what is {0} by {1}", "{0} by {1}",
        "what is {0} multiplied with {1}", "{0} multiplied with {1}", "multiply {0} with {1}", "multiply {0}, {1}", "what are {0} times {1}", "how many are {0} times {1}",
        "if I have {0} boxes with {1} in each, how many is that", "{0} groups of {1}",
    ];

    private static readonly string[] Divide =
    [
        "what is {0} divided by {1}", "what's {0} divided by {1}", "{0} divided by {1}", "divide {0} by {1}", "the quotient of {0} and {1}",
        "how much is {0} divided by {1}", "calculate {0} divided by {1}", "how often does {1} go into {0}", "how many times does {1} go into {0}", "split {0} into {1} equal parts",
        "what does {0} divided by {1} equal", "share {0} among {1}", "{0} over {1}",
        "what is the quotient of {0} and {1}", "compute {0} divided by {1}", "work out {0} divided by {1}", "find {0} divided by {1}", "quotient of {0} and {1}",
        "what is the result of {0} divided by {1}", "what do you get when you divide {0} by {1}", "if you divide {0} by {1}, what do you get", "{0} divided by {1} equals",
        "how many times does {1} fit into {0}", "how many {1}s are in {0}", "{0} split into {1} equal parts", "what is {0} over {1}", "the result of {0} divided by {1}",
        "if {1} people share {0}, how many does each get", "divide {0} into {1} equal parts", "what number is {0} divided by {1}", "{0} split by {1}", "how often is {1} in {0}",
    ];

    private static readonly string[] Linear =
    [
        "solve {0}", "solve {0} for {1}", "solve for {1}: {0}", "find {1}: {0}", "find {1} if {0}", "what is {1} if {0}", "if {0}, what is {1}", "{0}", "{0}, {1} = ?",
        "solve the equation {0}", "what value of {1} makes {0} true", "given {0}, find {1}", "{0}. what is {1}", "calculate {1}: {0}",
        "if {0} what is {1}", "what's {1} if {0}", "{0}, what is {1}", "{0}, find {1}", "{0}, solve for {1}", "find the value of {1} if {0}", "what is the value of {1} if {0}",
        "if {0}, find {1}", "if {0}, then what is {1}", "if {0} then {1} = ?", "solve {0} and give {1}", "determine {1}: {0}", "let {0}. find {1}", "let {0}. what is {1}",
        "solve this equation: {0}", "solve the equation {0} for {1}", "for which {1} is {0}", "for what {1} is {0}", "which {1} solves {0}", "{1} = ? if {0}",
        "what {1} solves {0}", "the solution of {0}", "what is the solution of {0}", "find {1} such that {0}", "suppose {0}. what is {1}", "compute {1} if {0}", "{1}? {0}",
    ];

    private static readonly string[] Larger =
    [
        "which is larger, {0} or {1}", "which is bigger, {0} or {1}", "which is greater: {0} or {1}", "what is the larger number, {0} or {1}", "what is the maximum of {0} and {1}",
        "max of {0} and {1}", "which number is bigger: {0} or {1}", "compare {0} and {1}: which is larger", "which one is more, {0} or {1}", "larger of {0} and {1}",
        "which is larger: {0} or {1}", "which is larger {0} or {1}", "which is more, {0} or {1}", "which number is larger, {0} or {1}", "what is bigger, {0} or {1}",
        "what's bigger: {0} or {1}", "which is the larger number: {0} or {1}", "is {0} or {1} larger", "is {0} or {1} bigger", "who is bigger, {0} or {1}",
        "the larger of {0} and {1}", "what is the larger of {0} and {1}", "the maximum of {0} and {1}", "of {0} and {1}, which is larger", "which one is bigger: {0} or {1}",
        "which of {0} and {1} is greater", "which is higher, {0} or {1}", "what is greater, {0} or {1}", "which number is greater, {0} or {1}", "pick the larger: {0} or {1}",
    ];

    private static readonly string[] Smaller =
    [
        "which is smaller, {0} or {1}", "which is less, {0} or {1}", "what is the smaller number, {0} or {1}", "what is the minimum of {0} and {1}", "min of {0} and {1}",
        "which number is smaller: {0} or {1}", "compare {0} and {1}: which is smaller", "which one is less, {0} or {1}", "smaller of {0} and {1}",
        "which is smaller: {0} or {1}", "which is smaller {0} or {1}", "which number is smaller, {0} or {1}", "what is smaller, {0} or {1}", "is {0} or {1} smaller",
        "which is the smaller number: {0} or {1}", "the smaller of {0} and {1}", "what is the smaller of {0} and {1}", "the minimum of {0} and {1}",
        "of {0} and {1}, which is smaller", "which one is smaller: {0} or {1}", "which of {0} and {1} is smaller", "which is lower, {0} or {1}", "what is less, {0} or {1}",
        "which of {0} and {1} is less", "pick the smaller: {0} or {1}", "which number is less, {0} or {1}",
    ];

    private static readonly string[] Bare = ["{0}{2}{1}", "{0} {2} {1}", "{0}{2}{1}=", "{0} {2} {1} =", "{0} {2} {1} = ?", "{0}{2}{1}=?", "{0}{2}{1} = ?"];

    private static readonly string[] BareAsked =
    [
        "what is {0}", "what is {0}", "what's {0}", "calculate {0}", "compute {0}", "{0}", "{0}", "how much is {0}", "work out {0}", "evaluate {0}", "what does {0} equal",
        "solve {0}", "find {0}", "what does {0} make", "what is the result of {0}", "the result of {0}", "give me {0}", "what is the value of {0}", "find the value of {0}",
        "solve: {0}", "calculate: {0}", "compute: {0}", "what do you get for {0}", "how much does {0} make", "simplify {0}", "what would {0} be", "answer this: {0}", "{0} is",
        "do {0}", "what is {0} equal to", "what comes out of {0}", "determine {0}", "evaluate: {0}", "what is: {0}", "can you solve {0}", "can you do {0}",
    ];

    /// <summary>A question about a problem.</summary>
    /// <param name="problem">The numbers and what is asked.</param>
    /// <param name="random">Chooses the words.</param>
    /// <param name="words">Of 100 questions in English those in words, where symbols would do.</param>
    /// <param name="stories">Of 100 questions in English words those told as a story, where the numbers fit one.</param>
    public static string Question(Problem problem, Random random, int words, int stories)
    {
        if (problem.Kind == ProblemKind.Linear)
            return Equation(problem, random);
        if (random.Next(100) < 12)
            return Chinese(problem, random);
        if (Symbol(problem.Kind, random) is { } symbol && random.Next(100) < 100 - words)
            return Dress(Asked(Expression(problem, symbol, random), random), random);
        int chance = random.Next(100);
        string form = chance >= 100 - stories && Story.Fits(problem) ? Story.Draw(problem, random)
            : chance < 40 ? Pick(Words(problem.Kind), random)
            : Wording.Draw(problem, random);
        return Dress(Fill(form, problem, random), random);
    }

    /// <summary>A question told as a story; the numbers must fit one.</summary>
    public static string StoryQuestion(Problem problem, Random random) => Dress(Fill(Story.Draw(problem, random), problem, random), random);

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
        string text = Capital((random.Next(100) < 40 ? "" : Pick(Openings, random)) + core, random) + Pick(Endings, random);
        if (random.Next(100) < 4)
            text = Mistype(text, random);
        return random.Next(100) < 10 ? text + Pick(Hints, random) : text;
    }

    /// <summary>A question for the value of an expression.</summary>
    public static string Asked(string expression, Random random) => Pick(BareAsked, random).Replace("{0}", expression);

    /// <summary>One of some texts.</summary>
    public static T Pick<T>(T[] texts, Random random) => texts[random.Next(texts.Length)];

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
        ProblemKind.Multiply => Pick(["*", "*", "*", "×", "×", "x", "x", "X", "·", "\\times", "\\cdot"], random),
        ProblemKind.Divide => Pick(["/", "/", "/", "÷", "÷", ":", "\\div"], random),
        _ => null,
    };

    /// <summary>The bare form, with spaces where words or a LaTeX command need them, at times between dollar signs.</summary>
    private static string Expression(Problem problem, string symbol, Random random)
    {
        string a = Number(problem.A, random), b = Number(problem.B, random), form = Pick(Bare, random);
        bool latex = symbol.StartsWith('\\') || random.Next(25) == 0;
        if (latex || char.IsLetter(a[0]) || char.IsLetter(b[0]))
            form = form.Replace("{0}{2}{1}", "{0} {2} {1}");
        string text = string.Format(CultureInfo.InvariantCulture, form, a, b, symbol);
        return latex && random.Next(2) == 0 ? $"${text}$" : text;
    }

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

    private static string Fill(string words, Problem problem, Random random)
        => string.Format(CultureInfo.InvariantCulture, words, Number(problem.A, random), Number(problem.B, random));

    /// <summary>A letter is left out, doubled, or changes places with the next one.</summary>
    private static string Mistype(string text, Random random)
    {
        int at = random.Next(text.Length);
        if (at + 1 >= text.Length || !char.IsAsciiLetterLower(text[at]) || !char.IsAsciiLetterLower(text[at + 1]) || text.Contains('\\'))
            return text;
        return text[..at] + random.Next(3) switch
        {
            0 => text[(at + 1)..],
            1 => text[at] + text[at..],
            _ => $"{text[at + 1]}{text[at]}{text[(at + 2)..]}",
        };
    }

    /// <summary>A number as people write it: seldom with a comma, small and round ones at times in words.</summary>
    private static string Number(long number, Random random)
    {
        int chance = random.Next(100);
        if (number is >= 0 and < 10000 && chance < (number < 100 ? 18 : number % 100 == 0 ? 12 : 3))
            return Word(number, chance % 3 > 0 ? "-" : " ", chance % 2 == 0 ? " and " : " ");
        return number >= 1000 && chance < 5 ? number.ToString("N0", CultureInfo.InvariantCulture) : $"{number}";
    }

    private static string Word(long number, string hyphen, string and)
    {
        if (number >= 100)
        {
            var (unit, name) = number >= 1000 ? (1000, "thousand") : (100, "hundred");
            string head = $"{SmallNumbers[number / unit]} {name}";
            return number % unit == 0 ? head : head + (number % unit < 100 ? and : " ") + Word(number % unit, hyphen, and);
        }

        if (number < SmallNumbers.Length)
            return SmallNumbers[number];
        string tens = Tens[number / 10 - 2];
        return number % 10 == 0 ? tens : $"{tens}{hyphen}{SmallNumbers[number % 10]}";
    }

    private static string Capital(string text, Random random)
        => random.Next(100) < 60 && text.Length > 0 ? char.ToUpperInvariant(text[0]) + text[1..] : text;
}
