using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>Parameters and body of a macro or call block.</summary>
internal sealed class MacroDefinition(
    string name, List<(string Name, Expression? Default)> parameters, MacroSpecials specials, Body body)
{
    private readonly MacroSignature _signature = new(name, parameters.ConvertAll(parameter => parameter.Name), specials);

    // Set when the scope is complete.
    private FrameLayout _layout = null!;
    private int[] _slots = [];

    /// <summary>Declares parameters, defaults and body in a scope inside the given one.</summary>
    public void Declare(Scope outer)
    {
        var scope = new Scope(outer);
        string[] names = [.. _signature.Parameters, .. SpecialNames()];
        Array.ForEach(names, scope.Parameter);
        parameters.ForEach(parameter => parameter.Default?.Declare(scope));
        body.Declare(scope);
        _slots = Array.ConvertAll(names, scope.SlotOf);
        _layout = scope.Complete();
    }

    /// <summary>The macro as a value: it renders its body inside the frame it was defined in.</summary>
    public Macro Bind(Frame frame) => new(_signature, arguments =>
        frame.Execution.CaptureCall(() => Invoke(new Frame(frame.Execution, _layout, frame), arguments)));

    // Binds the arguments and prints the body.
    private void Invoke(Frame frame, Arguments arguments)
    {
        var named = arguments.Keyword.ToList();
        for (var index = 0; index < parameters.Count; index++)
        {
            var isPositional = index < arguments.Positional.Length;
            frame.SetParameter(_slots[index], isPositional ? arguments.Positional[index] : Take(named, parameters[index].Name));
        }
        BindSpecials(frame, arguments, named);
        for (var index = 0; index < parameters.Count; index++)
            if (frame.Get(new LexicalAddress(0, _slots[index])) is null)
                frame.SetParameter(_slots[index], parameters[index].Default?.Evaluate(frame)
                    ?? UndefinedValue.WithHint($"parameter '{parameters[index].Name}' was not provided"));
        body.Execute(frame);
    }

    private static object? Take(List<KeyValuePair<string, object>> named, string name)
    {
        var index = named.FindIndex(argument => argument.Key == name);
        if (index < 0)
            return null;
        var value = named[index].Value;
        named.RemoveAt(index);
        return value;
    }

    private IEnumerable<string> SpecialNames()
    {
        if (specials.Caller)
            yield return "caller";
        if (specials.Keyword)
            yield return "kwargs";
        if (specials.Positional)
            yield return "varargs";
    }

    private void BindSpecials(Frame frame, Arguments arguments, List<KeyValuePair<string, object>> named)
    {
        var slot = parameters.Count;
        if (specials.Caller)
            frame.SetParameter(_slots[slot++], Take(named, "caller") ?? UndefinedValue.WithHint("No caller defined"));
        if (specials.Keyword)
            frame.SetParameter(_slots[slot++], ToDict(named));
        else if (named.Count > 0)
            throw Errors.Type(named.Exists(argument => argument.Key == "caller")
                ? $"macro '{name}' was invoked with two values for the special caller argument. This is most likely a bug."
                : $"macro '{name}' takes no keyword argument '{named[0].Key}'");
        if (specials.Positional)
            frame.SetParameter(_slots[slot], new TupleValue([.. arguments.Positional.Skip(parameters.Count)]));
        else if (arguments.Positional.Length > parameters.Count)
            throw Errors.Type($"macro '{name}' takes not more than {parameters.Count} argument(s)");
    }

    private static DictValue ToDict(List<KeyValuePair<string, object>> named)
    {
        var dict = new DictValue();
        foreach (var (key, value) in named)
            dict.Set(StringValue.Literal(key), value);
        return dict;
    }
}
