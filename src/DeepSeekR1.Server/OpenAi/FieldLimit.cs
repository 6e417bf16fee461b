using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>
/// How large the value of a field may be, by the kind of the value. No honest client meets these limits; they keep what a request can
/// make the server do, copy or write into an error within bounds.
/// </summary>
internal sealed record FieldLimit
{
    /// <summary>Longest literal of a number.</summary>
    public static readonly FieldLimit OfNumber = new() { Characters = 512 };

    /// <summary>true and false need no limit of their own.</summary>
    public static readonly FieldLimit OfFlag = new() { Characters = 5, Words = "" };

    /// <summary>Most characters of a text, or of the literal of a number.</summary>
    public int? Characters { get; init; }

    /// <summary>Most items of a list.</summary>
    public int? Items { get; init; }

    /// <summary>What an item is, in the plural.</summary>
    public string Noun { get; init; } = "items";

    /// <summary>Most entries of an object.</summary>
    public int? Entries { get; init; }

    /// <summary>Most bytes of the JSON text of a list or an object.</summary>
    public int? Bytes { get; init; }

    /// <summary>Limit of each item of a list and of each value of an object; null where the whole is limited already.</summary>
    public FieldLimit? Item { get; init; }

    /// <summary>Limits of single members of an object.</summary>
    public IReadOnlyDictionary<string, FieldLimit> Members { get; init; } = new Dictionary<string, FieldLimit>();

    /// <summary>The limits in words, where the reader of the field has closer ones; null derives them.</summary>
    public string? Words { get; init; }

    /// <summary>The limits in words, for the documentation.</summary>
    public string InWords => Words ?? string.Join(" or ", ((string?[])
    [
        Show(Characters, "characters"),
        Items is null ? null : Show(Items, Noun) + (Item is { Characters: not null } or { Items: not null } ? $" of {Item.InWords}" : ""),
        Show(Entries, "entries"),
        Show(Bytes, "bytes"),
    ]).OfType<string>());

    /// <summary>Whether a value of this kind is limited.</summary>
    public bool Covers(JsonValueKind kind) => kind switch
    {
        JsonValueKind.Array => Bytes is not null || (Items is not null && Item is not null),
        JsonValueKind.Object => Bytes is not null || (Entries is not null && Item is not null),
        _ => Characters is not null,
    };

    /// <summary>Refuses a value that is larger.</summary>
    /// <exception cref="InvalidRequestException">Names the field, the size and the limit.</exception>
    public void Check(string name, JsonElement value)
    {
        int bytes = JsonMarshal.GetRawUtf8Value(value).Length;
        switch (value.ValueKind)
        {
            case JsonValueKind.Number:
                Require(name, "have", bytes, Characters, "characters");
                break;
            case JsonValueKind.String when bytes - 2 > Characters:
                Require(name, "have", value.GetString()!.Length, Characters, "characters");
                break;
            case JsonValueKind.Array:
                Require(name, "hold", value.GetArrayLength(), Items, Noun);
                Require(name, "have", bytes, Bytes, "bytes");
                CheckItems(name, value);
                break;
            case JsonValueKind.Object:
                Require(name, "hold", value.GetPropertyCount(), Entries, "entries");
                Require(name, "have", bytes, Bytes, "bytes");
                CheckMembers(name, value);
                break;
        }
    }

    private void CheckItems(string name, JsonElement list)
    {
        if (Item is null)
            return;
        int i = 0;
        foreach (var item in list.EnumerateArray())
        {
            if (!Item.IsSmallNumber(item))
                Item.Check($"{name}[{i}]", item);
            i++;
        }
    }

    private void CheckMembers(string name, JsonElement members)
    {
        foreach (var member in members.EnumerateObject())
            if (Members.TryGetValue(member.Name, out var limit))
                limit.Check($"{name}.{member.Name}", member.Value);
            else if (Item?.IsSmallNumber(member.Value) == false)
                Item.Check($"{name}.*", member.Value);
    }

    /// <summary>Long lists are mostly numbers; none of them needs a name for its refusal.</summary>
    private bool IsSmallNumber(JsonElement value) => value.ValueKind == JsonValueKind.Number && JsonMarshal.GetRawUtf8Value(value).Length <= Characters;

    private static void Require(string name, string verb, int size, int? limit, string unit)
    {
        if (size > limit)
            throw new InvalidRequestException(name, "invalid_value", $"'{name}' may {verb} at most {limit} {unit}, not {size}.");
    }

    private static string? Show(int? limit, string unit) => limit is null ? null : string.Create(CultureInfo.InvariantCulture, $"{limit:N0} {unit}");
}
