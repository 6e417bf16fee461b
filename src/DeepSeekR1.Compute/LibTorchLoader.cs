using System.Reflection;
using System.Runtime.InteropServices;

namespace DeepSeekR1.Compute;

/// <summary>
/// Loads one libtorch into the process before TorchSharp looks for it: the packaged one, from the folder <c>libtorch</c> beside
/// the program, or another of the same version. LibTorchSharp and every import ask for its libraries by name, and the system's
/// loader answers with those that are in the process already. Linux only; elsewhere TorchSharp finds its package by itself.
/// </summary>
internal static class LibTorchLoader
{
    private const string Packaged = "libtorch";
    private static readonly string[] Required = ["libc10.so", "libtorch_cpu.so", "libtorch.so"];
    private static readonly string[] InOrder = ["libc10.so", "libtorch_cpu.so", "libc10_cuda.so", "libtorch_cuda.so", "libtorch.so"];

    /// <summary>Loads the libraries of a folder, or the packaged ones. Returns the folder.</summary>
    /// <exception cref="ModelLoadException">The folder has no libtorch, or one that does not load.</exception>
    public static string Load(string? chosen)
    {
        var folder = chosen ?? Path.Combine(AppContext.BaseDirectory, Packaged);
        foreach (var name in Required)
            if (!File.Exists(Path.Combine(folder, name)))
                throw new ModelLoadException(chosen is null
                    ? $"The program is incomplete: '{folder}' has no {name}. Build or publish it again, or name a libtorch with {TorchRuntime.LibraryVariable}."
                    : $"{TorchRuntime.LibraryVariable}='{folder}' has no {name}. Name the folder that holds libtorch_cpu.so, for example torch/lib of a "
                        + "Python install, or unset the variable to use the packaged libtorch.");
        var handles = InOrder.Where(name => File.Exists(Path.Combine(folder, name))).ToDictionary(name => name, name => LoadFile(Path.Combine(folder, name)));
        IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? search)
            => handles.TryGetValue($"lib{name}.so", out var handle) ? handle : IntPtr.Zero;

        NativeLibrary.SetDllImportResolver(typeof(TorchShim).Assembly, Resolve);
        return folder;
    }

    private static IntPtr LoadFile(string path)
    {
        try
        {
            return NativeLibrary.Load(path);
        }
        catch (DllNotFoundException e)
        {
            throw new ModelLoadException($"'{path}' does not load. It must be libtorch 2.10 for this processor and system. {e.Message}", e);
        }
    }
}
