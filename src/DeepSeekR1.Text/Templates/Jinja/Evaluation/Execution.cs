using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Evaluation;

/// <summary>One rendering as statements see it: its variables, what it prints into, and how deep its calls go. One thread.</summary>
internal sealed class Execution(Rendering run, IReadOnlyDictionary<string, object> variables)
{
    private const int MaxCallDepth = 256;

    private int _callDepth;

    /// <summary>The rendering as values see it.</summary>
    public Rendering Run => run;

    /// <summary>Receives what the template prints; replaced while a macro or a block is being captured.</summary>
    public StringValueBuilder Output { get; private set; } = new(run);

    /// <summary>A variable of the context or a global of the environment; null when there is none.</summary>
    public object? Resolve(string name) =>
        variables.TryGetValue(name, out var value) ? value : run.BuiltIns.Globals.GetValueOrDefault(name);

    /// <summary>Renders into a fresh string.</summary>
    public StringValue Capture(Action body)
    {
        var outer = Output;
        Output = new StringValueBuilder(run);
        try
        {
            body();
            return Output.Build();
        }
        finally
        {
            Output = outer;
        }
    }

    /// <summary>Runs the body of a macro or of a recursive loop one level deeper.</summary>
    public StringValue CaptureCall(Action body)
    {
        if (++_callDepth > MaxCallDepth)
            throw Rendering.TooDeep();
        var result = Capture(body);
        _callDepth--;
        return result;
    }
}
