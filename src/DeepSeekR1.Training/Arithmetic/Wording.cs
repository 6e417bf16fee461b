namespace DeepSeekR1.Training.Arithmetic;

/// <summary>
/// Words for a problem that are put together from parts: what is asked for ("the sum of {0} and {1}") in a frame that asks for it ("what does … come to"). Parts that
/// fit some numbers only ("half of {0}") are used with those.
/// </summary>
internal static class Wording
{
    private static readonly string[] NounFrames =
    [
        "what is {0}", "what's {0}", "how much is {0}", "how many is {0}", "calculate {0}", "compute {0}", "find {0}", "give me {0}", "what will {0} be", "what does {0} come to", "I want {0}",
        "work out {0}", "{0} is what", "{0} is how much", "{0} equals what", "{0} makes what", "what do I get for {0}", "what number is {0}", "can you find {0}",
        "could you calculate {0} for me", "what would {0} be", "figure out {0}", "show me {0}", "determine {0}", "evaluate {0}", "what is the value of {0}", "what is the answer to {0}",
        "the answer to {0}", "what is the result of {0}", "result of {0}", "what comes out of {0}", "{0} gives", "{0}", "{0}, what is it", "how much would {0} be", "how many are {0}",
        "evaluate the expression {0}", "what is the expression {0} equal to", "what number do you get for {0}", "say what {0} is", "what {0} is", "what is the number {0}", "{0} is equal to what",
    ];

    private static readonly string[] VerbFrames =
    [
        "{0}", "{0}", "{0} for me", "can you {0}", "can you {0} for me", "could you {0}", "could you {0} for me", "I want you to {0}", "if I {0}, what do I get", "what do I get if I {0}",
        "what do you get when you {0}", "what will I get if I {0}", "what happens if you {0}", "{0} and tell me the result", "{0} and give the result", "try to {0}", "let's {0}", "help me {0}",
        "I need to {0}", "how do you {0}", "what is the result if I {0}", "what number do you get if you {0}", "would you {0}", "what comes out when I {0}", "if you {0}, what comes out",
    ];

    private static readonly Dictionary<ProblemKind, string[]> Nouns = new()
    {
        [ProblemKind.Add] =
        [
            "{0} plus {1}", "the sum of {0} and {1}", "{0} and {1} together", "{0} and {1} added", "{0} added to {1}", "{0} and {1} combined", "{1} more than {0}", "{0} increased by {1}",
            "the total of {0} and {1}", "{0} with {1} added", "{0} and {1} in total", "the sum: {0}, {1}", "the numbers {0} and {1} added up", "{0} and another {1}", "{0} and {1} summed up",
        ],
        [ProblemKind.Subtract] =
        [
            "{0} minus {1}", "{0} take away {1}", "{0} less {1}", "{1} less than {0}", "{1} subtracted from {0}", "{0} decreased by {1}", "{0} reduced by {1}", "{0} with {1} taken away",
            "the rest of {0} after {1}", "{0} without {1}",
        ],
        [ProblemKind.Multiply] =
        [
            "{0} times {1}", "{0} multiplied by {1}", "the product of {0} and {1}", "{0} by {1}", "{0} and {1} multiplied", "{0} multiplied with {1}", "{0} lots of {1}", "{0} groups of {1}",
            "the product: {0}, {1}", "{0} and {1} multiplied together", "the number that {0} and {1} multiply to",
        ],
        [ProblemKind.Divide] =
        [
            "{0} divided by {1}", "{0} over {1}", "the quotient of {0} and {1}", "{0} split by {1}", "{0} split {1} ways", "{0} divided in {1} parts", "{0} shared by {1}", "the quotient {0} by {1}",
        ],
    };

    private static readonly Dictionary<ProblemKind, string[]> Verbs = new()
    {
        [ProblemKind.Add] =
        [
            "add {0} and {1}", "add {1} to {0}", "sum {0} and {1}", "sum up {0} and {1}", "add up {0} and {1}", "add together {0} and {1}", "put {0} and {1} together", "combine {0} with {1}",
            "increase {0} by {1}", "add {0} with {1}", "add the numbers {0} and {1}", "raise {0} by {1}",
        ],
        [ProblemKind.Subtract] =
        [
            "subtract {1} from {0}", "take {1} from {0}", "take {1} off {0}", "take {1} away from {0}", "deduct {1} from {0}", "remove {1} from {0}", "decrease {0} by {1}", "reduce {0} by {1}",
            "lower {0} by {1}", "take {0} and subtract {1}",
        ],
        [ProblemKind.Multiply] = ["multiply {0} by {1}", "let {0} and {1} multiply", "multiply {0} and {1}", "multiply {0} with {1}", "multiply together {0} and {1}", "times {0} by {1}", "take {0} times {1}", "multiply the numbers {0} and {1}"],
        [ProblemKind.Divide] =
        [
            "divide {0} by {1}", "split {0} by {1}", "share {0} by {1}", "divide {0} into {1} parts", "split {0} into {1} parts", "cut {0} into {1} equal pieces", "divide {0} up into {1}",
            "take {0} and divide it by {1}",
        ],
    };

    private static readonly string[] Differences =
    [
        "the difference between {0} and {1}", "the difference of {0} and {1}", "the gap between {0} and {1}", "the difference between {1} and {0}", "how much more {0} is than {1}",
        "how much bigger {0} is than {1}", "how much larger {0} is than {1}", "how far it is from {1} to {0}",
    ];

    private static readonly string[] DifferencesAsked =
    [
        "how much bigger is {0} than {1}", "how much larger is {0} than {1}", "how much more is {0} than {1}", "how much less is {1} than {0}", "how much smaller is {1} than {0}",
        "by how much is {0} larger than {1}", "how far is it from {1} to {0}", "what must I add to {1} to get {0}", "difference between {0} and {1}", "difference of {0} and {1}",
    ];

    private static readonly string[] Greater = ["larger", "bigger", "greater", "higher", "more", "largest", "biggest", "greatest", "highest", "larger one", "bigger one", "bigger number", "larger number"];

    private static readonly string[] Less = ["smaller", "less", "lower", "smallest", "least", "lowest", "smaller one", "smaller number", "lower one"];

    private static readonly string[] Comparisons =
    [
        "which is {2}, {0} or {1}", "which is the {2}: {0} or {1}", "which is the {2}, {0} or {1}", "which number is {2}, {0} or {1}", "which number is the {2}: {0} or {1}", "what is {2}: {0} or {1}",
        "is {0} {2} than {1}", "is {0} {2} than {1}", "is {0} {2} than {1}", "is {0} or {1} {2}", "is {1} {2} than {0}", "is {0} the {2}, or {1}", "which of {0} and {1} is {2}", "{0} or {1}: which is {2}", "{0} or {1}, which one is {2}", "{0} or {1}, which is the {2}",
        "compare {0} and {1}: which is {2}", "compare {0} and {1}. which is {2}", "compare {0} and {1}, which one is the {2}", "between {0} and {1}, which is {2}", "{0} vs {1}: which is {2}",
        "find the {2} of {0} and {1}", "the {2} of {0} and {1}", "what is the {2} of {0} and {1}", "which one is {2}: {0} or {1}", "pick the {2}: {0} or {1}", "which of the two is {2}: {0}, {1}",
        "what is the {2} of these: {0}, {1}", "tell me which is {2}: {0} or {1}",
    ];

    /// <summary>A question without opening and ending; {0} and {1} stand for the numbers.</summary>
    public static string Draw(Problem problem, Random random)
    {
        var (kind, a, b) = (problem.Kind, problem.A, problem.B);
        if (kind is ProblemKind.Larger or ProblemKind.Smaller)
            return Phrasing.Pick(Comparisons, random).Replace("{2}", Phrasing.Pick(kind == ProblemKind.Larger ? Greater : Less, random));
        if (kind == ProblemKind.Subtract && a >= b && random.Next(3) == 0)
            return random.Next(2) == 0 ? Phrasing.Pick(DifferencesAsked, random) : In(NounFrames, Phrasing.Pick(Differences, random), random);
        if (Special(kind, b) is { } special && random.Next(2) == 0)
            return In(NounFrames, Phrasing.Pick(special, random), random);
        return random.Next(2) == 0 ? In(NounFrames, Phrasing.Pick(Nouns[kind], random), random) : In(VerbFrames, Phrasing.Pick(Verbs[kind], random), random);
    }

    private static string[]? Special(ProblemKind kind, long b) => (kind, b) switch
    {
        (ProblemKind.Multiply, 2) => ["double {0}", "twice {0}", "the double of {0}", "{0} doubled"],
        (ProblemKind.Multiply, 3) => ["triple {0}", "three times {0}", "{0} tripled"],
        (ProblemKind.Divide, 2) => ["half of {0}", "half {0}", "one half of {0}", "{0} halved"],
        (ProblemKind.Divide, 3) => ["a third of {0}", "one third of {0}"],
        (ProblemKind.Divide, 4) => ["a quarter of {0}", "one quarter of {0}", "a fourth of {0}"],
        (ProblemKind.Divide, 10) => ["a tenth of {0}", "one tenth of {0}"],
        _ => null,
    };

    private static string In(string[] frames, string part, Random random) => Phrasing.Pick(frames, random).Replace("{0}", part);
}
