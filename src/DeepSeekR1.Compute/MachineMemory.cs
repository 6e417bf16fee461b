using System.Runtime.InteropServices;

namespace DeepSeekR1.Compute;

/// <summary>How much memory is free now.</summary>
public static partial class MachineMemory
{
    /// <summary>Bytes that this process may still take on the host: what the kernel calls available, within the container's limit.</summary>
    public static long FreeHostBytes()
    {
        var info = GC.GetGCMemoryInfo();
        long limit = Math.Max(0, info.TotalAvailableMemoryBytes - Environment.WorkingSet);
        const string Path = "/proc/meminfo";
        if (!File.Exists(Path))
            return limit;
        var line = File.ReadLines(Path).FirstOrDefault(l => l.StartsWith("MemAvailable:", StringComparison.Ordinal));
        var digits = line is null ? "" : new string([.. line.Where(char.IsAsciiDigit)]);
        return long.TryParse(digits, out long kibibytes) ? Math.Min(limit, kibibytes * 1024) : limit;
    }

    /// <summary>Free and total bytes of the CUDA device that is current on this thread.</summary>
    /// <exception cref="ModelLoadException">The driver does not answer.</exception>
    public static (long Free, long Total) CudaBytes()
    {
        int status = CuMemGetInfo(out nuint free, out nuint total);
        return status == 0
            ? ((long)free, (long)total)
            : throw new ModelLoadException($"The CUDA driver does not report its memory (error {status}). Set {new OptionName("kv-cache-memory-bytes")}.");
    }

    [LibraryImport("libcuda.so.1", EntryPoint = "cuMemGetInfo_v2")]
    private static partial int CuMemGetInfo(out nuint free, out nuint total);
}
