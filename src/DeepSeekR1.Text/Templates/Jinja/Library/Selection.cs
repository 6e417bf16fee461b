using System.Globalization;
using System.Numerics;

namespace DeepSeekR1.Text.Templates;

/// <summary>The filters that take each item through an attribute, a filter or a test: map, select, reject and their like.</summary>
internal static class JinjaSelection
{
    /// <summary>map(attribute=..., default=...) or map(filter, arguments).</summary>
    public static object Map(JinjaRun run, JinjaArguments arguments) => new JinjaIterator(MapItems(run, arguments));

    /// <summary>select, reject, selectattr, rejectattr.</summary>
    public static object Select(JinjaRun run, JinjaArguments arguments, bool byAttribute, bool keep) =>
        new JinjaIterator(SelectItems(run, arguments, byAttribute, keep));

    /// <summary>
    /// A function that takes a value to one of its attributes: an int, or names and numbers with dots between them. A missing one gives the
    /// default where there is one.
    /// </summary>
    public static Func<object, object> Getter(JinjaRun run, object attribute, object? missing)
    {
        object[] parts = attribute is JinjaString text ? [.. text.Text.Split('.').Select(Part)] : [attribute];
        return item =>
        {
            foreach (var part in parts)
            {
                item = JinjaAttributes.GetItem(run, item, part);
                if (item is JinjaUndefined && missing is not (null or JinjaNone))
                    item = missing;
            }
            return item;
        };
    }

    /// <summary>The same for several attributes with commas between them: a list.</summary>
    public static Func<object, object> MultiGetter(JinjaRun run, object? attribute, Func<object, object> finish)
    {
        if (attribute is null or JinjaNone)
            return item => new JinjaList([finish(item)]);
        var getters = attribute is JinjaString text
            ? text.Text.Split(',').Select(part => Getter(run, JinjaString.Literal(part), null)).ToArray()
            : [Getter(run, attribute, null)];
        return item => new JinjaList(Array.ConvertAll(getters, getter => finish(getter(item))));
    }

    private static object Part(string part) => part.Length > 0 && part.All(char.IsAsciiDigit)
        ? BigInteger.Parse(part, CultureInfo.InvariantCulture)
        : JinjaString.Literal(part);

    private static IEnumerable<object> MapItems(JinjaRun run, JinjaArguments arguments)
    {
        var values = Value(arguments);
        if (!JinjaTypes.IsTrue(values))
            yield break;
        var function = Mapping(run, arguments);
        foreach (var item in JinjaTypes.Iterate(values))
        {
            run.Charge(16);
            yield return function(item);
        }
    }

    private static object Value(JinjaArguments arguments) => arguments.Positional is [var value, ..]
        ? value
        : arguments.Find("value") ?? throw JinjaErrors.Type("missing argument: 'value'");

    private static Func<object, object> Mapping(JinjaRun run, JinjaArguments arguments)
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
        var filter = Function(JinjaFilters.All, arguments.Positional[1], "filter");
        return item => filter.Call(run, arguments with { Positional = [item, .. arguments.Positional[2..]] });
    }

    private static JinjaCallable Function(IReadOnlyDictionary<string, JinjaCallable> table, object name, string kind)
    {
        if (name is JinjaString text && table.TryGetValue(text.Text, out var function))
            return function;
        throw new TemplateException("TemplateRuntimeError", $"No {kind} named {JinjaPrinter.ReprText(name)}.");
    }

    private static IEnumerable<object> SelectItems(JinjaRun run, JinjaArguments arguments, bool byAttribute, bool keep)
    {
        var values = Value(arguments);
        if (!JinjaTypes.IsTrue(values))
            yield break;
        var skip = byAttribute ? 2 : 1;
        if (byAttribute && arguments.Positional.Length < 2)
            throw new TemplateException("FilterArgumentError", "Missing parameter for attribute name");
        var getter = byAttribute ? Getter(run, arguments.Positional[1], null) : item => item;
        var test = arguments.Positional.Length > skip ? Function(JinjaTests.All, arguments.Positional[skip], "test") : null;
        object Test(object item) => test?.Call(run, arguments with { Positional = [item, .. arguments.Positional[(skip + 1)..]] }) ?? item;
        foreach (var item in JinjaTypes.Iterate(values))
        {
            run.Charge(16);
            if (JinjaTypes.IsTrue(Test(getter(item))) == keep)
                yield return item;
        }
    }
}
