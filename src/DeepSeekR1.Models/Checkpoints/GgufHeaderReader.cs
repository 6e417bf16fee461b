using System.Buffers.Binary;
using System.Text;
using DeepSeekR1.Compute;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>
/// Reads the little-endian primitives of a GGUF header and knows how many bytes are left, so that no count of the file is
/// believed before it is checked. One thread, one file; borrows the stream.
/// </summary>
internal sealed class GgufHeaderReader(Stream stream, string path)
{
    /// <summary>Most elements of one metadata array; the largest real ones (merges) have some 300,000.</summary>
    private const long MaxArrayLength = 1L << 26;

    private const long MaxStringBytes = 1L << 28;
    private const int MaxKeyBytes = 65_535;

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly byte[] _scratch = new byte[8];
    private readonly long _length = stream.Length;

    /// <summary>Bytes read so far.</summary>
    public long Position { get; private set; }

    /// <summary>Bytes of the file not yet read.</summary>
    public long Remaining => _length - Position;

    /// <summary>Builds the exception of every fault found: file, item, cause.</summary>
    public ModelLoadException Fault(string item, string cause, Exception? inner = null) =>
        new($"GGUF file '{path}': {item}: {cause}", inner);

    /// <summary>Unsigned 32-bit number.</summary>
    public uint ReadUInt32(string item) => BinaryPrimitives.ReadUInt32LittleEndian(Fill(4, item));

    /// <summary>Unsigned 64-bit number.</summary>
    public ulong ReadUInt64(string item) => BinaryPrimitives.ReadUInt64LittleEndian(Fill(8, item));

    /// <summary>A count of items of at least <paramref name="minBytes"/> bytes each; refused when the file cannot hold them.</summary>
    public long ReadCount(string item, int minBytes)
    {
        var count = ReadUInt64(item);
        if (count > (ulong)(Remaining / minBytes))
            throw Fault(item, $"{count} announced, but only {Remaining} bytes follow (at least {minBytes} bytes each)");
        return (long)count;
    }

    /// <summary>A key or tensor name: strict UTF-8, not empty.</summary>
    public string ReadName(string item)
    {
        var bytes = ReadStringBytes(item, MaxKeyBytes);
        if (bytes.Length == 0)
            throw Fault(item, "the name is empty");
        try
        {
            return Strict.GetString(bytes);
        }
        catch (DecoderFallbackException e)
        {
            throw Fault(item, "the name is not UTF-8", e);
        }
    }

    /// <summary>A metadata value of the given type number (ggml's <c>gguf_type</c>).</summary>
    public object ReadValue(uint type, string item) => type == 9 ? ReadArray(item) : ReadScalar(type, item);

    // Bytes that are no UTF-8 become U+FFFD: values are text for people or vocabularies, and the latter are checked elsewhere.
    private string ReadString(string item) => Encoding.UTF8.GetString(ReadStringBytes(item, MaxStringBytes));

    private byte[] ReadStringBytes(string item, long max)
    {
        var length = ReadUInt64(item);
        if (length > (ulong)Remaining)
            throw Fault(item, $"a string of {length} bytes is announced, but only {Remaining} bytes follow");
        if (length > (ulong)max)
            throw Fault(item, $"a string of {length} bytes is longer than the limit of {max}");
        var bytes = new byte[length];
        Read(bytes, item);
        return bytes;
    }

    private object ReadScalar(uint type, string item) => type switch
    {
        0 => (long)Fill(1, item)[0],
        1 => (long)(sbyte)Fill(1, item)[0],
        2 => (long)BinaryPrimitives.ReadUInt16LittleEndian(Fill(2, item)),
        3 => (long)BinaryPrimitives.ReadInt16LittleEndian(Fill(2, item)),
        4 => (long)ReadUInt32(item),
        5 => (long)BinaryPrimitives.ReadInt32LittleEndian(Fill(4, item)),
        6 => BinaryPrimitives.ReadSingleLittleEndian(Fill(4, item)),
        7 => ReadBool(item),
        8 => ReadString(item),
        10 => ReadUInt64(item),
        11 => BinaryPrimitives.ReadInt64LittleEndian(Fill(8, item)),
        12 => BinaryPrimitives.ReadDoubleLittleEndian(Fill(8, item)),
        _ => throw Fault(item, $"value type {type} is unknown (0 to 12 exist)"),
    };

    private object ReadArray(string item)
    {
        var type = ReadUInt32(item);
        var count = ReadCount(item, MinBytes(type, item));
        if (count > MaxArrayLength)
            throw Fault(item, $"an array of {count} elements is longer than the limit of {MaxArrayLength}");
        return type switch
        {
            6 => ReadArray<float>(type, count, item),
            7 => ReadArray<bool>(type, count, item),
            8 => ReadArray<string>(type, count, item),
            10 => ReadArray<ulong>(type, count, item),
            12 => ReadArray<double>(type, count, item),
            _ => ReadArray<long>(type, count, item),
        };
    }

    private T[] ReadArray<T>(uint type, long count, string item)
    {
        var values = new T[count];
        for (var i = 0L; i < count; i++)
            values[i] = (T)ReadScalar(type, item);
        return values;
    }

    private int MinBytes(uint type, string item) => type switch
    {
        0 or 1 or 7 => 1,
        2 or 3 => 2,
        4 or 5 or 6 => 4,
        8 or 10 or 11 or 12 => 8,
        9 => throw Fault(item, "arrays of arrays are not supported"),
        _ => throw Fault(item, $"array element type {type} is unknown (0 to 12 exist)"),
    };

    private bool ReadBool(string item)
    {
        var value = Fill(1, item)[0];
        return value <= 1 ? value == 1 : throw Fault(item, $"a boolean is {value}; only 0 and 1 are allowed");
    }

    private ReadOnlySpan<byte> Fill(int count, string item)
    {
        Read(_scratch.AsSpan(0, count), item);
        return _scratch.AsSpan(0, count);
    }

    private void Read(Span<byte> target, string item)
    {
        if (target.Length > Remaining)
            throw Fault(item, $"the file ends here: {target.Length} bytes needed at position {Position}, {Remaining} left");
        stream.ReadExactly(target);
        Position += target.Length;
    }
}
