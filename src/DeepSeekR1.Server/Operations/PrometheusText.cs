using System.Globalization;
using System.Text;
using DeepSeekR1.Engine.Diagnostics;

namespace DeepSeekR1.Server.Operations;

/// <summary>Builds a page in Prometheus' text format, version 0.0.4. Every sample carries the labels of the page.</summary>
internal sealed class PrometheusText(params (string Name, string Value)[] labels)
{
    private readonly StringBuilder _text = new();
    private readonly string _labels = Labels(labels);

    /// <summary>A value that goes up and down.</summary>
    public void Gauge(string name, string help, double value) => Family(name, "gauge", help, ("", value));

    /// <summary>A value that only goes up; its name ends with _total.</summary>
    public void Counter(string name, string help, double value) => Family(name, "counter", help, ("", value));

    /// <summary>Several values of one name, told apart by further labels.</summary>
    public void Family(string name, string kind, string help, params IEnumerable<(string Labels, double Value)> samples)
    {
        Head(name, kind, help);
        foreach (var (more, value) in samples)
            Sample(name, more, value);
    }

    /// <summary>A histogram.</summary>
    public void Histogram(string name, string help, HistogramValues values)
    {
        Head(name, "histogram", help);
        for (int i = 0; i < values.Edges.Count; i++)
            Sample(name + "_bucket", $"le=\"{Edge(values.Edges[i])}\"", values.Counts[i]);
        Sample(name + "_bucket", "le=\"+Inf\"", values.Counts[^1]);
        Sample(name + "_sum", "", values.Sum);
        Sample(name + "_count", "", values.Counts[^1]);
    }

    /// <summary>Samples without the labels of the page.</summary>
    public void Process(string name, string kind, string help, double value)
    {
        Head(name, kind, help);
        _text.Append(CultureInfo.InvariantCulture, $"{name} {value}\n");
    }

    /// <summary>Labels as they stand between braces.</summary>
    public static string Labels(params (string Name, string Value)[] labels)
        => string.Join(',', labels.Select(l => $"{l.Name}=\"{l.Value.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", "\\n")}\""));

    /// <summary>The page.</summary>
    public override string ToString() => _text.ToString();

    private void Head(string name, string kind, string help) => _text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {kind}\n");

    private void Sample(string name, string more, double value)
        => _text.Append(CultureInfo.InvariantCulture, $"{name}{{{_labels}{(more.Length > 0 ? "," : "")}{more}}} {value}\n");

    /// <summary>1.0 and not 1, as vLLM writes it: queries for one edge find it.</summary>
    private static string Edge(double edge) => edge == Math.Floor(edge)
        ? edge.ToString("F1", CultureInfo.InvariantCulture)
        : edge.ToString(CultureInfo.InvariantCulture);
}
