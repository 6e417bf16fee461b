using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Syntax;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja;

/// <summary>A template with the names it may use. Immutable and safe for many threads.</summary>
internal sealed class CompiledTemplate(BuiltIns builtIns, Body body, FrameLayout layout)
{
    /// <summary>Renders; neighbouring runs of one origin are joined, empty runs do not occur.</summary>
    /// <param name="variables">Values by name; they hide globals of the same name.</param>
    /// <param name="clock">The time that the template may ask for.</param>
    /// <exception cref="TemplateException">The template refused its variables or failed on them.</exception>
    public IReadOnlyList<TextSegment> Render(IReadOnlyDictionary<string, object> variables, TimeProvider clock)
    {
        var execution = new Execution(new Rendering(builtIns, clock), variables);
        body.Execute(new Frame(execution, layout, parent: null));
        return execution.Output.ToSegments();
    }
}
