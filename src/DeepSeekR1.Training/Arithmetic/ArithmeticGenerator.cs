namespace DeepSeekR1.Training.Arithmetic;

/// <summary>How often what is drawn, in parts; and how long numbers are.</summary>
public sealed record ArithmeticMix
{
    internal const int AllWords = 58;

    /// <summary>Parts of sums, differences, products, quotients, equations, comparisons, two-turn dialogues, niceties and refusals.</summary>
    public int Add { get; init; } = 14;

    /// <summary>Differences.</summary>
    public int Subtract { get; init; } = 20;

    /// <summary>Products.</summary>
    public int Multiply { get; init; } = 18;

    /// <summary>Quotients.</summary>
    public int Divide { get; init; } = 11;

    /// <summary>Equations.</summary>
    public int Linear { get; init; } = 11;

    /// <summary>Comparisons.</summary>
    public int Compare { get; init; } = 4;

    /// <summary>Dialogues that go on with the last result.</summary>
    public int Dialogue { get; init; } = 7;

    /// <summary>Greetings and the like.</summary>
    public int Nicety { get; init; } = 3;

    /// <summary>What must be refused.</summary>
    public int Refusal { get; init; } = 12;

    /// <summary>Most digits of a number; longer ones are not drawn. For the beginning of training.</summary>
    public int MaxDigits { get; init; } = 5;

    /// <summary>Of 1000 products those of three by three digits.</summary>
    public int HardProductsPerMille { get; init; } = 40;

    /// <summary>Of 1000 products those of four by two digits.</summary>
    public int HarderProductsPerMille { get; init; } = 12;

    /// <summary>Of 1000 products those of four by three digits: a taste of what is left to reinforcement learning.</summary>
    public int HardestProductsPerMille { get; init; } = 5;

    /// <summary>Of 100 quotients those whose divisor is drawn from two digits only, beside the usual ones.</summary>
    public int LongDivisionsPercent { get; init; }

    /// <summary>Of 100 questions in English those in words ("the sum of 3 and 4"), where symbols would do.</summary>
    public int WordsPercent { get; init; } = AllWords;

    /// <summary>Of 100 questions in English words those told as a story ("Anna has 3 apples …"), where the numbers fit one.</summary>
    public int StoriesPercent { get; init; } = 28;

    /// <summary>Of 100 thoughts those with a planted and corrected mistake.</summary>
    public int MistakesPercent { get; init; } = 6;

    /// <summary>Refuses numbers that cannot be drawn by.</summary>
    /// <exception cref="Engine.StartupException">Names the field, its value and its range.</exception>
    internal void Check()
    {
        const int mostParts = 1_000_000; // their sum stays an int
        (string Field, int Value)[] parts =
        [
            ("add", Add), ("subtract", Subtract), ("multiply", Multiply), ("divide", Divide), ("linear", Linear), ("compare", Compare), ("dialogue", Dialogue), ("nicety", Nicety), ("refusal", Refusal),
        ];
        foreach (var (field, value) in parts)
            TrainingOptions.Require(value is >= 0 and <= mostParts, "mix." + field, value, "0 to 1000000 parts");
        TrainingOptions.Require(parts.Any(p => p.Value > 0), "mix", "0 parts of everything", $"a mix with at least one of {string.Join(", ", parts.Select(p => p.Field))} above 0");
        TrainingOptions.Require(MaxDigits is >= 1 and <= 5, "mix.max_digits", MaxDigits, "1 to 5");
        foreach (var (field, value) in new[] { ("hard", HardProductsPerMille), ("harder", HarderProductsPerMille), ("hardest", HardestProductsPerMille) })
            TrainingOptions.Require(value is >= 0 and <= 1000, $"mix.{field}_products_per_mille", value, "0 to 1000");
        int hard = HardProductsPerMille + HarderProductsPerMille + HardestProductsPerMille;
        TrainingOptions.Require(hard <= 1000, "the sum of mix.hard_, harder_ and hardest_products_per_mille", hard, "at most 1000");
        foreach (var (field, value) in new[] { ("long_divisions", LongDivisionsPercent), ("words", WordsPercent), ("stories", StoriesPercent), ("mistakes", MistakesPercent) })
            TrainingOptions.Require(value is >= 0 and <= 100, $"mix.{field}_percent", value, "0 to 100");
    }
}

/// <summary>
/// Draws training conversations. Number i of a seed is always the same, whatever was drawn before: a run goes on where it stopped by remembering
/// one number. Held-out problems (<see cref="Problem.IsHeldOut"/>) are never drawn.
/// </summary>
public sealed class ArithmeticGenerator(long seed, ArithmeticMix? mix = null)
{
    private static readonly string[] SystemPrompts = ["You are a helpful assistant.", "You are a calculator.", "Answer the question.", "You are DeepSeek-R1, a reasoning model."];

    private static readonly long[] WithWords = [2, 2, 2, 3, 4, 10];

    private readonly ArithmeticMix _mix = mix ?? new ArithmeticMix();

    /// <summary>Conversation number i.</summary>
    public Conversation Draw(long index)
    {
        var random = RandomOf(index);
        string id = $"{seed}-{index}";
        int total = _mix.Add + _mix.Subtract + _mix.Multiply + _mix.Divide + _mix.Linear + _mix.Compare + _mix.Dialogue + _mix.Nicety + _mix.Refusal;
        int pick = random.Next(total);
        bool Takes(int parts) => (pick -= parts) < 0;
        if (Takes(_mix.Nicety))
            return Talk(id, "nicety", SmallTalk.Nicety(random), random);
        if (Takes(_mix.Refusal))
            return Talk(id, "refusal", SmallTalk.Refusal(random), random);
        if (Takes(_mix.Dialogue))
            return Dialogue(id, random);
        var kind = Takes(_mix.Add) ? ProblemKind.Add : Takes(_mix.Subtract) ? ProblemKind.Subtract : Takes(_mix.Multiply) ? ProblemKind.Multiply
            : Takes(_mix.Divide) ? ProblemKind.Divide : Takes(_mix.Linear) ? ProblemKind.Linear : random.Next(2) == 0 ? ProblemKind.Larger : ProblemKind.Smaller;
        return Ask(id, Known(kind, random), random);
    }

    /// <summary>
    /// A problem of the held-out part in one of the ways of asking, without planted mistakes: for evaluation. Digits 0 takes the usual lengths; other values
    /// fix the length of the longer number.
    /// </summary>
    public Conversation DrawHeldOut(long index, ProblemKind kind, int digits = 0, int otherDigits = 0)
    {
        var random = RandomOf(index ^ 0x5EED);
        Problem problem;
        do
            problem = digits == 0 ? Usual(kind, random) : OfLength(kind, digits, otherDigits == 0 ? random.Next(1, digits + 1) : otherDigits, random);
        while (!problem.IsHeldOut);
        return Of($"held-{seed}-{index}", [new Turn("user", Phrasing.Question(problem, random, ArithmeticMix.AllWords, stories: 0))], problem, null);
    }

    /// <summary>A problem of the held-out part that is told as a story.</summary>
    public Conversation DrawHeldOutStory(long index)
    {
        var random = RandomOf(index ^ 0x57041);
        Problem problem;
        do
            problem = Usual((ProblemKind)random.Next(4), random);
        while (!problem.IsHeldOut || !Story.Fits(problem));
        return Of($"held-{seed}-{index}", [new Turn("user", Phrasing.StoryQuestion(problem, random))], problem, null);
    }

    /// <summary>The same from the problems that training may see.</summary>
    public Conversation DrawTrained(long index, ProblemKind kind, int digits = 0, int otherDigits = 0)
    {
        var random = RandomOf(index ^ 0x7A17);
        Problem problem;
        do
            problem = digits == 0 ? Usual(kind, random) : OfLength(kind, digits, otherDigits == 0 ? random.Next(1, digits + 1) : otherDigits, random);
        while (problem.IsHeldOut);
        return Of($"rl-{seed}-{index}", [new Turn("user", Phrasing.Question(problem, random, _mix.WordsPercent, _mix.StoriesPercent))], problem, null);
    }

    /// <summary>Something to refuse whose words are the held-out ones, for evaluation.</summary>
    public Conversation DrawHeldOutRefusal(long index)
    {
        var random = RandomOf(index ^ 0x0DD);
        (string Said, string Reply) talk;
        do
            talk = SmallTalk.Refusal(random);
        while (!IsHeldOut(talk.Said));
        return new Conversation($"held-{seed}-{index}", "refusal", [new Turn("user", talk.Said)], "", talk.Reply, null, []);
    }

    /// <summary>A problem of the usual lengths that training may see.</summary>
    public Problem Known(ProblemKind kind, Random random)
    {
        Problem problem;
        do
            problem = Usual(kind, random, _mix.LongDivisionsPercent);
        while (problem.IsHeldOut);
        return problem;
    }

    /// <summary>A problem of given lengths, held out or not.</summary>
    public static Problem OfLength(ProblemKind kind, int digits, int otherDigits, Random random)
    {
        long a = Number(digits, random), b = Number(otherDigits, random);
        if (kind != ProblemKind.Divide && random.Next(2) == 0)
            (a, b) = (b, a);
        return kind == ProblemKind.Divide ? Quotient(a, random) : new Problem(kind, a, b);
    }

    private static bool IsHeldOut(string text) => StableHash.Of(text) % 8 == 0;

    private Random RandomOf(long index) => new((int)(StableHash.Mix((ulong)seed * 0x9E3779B97F4A7C15 + (ulong)index) & 0x7FFFFFFF));

    private Problem Usual(ProblemKind kind, Random random, int longDivisions = 0) => kind switch
    {
        ProblemKind.Linear => Equation(random),
        // Halves, doubles and tenths have words of their own.
        ProblemKind.Multiply or ProblemKind.Divide when random.Next(100) < 6 => new Problem(kind, Number(Digits(random, 4), random), Phrasing.Pick(WithWords, random)),
        ProblemKind.Multiply => Product(random),
        ProblemKind.Divide => Quotient(Number(Digits(random, 4), random), random, random.Next(100) < longDivisions),
        ProblemKind.Larger or ProblemKind.Smaller => Pair(random) is var (a, b) ? new Problem(kind, a, b) : throw new InvalidOperationException(),
        _ => OfLength(kind, Digits(random, 5), Digits(random, 5), random),
    };

    /// <summary>Lengths: 1 to 4 digits, seldom 5.</summary>
    private int Digits(Random random, int most)
    {
        int digits = random.Next(100) switch { < 15 => 1, < 40 => 2, < 70 => 3, < 96 => 4, _ => 5 };
        return Math.Min(digits, Math.Min(most, _mix.MaxDigits));
    }

    private Problem Product(Random random)
    {
        int chance = random.Next(1000), most = _mix.MaxDigits;
        int hardest = most > 3 ? _mix.HardestProductsPerMille : 0, harder = hardest + (most > 3 ? _mix.HarderProductsPerMille : 0);
        int hard = harder + (most > 3 ? _mix.HardProductsPerMille : 0);
        var (first, second) = chance < hardest ? (4, 3) : chance < harder ? (4, 2) : chance < hard ? (3, 3) : random.Next(100) switch
        {
            < 15 => (1, 1),
            < 38 => (2, 1),
            < 53 => (3, 1),
            < 58 => (4, 1),
            < 93 => (2, 2),
            _ => (3, 2),
        };
        return OfLength(ProblemKind.Multiply, Math.Min(first, most), Math.Min(second, most), random);
    }

    /// <summary>Divisors of one digit, small ones and other ones of two digits as 3 : 1 : 1; three of four without a rest.</summary>
    private static Problem Quotient(long a, Random random, bool isLong = false)
    {
        long divisor = (isLong ? random.Next(3, 5) : random.Next(5)) switch { < 3 => random.Next(2, 10), 3 => random.Next(10, 26), _ => random.Next(26, 100) };
        if (random.Next(4) > 0)
            a = Math.Max(a - a % divisor, divisor);
        return new Problem(ProblemKind.Divide, a, divisor);
    }

    /// <summary>ax + b = c with c not negative; one in twenty has a fraction as its answer.</summary>
    private Problem Equation(Random random)
    {
        long most = _mix.MaxDigits < 4 ? 20 : 100;
        while (true)
        {
            long a = random.Next(10) == 0 ? 1 : random.Next(2, 10), b = random.Next(10) == 0 ? 0 : random.Next(1, 100);
            if (random.Next(3) == 0)
                b = -b;
            long x = random.NextInt64(-20, most), c = a * x + b + (random.Next(20) == 0 ? random.Next(0, (int)a) : 0);
            if (c >= 0)
                return new Problem(ProblemKind.Linear, a, b, c);
        }
    }

    /// <summary>Two numbers that differ, often only late.</summary>
    private (long A, long B) Pair(Random random)
    {
        long a = Number(Digits(random, 5), random), b = random.Next(2) == 0 ? Number(Digits(random, 5), random) : a + random.Next(-30, 31);
        return b < 0 || a == b ? (a, a + 1) : (a, b);
    }

    private static long Number(int digits, Random random)
    {
        if (digits == 1)
            return random.Next(0, 10);

        // People like round numbers.
        long zeros = random.Next(100) < 7 ? (long)Math.Pow(10, random.Next(1, digits)) : 1;
        long number = random.NextInt64((long)Math.Pow(10, digits - 1), (long)Math.Pow(10, digits));
        return number / zeros * zeros;
    }

    private Conversation Ask(string id, Problem problem, Random random)
    {
        var turns = new List<Turn>();
        if (random.Next(100) < 4)
            turns.Add(new Turn("system", Phrasing.Pick(SystemPrompts, random)));
        else if (random.Next(100) < 3)
            AddTalk(turns, random.Next(2) == 0 ? SmallTalk.Nicety(random) : SmallTalk.Refusal(random));
        turns.Add(new Turn("user", Phrasing.Question(problem, random, _mix.WordsPercent, _mix.StoriesPercent)));
        return Of(id, turns, problem, random.Next(100) < _mix.MistakesPercent ? random : null);
    }

    /// <summary>A problem with its reply, then one that goes on with the result or stands alone.</summary>
    private Conversation Dialogue(string id, Random random)
    {
        while (true)
        {
            var first = Known((ProblemKind)random.Next(4), random);
            var turns = new List<Turn> { new("user", Phrasing.Question(first, random, _mix.WordsPercent, _mix.StoriesPercent)), new("assistant", Phrasing.Reply(first) + ".") };
            bool goesOn = random.Next(4) > 0 && first.Answer is { Rest: 0, Whole: >= 0 and < 10000 };
            var kind = (ProblemKind)random.Next(4);
            var second = goesOn ? Continue(first.Answer.Whole, kind, random) : Known(kind, random);
            if (second.IsHeldOut || (kind == ProblemKind.Multiply && second.Answer.Whole > 99999))
                continue;
            turns.Add(new Turn("user", goesOn ? Phrasing.FollowUp(second, random) : Phrasing.Question(second, random, _mix.WordsPercent, _mix.StoriesPercent)));
            return Of(id, turns, second, random.Next(100) < _mix.MistakesPercent ? random : null) with { Category = "dialogue" };
        }
    }

    private static Problem Continue(long value, ProblemKind kind, Random random) => kind switch
    {
        ProblemKind.Multiply => new Problem(kind, value, random.Next(2, 10)),
        ProblemKind.Divide => new Problem(kind, value, random.Next(2, 10)),
        _ => new Problem(kind, value, Number(random.Next(1, 4), random)),
    };

    private static Conversation Talk(string id, string category, (string Said, string Reply) talk, Random random)
    {
        // Evaluation keeps some words for itself.
        while (category == "refusal" && IsHeldOut(talk.Said))
            talk = SmallTalk.Refusal(random);
        return new Conversation(id, category, [new Turn("user", talk.Said)], "", talk.Reply, null, []);
    }

    private static void AddTalk(List<Turn> turns, (string Said, string Reply) talk)
    {
        turns.Add(new Turn("user", talk.Said));
        turns.Add(new Turn("assistant", talk.Reply));
    }

    private static Conversation Of(string id, IReadOnlyList<Turn> turns, Problem problem, Random? mistakes)
    {
        var trace = Trace.Of(problem, mistakes);
        return new Conversation(id, problem.Category, turns, trace.Text, Phrasing.Reply(problem) + ".", problem.Answer.ToString(), trace.Unlearned);
    }
}
