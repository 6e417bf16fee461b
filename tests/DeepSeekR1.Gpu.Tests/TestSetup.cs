using System.Runtime.CompilerServices;
using DeepSeekR1.Compute;

namespace DeepSeekR1.Gpu.Tests;

/// <summary>Before any test touches libtorch: one thread per operation on the host.</summary>
internal static class TestSetup
{
    [ModuleInitializer]
    public static void Initialize() => TorchRuntime.SetThreads(1);
}
