using System.Globalization;
using System.Xml.Linq;

namespace DeepSeekR1.Training.Reporting;

/// <summary>A figure over the steps.</summary>
/// <param name="Name">Its name in the metrics.</param>
/// <param name="Points">At least one, steps ascending.</param>
internal sealed record Curve(string Name, IReadOnlyList<(long Step, double Value)> Points);

/// <summary>Curves over the steps as an SVG: one line a figure, axes with their ends, a legend. Straight scales; one point is a dot.</summary>
internal static class CurveChart
{
    private const int Width = 640, Height = 320, Left = 76, Right = 20, Top = 40, Bottom = 48, TickLength = 4, LegendLine = 16;
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    /// <summary>Colors that stay apart for readers who see few: Okabe and Ito 2008.</summary>
    private static readonly string[] Colors = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

    /// <summary>The image's text; curves hold at least one.</summary>
    public static string Draw(string title, IReadOnlyList<Curve> curves)
    {
        // A legend is needed where lines must be told apart; it lies under the axes.
        int legend = curves.Count > 1 ? curves.Count * LegendLine : 0;
        var all = curves.SelectMany(c => c.Points).ToList();
        var (steps, values) = (new Span(all.Min(p => p.Step), all.Max(p => p.Step)), new Span(all.Min(p => p.Value), all.Max(p => p.Value)));
        double X(double step) => Left + steps.Share(step) * (Width - Left - Right);
        double Y(double value) => Height - Bottom - values.Share(value) * (Height - Top - Bottom);
        var root = new XElement(
            Svg + "svg",
            new XAttribute("viewBox", $"0 0 {Width} {Height + legend}"),
            new XAttribute("width", Width),
            new XAttribute("height", Height + legend),
            new XAttribute("font-family", "sans-serif"),
            new XAttribute("font-size", 12),
            new XElement(Svg + "rect", new XAttribute("width", "100%"), new XAttribute("height", "100%"), new XAttribute("fill", "white")),
            Text(Width / 2.0, 20, "middle", title, 14),
            Line(Left, Top, Left, Height - Bottom),
            Line(Left, Height - Bottom, Width - Right, Height - Bottom),
            Text((Left + Width - Right) / 2.0, Height - 10, "middle", "step"));
        foreach (double value in values.Ticks)
            root.Add(Line(Left - TickLength, Y(value), Left, Y(value)), Text(Left - 2 * TickLength, Y(value) + 4, "end", Short(value)));
        foreach (double step in steps.Ticks.Where(s => s == Math.Floor(s)))
            root.Add(Line(X(step), Height - Bottom, X(step), Height - Bottom + TickLength),
                Text(X(step), Height - Bottom + 18, "middle", step.ToString("0", CultureInfo.InvariantCulture)));
        for (int i = 0; i < curves.Count; i++)
        {
            string color = Colors[i % Colors.Length];
            var points = curves[i].Points;
            root.Add(new XElement(
                Svg + "polyline",
                new XAttribute("points", string.Join(" ", points.Select(p => $"{Place(X(p.Step))},{Place(Y(p.Value))}"))),
                new XAttribute("fill", "none"),
                new XAttribute("stroke", color),
                new XAttribute("stroke-width", 1.5)));
            if (points.Count == 1)
                root.Add(new XElement(Svg + "circle", new XAttribute("cx", Place(X(points[0].Step))), new XAttribute("cy", Place(Y(points[0].Value))),
                    new XAttribute("r", 3), new XAttribute("fill", color)));
            if (legend > 0)
                root.Add(new XElement(Svg + "rect", new XAttribute("x", Left), new XAttribute("y", Height + i * LegendLine), new XAttribute("width", 14),
                    new XAttribute("height", 4), new XAttribute("fill", color)), Text(Left + 20, Height + i * LegendLine + 6, "start", curves[i].Name));
        }

        return root + "\n";
    }

    /// <summary>A number in four digits.</summary>
    internal static string Short(double value) => value.ToString(Math.Abs(value) is 0 or (>= 1e-3 and < 1e6) ? "0.####" : "0.###e+0", CultureInfo.InvariantCulture);

    private static string Place(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);

    private static XElement Line(double x1, double y1, double x2, double y2) => new(
        Svg + "line", new XAttribute("x1", Place(x1)), new XAttribute("y1", Place(y1)), new XAttribute("x2", Place(x2)), new XAttribute("y2", Place(y2)), new XAttribute("stroke", "#444"));

    private static XElement Text(double x, double y, string anchor, string text, int size = 12) => new(
        Svg + "text", new XAttribute("x", Place(x)), new XAttribute("y", Place(y)), new XAttribute("text-anchor", anchor), new XAttribute("font-size", size), text);

    /// <summary>An axis from least to most; where both are one, the values lie in its middle.</summary>
    private readonly record struct Span(double Least, double Most)
    {
        public IEnumerable<double> Ticks => Least == Most ? [Least] : [Least, (Least + Most) / 2, Most];

        public double Share(double value) => Least == Most ? 0.5 : (value - Least) / (Most - Least);
    }
}
