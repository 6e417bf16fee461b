using System.Globalization;
using System.Runtime.InteropServices;

namespace DeepSeekR1.Soak.Tests;

/// <summary>What this process holds of native memory. Linux with glibc only.</summary>
internal static partial class NativeMemory
{
    /// <summary>Bytes that malloc has handed out and not got back, over all arenas and mappings: exact, unlike any resident size.</summary>
    public static long MallocBytes
    {
        get
        {
            var info = ReadMallocInfo();
            return (long)(info.Used + info.Mapped);
        }
    }

    /// <summary>Resident bytes that belong to no file: malloc's, the collector's, stacks.</summary>
    public static long ResidentBytes
    {
        get
        {
            string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith("RssAnon:", StringComparison.Ordinal));
            return 1024 * long.Parse(line.AsSpan("RssAnon:".Length, line.Length - "RssAnon: kB".Length), NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture);
        }
    }

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    private static partial MallocInfo ReadMallocInfo();

    /// <summary>glibc's struct mallinfo2, field by field.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct MallocInfo
    {
        public readonly nuint Arena;
        public readonly nuint FreeChunks;
        public readonly nuint FastChunks;
        public readonly nuint Mappings;
        public readonly nuint Mapped;
        public readonly nuint Unused;
        public readonly nuint FastBytes;
        public readonly nuint Used;
        public readonly nuint Free;
        public readonly nuint Keep;
    }
}
