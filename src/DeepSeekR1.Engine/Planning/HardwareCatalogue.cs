using System.Text.Json;

namespace DeepSeekR1.Engine.Planning;

/// <summary>One kind of device, or this machine's memory and cores as one.</summary>
/// <param name="Name">Name for people and for the option <c>gpu</c>.</param>
/// <param name="Vendor">Maker.</param>
/// <param name="MemoryGib">Usable memory as the driver reports it, GiB.</param>
/// <param name="BandwidthTbS">Memory bandwidth, TB/s; null when it is not known.</param>
/// <param name="Fp16Tflops">Dense 16-bit matrix products, 10^12 operations a second; null when it is not known.</param>
/// <param name="Fp8Tflops">The same in FP8.</param>
/// <param name="Bf16">Whether it computes in bfloat16.</param>
/// <param name="Fp8">Whether it computes in FP8.</param>
/// <param name="Interconnect">What joins the devices of a node.</param>
/// <param name="PerNode">Devices in one node.</param>
/// <param name="Runs">False for devices that the planner knows and this server does not run on.</param>
public sealed record HardwareEntry(
    string Name, string Vendor, double MemoryGib, double? BandwidthTbS, double? Fp16Tflops, double? Fp8Tflops, bool Bf16, bool Fp8, string? Interconnect,
    int PerNode, bool Runs);

/// <summary>The devices that the planner knows: hardware.json in this assembly, and files of the same form from the user.</summary>
public static class HardwareCatalogue
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Reads the built-in entries and those of a file, which go first: a name in both is the file's.</summary>
    /// <param name="file">JSON array of entries; null reads the built-in ones alone.</param>
    /// <exception cref="StartupException">The file cannot be read or is of another form.</exception>
    public static IReadOnlyList<HardwareEntry> Read(string? file = null)
    {
        using var stream = typeof(HardwareCatalogue).Assembly.GetManifestResourceStream("hardware.json")!;
        var builtIn = JsonSerializer.Deserialize<List<HardwareEntry>>(stream, Json)!;
        if (file is null)
            return builtIn;
        try
        {
            var own = JsonSerializer.Deserialize<List<HardwareEntry>>(File.ReadAllBytes(file), Json) ?? [];
            if (own.Find(e => string.IsNullOrEmpty(e.Name) || e.MemoryGib <= 0 || e.PerNode < 1) is { } bad)
                throw new StartupException($"{PlanOptionList.Catalogue} '{file}': entry '{bad.Name}' needs a name, memory_gib above 0 and per_node of at least 1.");
            return [.. own, .. builtIn.Where(b => !own.Exists(o => Same(o.Name, b.Name)))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new StartupException($"{PlanOptionList.Catalogue} '{file}' cannot be read: {e.Message} It must be a JSON array of entries like those of `plan {PlanOptionList.ListGpus} {PlanOptionList.Json}`.", e);
        }
    }

    /// <summary>The entry of a name, whatever its case, spaces and dashes.</summary>
    /// <exception cref="StartupException">There is none; the message names the nearest ones.</exception>
    public static HardwareEntry Find(IReadOnlyList<HardwareEntry> catalogue, string name)
    {
        var found = catalogue.FirstOrDefault(e => Same(e.Name, name));
        if (found is not null)
            return found;
        var near = catalogue.Where(e => Plain(e.Name).Contains(Plain(name), StringComparison.Ordinal) || Plain(name).Contains(Plain(e.Name), StringComparison.Ordinal))
            .Select(e => e.Name).ToList();
        throw new StartupException(
            $"{PlanOptionList.Gpu} '{name}' is not in the catalogue. {(near.Count > 0 ? $"Near: {string.Join(", ", near)}." : "")} `plan {PlanOptionList.ListGpus}` shows all; {PlanOptionList.Catalogue} FILE adds your own.");
    }

    private static bool Same(string a, string b) => Plain(a) == Plain(b);

    private static string Plain(string name) => string.Concat(name.ToLowerInvariant().Where(char.IsLetterOrDigit));
}
