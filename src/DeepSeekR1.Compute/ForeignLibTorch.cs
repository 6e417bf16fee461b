using System.Reflection;
using System.Runtime.InteropServices;
using TorchSharp;

namespace DeepSeekR1.Compute;

/// <summary>
/// Makes TorchSharp run on a libtorch outside the package, of the version that it was built for. LibTorchSharp needs libtorch
/// by name, and the loader satisfies a need with a library of that name that is already in the process: so the foreign
/// libraries are loaded first, and TorchSharp's own search, which would load the packaged ones beside them, is switched off.
/// </summary>
internal static class ForeignLibTorch
{
    private const string Bridge = "LibTorchSharp";
    private static readonly string[] Required = ["libc10.so", "libtorch_cpu.so", "libtorch.so"];
    private static readonly string[] InOrder = ["libc10.so", "libtorch_cpu.so", "libc10_cuda.so", "libtorch_cuda.so", "libtorch.so"];

    /// <summary>Loads the folder's libraries and points every later look-up at them.</summary>
    /// <exception cref="ModelLoadException">The folder has no libtorch, or one that does not load.</exception>
    public static void Use(string folder)
    {
        if (!OperatingSystem.IsLinux())
            throw new ModelLoadException($"{TorchRuntime.LibraryVariable} works on Linux only. Unset it to use the packaged libtorch.");
        foreach (var name in Required)
            if (!File.Exists(Path.Combine(folder, name)))
                throw new ModelLoadException(
                    $"{TorchRuntime.LibraryVariable}='{folder}' has no {name}. Name the folder that holds libtorch_cpu.so, for example "
                    + "torch/lib of a Python install, or unset the variable to use the packaged libtorch.");
        var handles = new Dictionary<string, IntPtr>();
        foreach (var name in InOrder.Where(name => File.Exists(Path.Combine(folder, name))))
            handles[name] = LoadFile(Path.Combine(folder, name));
        handles[$"lib{Bridge}.so"] = LoadFile(Path.Combine(AppContext.BaseDirectory, $"lib{Bridge}.so"));

        IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? search)
            => handles.TryGetValue($"lib{name}.so", out var handle) ? handle : IntPtr.Zero;

        NativeLibrary.SetDllImportResolver(typeof(TorchShim).Assembly, Resolve);
        NativeLibrary.SetDllImportResolver(typeof(torch).Assembly, Resolve);
        MarkAsLoaded();
    }

    private static IntPtr LoadFile(string path)
    {
        try
        {
            return NativeLibrary.Load(path);
        }
        catch (DllNotFoundException e)
        {
            throw new ModelLoadException(
                $"{TorchRuntime.LibraryVariable}: '{path}' does not load. It must be libtorch 2.10 for this processor. {e.Message}", e);
        }
    }

    /// <summary>TorchSharp has no public way to say that its natives are loaded; the version is pinned, so the fields are known.</summary>
    private static void MarkAsLoaded()
    {
        foreach (var name in (ReadOnlySpan<string>)["nativeBackendLoaded", "nativeBackendCudaLoaded"])
        {
            var field = typeof(torch).GetField(name, BindingFlags.Static | BindingFlags.NonPublic)
                ?? throw new ModelLoadException($"{TorchRuntime.LibraryVariable} cannot be honoured by this version of TorchSharp (no field {name}). Unset it.");
            field.SetValue(null, true);
        }
    }
}
