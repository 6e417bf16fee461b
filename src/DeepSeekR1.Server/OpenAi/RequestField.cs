using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Server.Operations;
using DeepSeekR1.Text;
using Microsoft.OpenApi;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>
/// One field that a request may have, declared once: names, meaning, type, range, size, default, and what it sets. The mapper reads by
/// it; refusals, the OpenAPI document and the documentation are made from it. A field knows no endpoint; an endpoint lists its fields.
/// </summary>
/// <param name="Name">Name on the wire.</param>
/// <param name="Description">For people.</param>
/// <param name="Limit">How large its value may be.</param>
internal abstract record RequestField(string Name, string Description, FieldLimit Limit)
{
    /// <summary>Other names of the field, with their meaning; an alias that is sent goes before the name.</summary>
    public IReadOnlyList<(string Name, string Description)> Aliases { get; init; } = [];

    /// <summary>What the field is when it is left out; null when it is not set then, and the description says what happens.</summary>
    public Func<FieldDefaults, JsonNode?> Default { get; init; } = _ => null;

    /// <summary>Kinds of JSON values that it takes.</summary>
    public abstract IReadOnlyList<JsonValueKind> Kinds { get; }

    /// <summary>Range in words, for the documentation; may be empty.</summary>
    public virtual string Range => "";

    /// <summary>Its schema, without description and default.</summary>
    public abstract OpenApiSchema Schema();

    /// <summary>Checks type, range and size, and sets what the field sets.</summary>
    /// <exception cref="Engine.InvalidRequestException">Names the field, its value and the limit.</exception>
    public abstract GenerationSettings Apply(RequestBody body, GenerationSettings settings);

    /// <summary>The value that was sent, its size checked.</summary>
    protected bool TryFind(RequestBody body, out string name, out JsonElement value)
    {
        foreach (string candidate in Aliases.Select(a => a.Name).Append(Name))
            if (body.TryGet(candidate, out value))
            {
                Limit.Check(name = candidate, value);
                return true;
            }

        (name, value) = (Name, default);
        return false;
    }
}

/// <summary>A field with values of one type.</summary>
internal abstract record RequestField<T>(string Name, string Description, FieldLimit Limit) : RequestField(Name, Description, Limit)
{
    /// <summary>What a sent value sets; null for what the mapper reads itself.</summary>
    public Func<GenerationSettings, T, GenerationSettings>? Set { get; init; }

    /// <summary>Reads the value; false when it was not sent or is null.</summary>
    public bool TryRead(RequestBody body, out T value)
    {
        bool isSent = TryFind(body, out string name, out var element);
        value = isSent ? Parse(name, element) : default!;
        return isSent;
    }

    /// <inheritdoc/>
    public override GenerationSettings Apply(RequestBody body, GenerationSettings settings)
        => TryRead(body, out var value) && Set is not null ? Set(settings, value) : settings;

    /// <summary>A value of JSON as one of the type.</summary>
    protected abstract T Parse(string name, JsonElement value);
}

/// <summary>Reading fields whose values are numbers, flags or choices.</summary>
internal static class ValueFields
{
    /// <summary>The value; null when it was not sent.</summary>
    public static T? Read<T>(this RequestField<T> field, RequestBody body)
        where T : struct
        => field.TryRead(body, out var value) ? value : null;
}

/// <summary>Reading fields whose values are objects of .NET.</summary>
internal static class ObjectFields
{
    /// <summary>The value; null when it was not sent.</summary>
    public static T? Read<T>(this RequestField<T> field, RequestBody body)
        where T : class
        => field.TryRead(body, out var value) ? value : null;
}

/// <summary>A number in a range.</summary>
internal sealed record NumberField(string Name, string Description, double Min, double Max) : RequestField<float>(Name, Description, FieldLimit.OfNumber)
{
    /// <summary>The least value itself is not allowed.</summary>
    public bool ExclusiveMin { get; init; }

    /// <inheritdoc/>
    public override IReadOnlyList<JsonValueKind> Kinds => [JsonValueKind.Number];

    /// <inheritdoc/>
    public override string Range => ExclusiveMin ? $"above {RequestBody.Show(Min)}, to {RequestBody.Show(Max)}" : $"{RequestBody.Show(Min)} to {RequestBody.Show(Max)}";

    /// <inheritdoc/>
    public override OpenApiSchema Schema() => new()
    {
        Type = JsonSchemaType.Number,
        Minimum = ExclusiveMin ? null : OpenApiSchemas.Bound(Min),
        ExclusiveMinimum = ExclusiveMin ? OpenApiSchemas.Bound(Min) : null,
        Maximum = OpenApiSchemas.Bound(Max),
    };

    /// <inheritdoc/>
    protected override float Parse(string name, JsonElement value) => RequestBody.Number(name, value, Min, Max, ExclusiveMin);
}

/// <summary>A 32-bit integer in a range; <see cref="int.MaxValue"/> as largest value is no limit.</summary>
internal sealed record IntegerField(string Name, string Description, int Min, int Max) : RequestField<int>(Name, Description, FieldLimit.OfNumber)
{
    /// <inheritdoc/>
    public override IReadOnlyList<JsonValueKind> Kinds => [JsonValueKind.Number];

    /// <inheritdoc/>
    public override string Range => (Min, Max) switch
    {
        (int.MinValue, int.MaxValue) => "32 bit",
        (_, int.MaxValue) => $"at least {Min}",
        _ => $"{Min} to {Max}",
    };

    /// <inheritdoc/>
    public override OpenApiSchema Schema() => new() { Type = JsonSchemaType.Integer, Minimum = OpenApiSchemas.Bound(Min), Maximum = OpenApiSchemas.Bound(Max) };

    /// <inheritdoc/>
    protected override int Parse(string name, JsonElement value) => (int)RequestBody.Integer(name, value, Min, Max);
}

/// <summary>A 64-bit integer.</summary>
internal sealed record LongField(string Name, string Description) : RequestField<long>(Name, Description, FieldLimit.OfNumber)
{
    /// <inheritdoc/>
    public override IReadOnlyList<JsonValueKind> Kinds => [JsonValueKind.Number];

    /// <inheritdoc/>
    public override string Range => "64 bit";

    /// <inheritdoc/>
    public override OpenApiSchema Schema() => OpenApiSchemas.Integer();

    /// <inheritdoc/>
    protected override long Parse(string name, JsonElement value) => RequestBody.Integer(name, value, null, null);
}

/// <summary>true or false.</summary>
internal sealed record FlagField(string Name, string Description) : RequestField<bool>(Name, Description, FieldLimit.OfFlag)
{
    /// <inheritdoc/>
    public override IReadOnlyList<JsonValueKind> Kinds => [JsonValueKind.True, JsonValueKind.False];

    /// <inheritdoc/>
    public override OpenApiSchema Schema() => new() { Type = JsonSchemaType.Boolean };

    /// <inheritdoc/>
    protected override bool Parse(string name, JsonElement value) => RequestBody.Flag(name, value);
}

/// <summary>A text.</summary>
internal sealed record TextField(string Name, string Description, int MaxCharacters) : RequestField<string>(Name, Description, new FieldLimit { Characters = MaxCharacters })
{
    /// <inheritdoc/>
    public override IReadOnlyList<JsonValueKind> Kinds => [JsonValueKind.String];

    /// <inheritdoc/>
    public override OpenApiSchema Schema() => new() { Type = JsonSchemaType.String, MaxLength = MaxCharacters };

    /// <inheritdoc/>
    protected override string Parse(string name, JsonElement value) => RequestBody.Text(name, value);
}

/// <summary>One of some words, each of which means a value.</summary>
/// <param name="Name">Name on the wire.</param>
/// <param name="Description">For people.</param>
/// <param name="Documented">Words that the documentation names.</param>
/// <param name="Wanted">"must be ..." for a word that there is not.</param>
/// <param name="Meaning">Value of a word; false for a word that there is not.</param>
internal sealed record ChoiceField<T>(string Name, string Description, IReadOnlyList<string> Documented, string Wanted, ChoiceField<T>.Reader Meaning)
    : RequestField<T>(Name, Description, new FieldLimit { Characters = 256 })
{
    /// <summary>Reads a word.</summary>
    public delegate bool Reader(string word, out T value);

    /// <inheritdoc/>
    public override IReadOnlyList<JsonValueKind> Kinds => [JsonValueKind.String];

    /// <inheritdoc/>
    public override string Range => string.Join(", ", Documented);

    /// <inheritdoc/>
    public override OpenApiSchema Schema() => OpenApiSchemas.Enum([.. Documented]);

    /// <inheritdoc/>
    protected override T Parse(string name, JsonElement value) => RequestBody.Text(name, value) is var word && Meaning(word, out var meaning)
        ? meaning
        : throw new Engine.InvalidRequestException(name, "invalid_value", $"'{name}' must be {Wanted}, not \"{word}\".");
}

/// <summary>A list of integers.</summary>
internal sealed record IntegersField(string Name, string Description, int MaxItems)
    : RequestField<int[]>(Name, Description, new FieldLimit { Items = MaxItems, Noun = "integers", Item = FieldLimit.OfNumber })
{
    /// <inheritdoc/>
    public override IReadOnlyList<JsonValueKind> Kinds => [JsonValueKind.Array];

    /// <inheritdoc/>
    public override OpenApiSchema Schema() => new() { Type = JsonSchemaType.Array, Items = OpenApiSchemas.Integer(), MaxItems = MaxItems };

    /// <inheritdoc/>
    protected override int[] Parse(string name, JsonElement value) => RequestBody.Integers(name, value);
}

/// <summary>A value of a form of its own, with the function that reads it.</summary>
/// <param name="Name">Name on the wire.</param>
/// <param name="Description">For people.</param>
/// <param name="Limit">How large its value may be.</param>
/// <param name="Kinds">Kinds of JSON values that it takes.</param>
/// <param name="Shape">Makes its schema.</param>
/// <param name="Reader">Reads it.</param>
internal sealed record FormField<T>(
    string Name, string Description, FieldLimit Limit, IReadOnlyList<JsonValueKind> Kinds, Func<OpenApiSchema> Shape, Func<string, JsonElement, T> Reader)
    : RequestField<T>(Name, Description, Limit)
{
    /// <inheritdoc/>
    public override IReadOnlyList<JsonValueKind> Kinds { get; } = Kinds;

    /// <inheritdoc/>
    public override OpenApiSchema Schema() => Shape();

    /// <inheritdoc/>
    protected override T Parse(string name, JsonElement value) => Reader(name, value);
}
