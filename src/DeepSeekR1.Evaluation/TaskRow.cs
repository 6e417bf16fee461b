using System.Text.Json;

namespace DeepSeekR1.Evaluation;

/// <summary>One problem as it stands in a data file: its columns by name. Immutable.</summary>
/// <param name="Id">Unique within the file; the line number where the file has none.</param>
/// <param name="Columns">All columns, the identifier included.</param>
public sealed record TaskRow(string Id, IReadOnlyDictionary<string, JsonElement> Columns)
{
    /// <summary>A column as text: strings as they are, numbers as written; null where the column is missing or null.</summary>
    public string? Text(string column) => Columns.TryGetValue(column, out var value) ? TextOf(value) : null;

    /// <summary>The first of these columns that the row has, as text.</summary>
    public string? FirstText(params ReadOnlySpan<string> columns) => FirstOf(columns) is { } column ? Text(column) : null;

    /// <summary>Name of the first of these columns that the row has and that is not null; null when there is none.</summary>
    public string? FirstOf(params ReadOnlySpan<string> columns)
    {
        foreach (string column in columns)
            if (Text(column) is not null)
                return column;
        return null;
    }

    private static string? TextOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.Undefined => null,
        JsonValueKind.String => value.GetString(),
        _ => value.GetRawText(),
    };
}
