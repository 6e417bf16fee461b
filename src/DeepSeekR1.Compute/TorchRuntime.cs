using System.Runtime.InteropServices;
using TorchSharp;

namespace DeepSeekR1.Compute;

/// <summary>
/// Brings libtorch into the process, once, with settings that must be in place before it loads: how long idle OpenMP threads
/// spin, how malloc treats large blocks, and which libtorch it is (DEEPSEEKR1_LIBTORCH). Process-wide by nature.
/// </summary>
public static partial class TorchRuntime
{
    /// <summary>Environment variable that names a folder with another libtorch (for example torch/lib of a Python install).</summary>
    public const string LibraryVariable = "DEEPSEEKR1_LIBTORCH";

    private static readonly Lazy<string> Loaded = new(Load);

    /// <summary>Where libtorch came from: its folder.</summary>
    public static string Source => Loaded.Value;

    /// <summary>Loads libtorch if that has not happened yet. Safe from any thread, any number of times.</summary>
    /// <exception cref="ModelLoadException">DEEPSEEKR1_LIBTORCH names a folder without a usable libtorch.</exception>
    public static void Initialize() => _ = Loaded.Value;

    /// <summary>The processor's own memory, where files are read and written.</summary>
    public static torch.Device Host
    {
        get
        {
            Initialize();
            return torch.CPU;
        }
    }

    /// <summary>Number of CUDA devices that the loaded libtorch can use; 0 for a CPU build.</summary>
    public static int CudaDeviceCount
    {
        get
        {
            Initialize();
            return torch.cuda.is_available() ? torch.cuda.device_count() : 0;
        }
    }

    /// <summary>Sets the threads that one operation may use, for the calling thread.</summary>
    public static void SetThreads(int count)
    {
        Initialize();
        torch.set_num_threads(count);
    }

    private static string Load()
    {
        if (OperatingSystem.IsLinux())
        {
            // libgomp's idle workers spin for milliseconds by default, which costs 10 to 90 times on a busy machine.
            // Environment.SetEnvironmentVariable does not reach native code that reads environ, setenv does.
            SetNativeVariable("GOMP_SPINCOUNT", "1000", 0);

            // Blocks over 32 MB would go back to the kernel at every free and be faulted in again at every allocation.
            const int TrimThreshold = -1, MmapThreshold = -3;
            TuneMalloc(MmapThreshold, 1 << 30);
            TuneMalloc(TrimThreshold, 2_000_000_000);
        }

        var chosen = Environment.GetEnvironmentVariable(LibraryVariable);
        if (!OperatingSystem.IsLinux() && !string.IsNullOrEmpty(chosen))
            throw new ModelLoadException($"{LibraryVariable} works on Linux only. Unset it to use the packaged libtorch.");
        var folder = OperatingSystem.IsLinux() ? LibTorchLoader.Load(string.IsNullOrEmpty(chosen) ? null : chosen) : "package";
        torch.InitializeDeviceType(DeviceType.CPU);
        return folder;
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetNativeVariable(string name, string value, int overwrite);

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int TuneMalloc(int parameter, int value);
}
