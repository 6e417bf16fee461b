using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>What every template can call: jinja2's globals, and raise_exception and strftime_now of Hugging Face.</summary>
internal static class Globals
{
    /// <summary>All globals by name.</summary>
    public static readonly IReadOnlyDictionary<string, object> All = new Callable[]
    {
        new Function("range", "start, stop=, step=", (_, a) => a[1] is null
            ? RangeValue.Create(0, Protocols.ToInteger(a[0]!), 1)
            : RangeValue.Create(Protocols.ToInteger(a[0]!), Protocols.ToInteger(a[1]!), a[2] is null ? 1 : Protocols.ToInteger(a[2]!))),
        new VariadicFunction("dict", Dict),
        new VariadicFunction("namespace", Namespace),
        new VariadicFunction("cycler", (_, arguments) => arguments.Positional.Length > 0
            ? new Cycler(arguments.Positional)
            : throw new TemplateException("RuntimeError", "at least one item has to be provided")),
        new Function("joiner", "sep=", (_, a) => Joiner(a[0] ?? StringValue.Literal(", "))),
        new Function(
            "raise_exception", "message", (run, a) => throw new TemplateException("TemplateError", Printer.Str(run, a[0]!).Text)),
        new Function("strftime_now", "format", (run, a) => Strftime.Format(run, Protocols.ToText(a[0]!))),
        new VariadicFunction("lipsum", (_, _) => throw new TemplateException("RuntimeError", "lipsum is not available in chat templates")),
    }.ToDictionary(function => function.Name, function => (object)function);

    /// <summary>A copy of a dict.</summary>
    public static DictValue CopyDict(Rendering run, DictValue source)
    {
        var copy = new DictValue();
        run.ChargeItems(source.Count);
        foreach (var (key, value) in source.Entries)
            copy.Set(key, value);
        return copy;
    }

    private static object Dict(Rendering run, Arguments arguments)
    {
        if (arguments.Positional.Length > 1)
            throw Errors.Type($"dict expected at most 1 argument, got {arguments.Positional.Length}");
        var dict = arguments.Positional switch
        {
            [] => new DictValue(),
            [DictValue source] => CopyDict(run, source),
            [var pairs, ..] => FromPairs(run, pairs),
        };
        foreach (var (name, value) in arguments.Keyword)
            dict.Set(StringValue.Literal(name), value);
        return dict;
    }

    private static DictValue FromPairs(Rendering run, object source)
    {
        var dict = new DictValue();
        foreach (var pair in Protocols.ToList(run, source))
        {
            if (Protocols.ToList(run, pair) is not [var key, var value])
                throw Errors.Value("dictionary update sequence element has the wrong length; 2 is required");
            dict.Set(key, value);
        }
        return dict;
    }

    private static object Namespace(Rendering run, Arguments arguments)
    {
        var space = new NamespaceValue();
        foreach (var (key, value) in ((DictValue)Dict(run, arguments)).Entries)
            space.Set(Protocols.ToText(key).Text, value);
        return space;
    }

    private static VariadicFunction Joiner(object separator)
    {
        var isUsed = false;
        return new VariadicFunction("joiner", (_, _) =>
        {
            var result = isUsed ? separator : StringValue.Empty;
            isUsed = true;
            return result;
        });
    }
}
