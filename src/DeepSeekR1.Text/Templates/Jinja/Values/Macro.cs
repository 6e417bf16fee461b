namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Which of the special names a macro's body reads: only those are passed.</summary>
internal readonly record struct MacroSpecials(bool Caller, bool Keyword, bool Positional);

/// <summary>What a caller may know of a macro.</summary>
/// <param name="Name">Name for messages; <c>caller</c> for call blocks.</param>
/// <param name="Parameters">Names of the parameters.</param>
/// <param name="Specials">Which special names the body reads.</param>
internal sealed record MacroSignature(string Name, IReadOnlyList<string> Parameters, MacroSpecials Specials);

/// <summary>A macro, or the body of a call block, bound to where it was defined.</summary>
/// <param name="signature">How it is called.</param>
/// <param name="body">Renders the body with the arguments of a call.</param>
internal sealed class Macro(MacroSignature signature, Func<Arguments, StringValue> body) : Callable, IHasAttributes
{
    /// <inheritdoc/>
    public override string Name => signature.Name;

    /// <inheritdoc/>
    public override string TypeName => "Macro";

    /// <inheritdoc/>
    public override object Call(Rendering run, Arguments arguments) => body(arguments);

    /// <inheritdoc/>
    public object? Find(string name) => name switch
    {
        "name" => signature.Name == "caller" ? NoneValue.Instance : StringValue.Literal(signature.Name),
        "arguments" => new TupleValue([.. signature.Parameters.Select(StringValue.Literal)]),
        "catch_kwargs" => Boxed.Bool(signature.Specials.Keyword),
        "catch_varargs" => Boxed.Bool(signature.Specials.Positional),
        "caller" => Boxed.Bool(signature.Specials.Caller),
        _ => null,
    };
}
