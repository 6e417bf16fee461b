using System.Globalization;
using System.Numerics;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>The filters that take each item through an attribute, a filter or a test: map, select, reject and their like.</summary>
internal static class Selection
{
    /// <summary>map(attribute=..., default=...) or map(filter, arguments).</summary>
    public static object Map(Rendering run, Arguments arguments) => new IteratorValue(MapItems(run, arguments));

    /// <summary>select, reject, selectattr, rejectattr.</summary>
    public static object Select(Rendering run, Arguments arguments, bool byAttribute, bool keep) =>
        new IteratorValue(SelectItems(run, arguments, byAttribute, keep));

    /// <summary>
    /// A function that takes a value to one of its attributes: an int, or names and numbers with dots between them. A missing one gives the
    /// default where there is one.
    /// </summary>
    public static Func<object, object> Getter(Rendering run, object attribute, object? missing)
    {
        object[] parts = attribute is StringValue text ? [.. text.Text.Split('.').Select(Part)] : [attribute];
        return item =>
        {
            foreach (var part in parts)
            {
                item = Attributes.GetItem(run, item, part);
                if (item is UndefinedValue && missing is not (null or NoneValue))
                    item = missing;
            }
            return item;
        };
    }

    /// <summary>The same for several attributes with commas between them: a list.</summary>
    public static Func<object, object> MultiGetter(Rendering run, object? attribute, Func<object, object> finish)
    {
        if (attribute is null or NoneValue)
            return item => new ListValue([finish(item)]);
        var getters = attribute is StringValue text
            ? text.Text.Split(',').Select(part => Getter(run, StringValue.Literal(part), null)).ToArray()
            : [Getter(run, attribute, null)];
        return item => new ListValue(Array.ConvertAll(getters, getter => finish(getter(item))));
    }

    private static object Part(string part) => part.Length > 0 && part.All(char.IsAsciiDigit)
        ? BigInteger.Parse(part, CultureInfo.InvariantCulture)
        : StringValue.Literal(part);

    private static IEnumerable<object> MapItems(Rendering run, Arguments arguments)
    {
        var values = Value(arguments);
        if (!Protocols.IsTrue(values))
            yield break;
        var function = Mapping(run, arguments);
        foreach (var item in Protocols.Iterate(values))
        {
            run.Charge(16);
            yield return function(item);
        }
    }

    private static object Value(Arguments arguments) => arguments.Positional is [var value, ..]
        ? value
        : arguments.Find("value") ?? throw Errors.Type("missing argument: 'value'");

    private static Func<object, object> Mapping(Rendering run, Arguments arguments)
    {
        if (arguments.Positional.Length == 1 && arguments.Find("attribute") is { } attribute)
        {
            foreach (var (name, _) in arguments.Keyword)
                if (name is not ("attribute" or "default"))
                    throw new TemplateException("FilterArgumentError", $"Unexpected keyword argument '{name}'");
            return Getter(run, attribute, arguments.Find("default"));
        }
        if (arguments.Positional.Length == 1)
            throw new TemplateException("FilterArgumentError", "map requires a filter argument");
        var filter = Function(run.BuiltIns.Filters, arguments.Positional[1], "filter");
        return item => filter.Call(run, arguments with { Positional = [item, .. arguments.Positional[2..]] });
    }

    private static Callable Function(IReadOnlyDictionary<string, Callable> table, object name, string kind)
    {
        if (name is StringValue text && table.TryGetValue(text.Text, out var function))
            return function;
        throw new TemplateException("TemplateRuntimeError", $"No {kind} named {Printer.ReprText(name)}.");
    }

    private static IEnumerable<object> SelectItems(Rendering run, Arguments arguments, bool byAttribute, bool keep)
    {
        var values = Value(arguments);
        if (!Protocols.IsTrue(values))
            yield break;
        var skip = byAttribute ? 2 : 1;
        if (byAttribute && arguments.Positional.Length < 2)
            throw new TemplateException("FilterArgumentError", "Missing parameter for attribute name");
        var getter = byAttribute ? Getter(run, arguments.Positional[1], null) : item => item;
        var test = arguments.Positional.Length > skip ? Function(run.BuiltIns.Tests, arguments.Positional[skip], "test") : null;
        object Test(object item) => test?.Call(run, arguments with { Positional = [item, .. arguments.Positional[(skip + 1)..]] }) ?? item;
        foreach (var item in Protocols.Iterate(values))
        {
            run.Charge(16);
            if (Protocols.IsTrue(Test(getter(item))) == keep)
                yield return item;
        }
    }
}
