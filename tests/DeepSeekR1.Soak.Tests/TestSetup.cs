using System.Runtime.CompilerServices;
using DeepSeekR1.Compute;

namespace DeepSeekR1.Soak.Tests;

/// <summary>Before any test touches libtorch: no spinning threads, one thread per operation.</summary>
internal static class TestSetup
{
    [ModuleInitializer]
    public static void Initialize() => TorchRuntime.SetThreads(1);
}
