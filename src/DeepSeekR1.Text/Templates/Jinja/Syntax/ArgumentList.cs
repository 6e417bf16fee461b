using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>The arguments of a call as written.</summary>
internal sealed record ArgumentList(
    Expression[] Positional,
    (string Name, Expression Value)[] Keyword,
    Expression? MorePositional,
    Expression? MoreKeyword)
{
    /// <summary>No arguments.</summary>
    public static readonly ArgumentList None = new([], [], null, null);

    /// <summary>See <see cref="Node.Declare"/>.</summary>
    public void Declare(Scope scope)
    {
        Array.ForEach(Positional, argument => argument.Declare(scope));
        Array.ForEach(Keyword, argument => argument.Value.Declare(scope));
        MorePositional?.Declare(scope);
        MoreKeyword?.Declare(scope);
    }

    /// <summary>The values, behind a first one for filters and tests.</summary>
    public Arguments Evaluate(Frame frame, object? first = null, Callable? caller = null)
    {
        var values = new List<object>(Positional.Length + 1);
        if (first is not null)
            values.Add(first);
        foreach (var argument in Positional)
            values.Add(argument.Evaluate(frame));
        var named = new List<KeyValuePair<string, object>>(Keyword.Length);
        foreach (var (name, argument) in Keyword)
            named.Add(new(name, argument.Evaluate(frame)));
        if (caller is not null)
            named.Add(new("caller", caller));
        if (MorePositional is not null)
            values.AddRange(Protocols.ToList(frame.Run, MorePositional.Evaluate(frame)));
        if (MoreKeyword is not null)
            named.AddRange(Spread(MoreKeyword.Evaluate(frame)));
        return new Arguments([.. values], named);
    }

    private static IEnumerable<KeyValuePair<string, object>> Spread(object value) => value is DictValue dict
        ? dict.Entries.Select(entry => entry.Key is StringValue key
            ? KeyValuePair.Create(key.Text, entry.Value)
            : throw Errors.Type("keywords must be strings"))
        : throw Errors.Type($"argument after ** must be a mapping, not {Protocols.TypeName(value)}");
}
