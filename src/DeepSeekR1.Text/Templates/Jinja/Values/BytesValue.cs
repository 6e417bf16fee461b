namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Result of str.encode; can only be printed and measured.</summary>
internal sealed class BytesValue(byte[] bytes, bool fromRequest)
{
    public byte[] Bytes => bytes;

    public bool FromRequest => fromRequest;
}
