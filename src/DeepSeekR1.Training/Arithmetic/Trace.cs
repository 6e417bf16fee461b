using System.Text;

namespace DeepSeekR1.Training.Arithmetic;

/// <summary>A thought under construction: lines, some of which are planted mistakes that the model must not learn to make.</summary>
public sealed class Trace
{
    private readonly StringBuilder _text = new();
    private readonly List<(int Start, int Length)> _unlearned = [];
    private readonly Random? _mistakes;
    private bool _planted;

    /// <summary>An empty thought.</summary>
    /// <param name="mistakes">Where a mistake is planted is drawn from this; null plants none.</param>
    public Trace(Random? mistakes = null) => _mistakes = mistakes;

    /// <summary>The thought without a final line end.</summary>
    public string Text => _text.ToString().TrimEnd('\n');

    /// <summary>Runs of characters whose tokens are left out of the loss.</summary>
    public IReadOnlyList<(int Start, int Length)> Unlearned => _unlearned;

    /// <summary>The thought of a problem.</summary>
    public static Trace Of(Problem problem, Random? mistakes = null)
    {
        var trace = new Trace(mistakes);
        switch (problem.Kind)
        {
            case ProblemKind.Add:
                trace.So(trace.Add(problem.A, problem.B));
                break;
            case ProblemKind.Subtract:
                trace.So(trace.Subtract(problem.A, problem.B));
                break;
            case ProblemKind.Multiply:
                trace.So(trace.Multiply(problem.A, problem.B));
                break;
            case ProblemKind.Divide:
                trace.So(trace.Divide(problem.A, problem.B));
                break;
            case ProblemKind.Linear:
                trace.Solve(problem);
                break;
            default:
                trace.Compare(problem);
                break;
        }

        return trace;
    }

    private void Line(string text) => _text.Append(text).Append('\n');

    private void So(object result) => Line($"so {result}");

    /// <summary>
    /// A line of a calculation. Now and then a wrong one stands before it, which is noticed at once: the model learns to correct itself
    /// without learning the mistake.
    /// </summary>
    private void Step(string right, Func<string> wrong)
    {
        if (_mistakes is not null && !_planted && _mistakes.Next(4) == 0)
        {
            _planted = true;
            string line = wrong();
            if (line != right)
            {
                _unlearned.Add((_text.Length, line.Length + 1));
                Line(line);
                _text.Append("Wait, check: ");
            }
        }

        Line(right);
    }

    /// <summary>Column by column from the right, each with its carry and the digits so far.</summary>
    private long Add(long a, long b)
    {
        Line($"{a}+{b}:");
        int columns = Math.Max(Problem.Length(a), Problem.Length(b));
        long carry = 0, running = 0, power = 1;
        string digits = "";
        for (int i = 0; i < columns || carry > 0; i++, power *= 10)
        {
            long x = a / power % 10, y = b / power % 10, sum = x + y + carry;
            string before = digits, head = $"{x}+{y}+{carry}=";
            digits = $"{sum % 10}{digits}";
            Step($"{head}{sum} c{sum / 10} r{digits}", () => Off(sum, 19, w => $"{head}{w} c{w / 10} r{w % 10}{before}"));
            (carry, running) = (sum / 10, running + sum % 10 * power);
        }

        return running;
    }

    /// <summary>Which is larger: by length, then by the first digit that differs. Returns the sign of a - b.</summary>
    private int Order(long a, long b)
    {
        int left = Problem.Length(a), right = Problem.Length(b);
        var text = new StringBuilder($"len {left}{Sign(left, right)}{right}");
        int order = left.CompareTo(right);
        for (int i = left - 1; i >= 0 && order == 0 && left == right; i--)
        {
            long power = (long)Math.Pow(10, i), x = a / power % 10, y = b / power % 10;
            text.Append($" {x}{Sign(x, y)}{y}");
            order = x.CompareTo(y);
        }

        _text.Append(text);
        return Math.Sign(order);
    }

    private static char Sign(long a, long b) => a < b ? '<' : a > b ? '>' : '=';

    /// <summary>The smaller is taken from the larger, column by column with borrows; then comes the sign.</summary>
    private long Subtract(long a, long b)
    {
        Line($"{a}-{b}:");
        int order = Order(a, b);
        Line(order < 0 ? " swap" : order > 0 ? " keep" : " same");
        if (order == 0)
            return 0;
        var (high, low) = order > 0 ? (a, b) : (b, a);
        if (order < 0)
            Line($"{high}-{low}:");
        Columns(high, low);
        return order * (high - low);
    }

    /// <summary>The columns of high - low from the right, each with its borrow and the digits so far.</summary>
    private void Columns(long high, long low)
    {
        long borrow = 0, power = 1;
        string digits = "";
        for (int i = 0; i < Problem.Length(high); i++, power *= 10)
        {
            long x = high / power % 10, y = low / power % 10, difference = x - y - borrow, digit = (difference + 10) % 10;
            string before = digits, head = $"{x}-{y}-{borrow}=";
            digits = $"{digit}{digits}";
            Step(
                $"{head}{difference} b{(difference < 0 ? 1 : 0)} r{digits}",
                () => Off(difference, 9, w => $"{head}{w} b{(w < 0 ? 1 : 0)} r{(w + 10) % 10}{before}"));
            borrow = difference < 0 ? 1 : 0;
        }
    }

    /// <summary>One block for every digit of the shorter factor, then the sums of the blocks.</summary>
    private long Multiply(long a, long b)
    {
        var (long1, short1) = Problem.Length(b) > Problem.Length(a) ? (b, a) : (a, b);
        int blocks = Problem.Length(short1);
        if (blocks == 1)
            return Times(long1, short1);
        Line($"{long1}*{short1}:");
        long sum = 0, power = 1;
        for (int i = 0; i < blocks; i++, power *= 10)
        {
            long part = Times(long1, short1 / power % 10) * power;
            Line($"={part}");
            sum = i == 0 ? part : Add(sum, part);
            if (i > 0 && i + 1 < blocks)
                Line($"={sum}");
        }

        return sum;
    }

    /// <summary>A number times one digit.</summary>
    private long Times(long a, long digit)
    {
        Line($"{a}*{digit}:");
        long carry = 0, power = 1;
        string digits = "";
        for (int i = 0; i < Problem.Length(a) || carry > 0; i++, power *= 10)
        {
            long x = a / power % 10, product = x * digit + carry;
            string before = digits, head = $"{x}*{digit}+{carry}=";
            digits = $"{product % 10}{digits}";
            Step($"{head}{product} c{product / 10} r{digits}", () => Off(product, 89, w => $"{head}{w} c{w / 10} r{w % 10}{before}"));
            carry = product / 10;
        }

        return a * digit;
    }

    /// <summary>
    /// Digit by digit from the left, each with the multiple that is taken away, its remainder and the quotient so far. A divisor that no table of
    /// products holds gets its multiples written down first, and every remainder is computed by columns: nothing is left to be done in one's head.
    /// </summary>
    private Answer Divide(long a, long b)
    {
        Line($"{a}/{b}:");
        if (b > 9 && a >= b)
            Line(string.Join(' ', Enumerable.Range(1, 9).Select(i => $"{i}:{i * b}")));
        long rest = 0;
        string digits = "";
        foreach (char c in $"{a}")
        {
            long current = 10 * rest + (c - '0'), quotient = current / b;
            string before = digits;
            digits += quotient;
            rest = current % b;
            if (b > 9 && quotient > 0)
                Line(Multiples(current, b, quotient));
            string Head(long q) => $"{current}/{b}={q}{(q > 0 ? $":{q * b}" : "")}";
            if (b > 9 && quotient > 0)
            {
                Step(Head(quotient), () => Off(quotient, 9, Head));
                Columns(current, quotient * b);
                Line($"={rest} q{digits}");
                continue;
            }

            Step($"{Head(quotient)} r{rest} q{digits}", () => Off(quotient, 9, w => $"{Head(w)} r{Math.Abs(current - w * b)} q{before}{w}"));
        }

        return Answer.Quotient(a, b);
    }

    /// <summary>The multiples one after the other, each compared, up to the first that is too large.</summary>
    private static string Multiples(long current, long b, long quotient)
    {
        var text = new StringBuilder($"{current}?");
        for (long i = 1; i <= Math.Min(9, quotient + 1); i++)
        {
            text.Append($" {i}:{i * b}{Sign(i * b, current)}");
            if (i * b == current)
                break;
        }

        return text.ToString();
    }

    /// <summary>Moves the constant to the right, divides, and puts the result in.</summary>
    private void Solve(Problem problem)
    {
        var (factor, constant, right) = (problem.A, problem.B, problem.C);
        string x = factor == 1 ? "x" : $"{factor}x";
        string left = constant == 0 ? x : $"{x}{(constant < 0 ? "-" : "+")}{Math.Abs(constant)}";
        Line($"{left}={right}");
        if (constant != 0)
        {
            long moved = constant > 0 ? Subtract(right, constant) : Add(right, -constant);
            Line($"{x}={moved}");
            right = moved;
        }

        var answer = Answer.Quotient(right, factor);
        if (factor != 1)
        {
            Divide(Math.Abs(right), factor);
            Line($"x={answer}");
        }

        if (answer.Rest == 0)
            Line($"check {(factor == 1 ? "" : $"{factor}*")}{answer}{(constant == 0 ? "" : (constant < 0 ? "-" : "+") + Math.Abs(constant))}={problem.C} ok");
        So(answer);
    }

    private void Compare(Problem problem)
    {
        Line($"{problem.A} or {problem.B}:");
        Order(problem.A, problem.B);
        Line("");
        So(problem.Answer);
    }

    /// <summary>A wrong line: the number is off by one or two.</summary>
    private string Off(long number, long most, Func<long, string> line)
    {
        long wrong = number + (_mistakes!.Next(2) == 0 ? 1 : -1) * (1 + _mistakes.Next(2));
        return line(wrong > most ? number - 1 : number >= 0 && wrong < 0 ? number + 1 : wrong);
    }
}
