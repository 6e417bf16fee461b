namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>A method taken from its object.</summary>
internal sealed class BoundMethod(Callable function, object self) : Callable
{
    /// <inheritdoc/>
    public override string Name => function.Name;

    /// <inheritdoc/>
    public override string TypeName => "builtin_function_or_method";

    /// <inheritdoc/>
    public override object Call(Rendering run, Arguments arguments) =>
        function.Call(run, arguments with { Positional = [self, .. arguments.Positional] });
}
