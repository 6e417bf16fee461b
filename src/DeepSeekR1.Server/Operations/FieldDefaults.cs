using System.Text.Json.Nodes;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Server.Operations;

/// <summary>What the defaults of request fields depend on: the served model, the server's options, and the loaded checkpoint.</summary>
/// <param name="Model">Name of the served model.</param>
/// <param name="Options">What the user asked of the server.</param>
/// <param name="Checkpoint">Sampling defaults of the checkpoint; null while it is loading.</param>
internal sealed record FieldDefaults(string Model, ServerOptions Options, GenerationDefaults? Checkpoint)
{
    /// <summary>0.6 and not 0.60000002384: the nearest short number of a float32.</summary>
    public static JsonNode Round(float value) => (double)(decimal)value;
}
