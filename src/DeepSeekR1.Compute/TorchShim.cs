using System.Runtime.InteropServices;
using System.Text;
using static TorchSharp.torch;

namespace DeepSeekR1.Compute;

/// <summary>
/// libtorch's C interface (the stable shim that libtorch_cpu exports): any operator by name, tensors over foreign memory,
/// libtorch's own thread pool. Everything here runs on the calling thread.
/// </summary>
public static unsafe class TorchShim
{
    private const string Library = "torch_cpu";

    private static readonly ulong AbiVersion = ReadAbiVersion();

    [DllImport(Library)] private static extern ulong aoti_torch_abi_version();
    [DllImport(Library)] private static extern int torch_call_dispatcher(byte* op, byte* overload, ulong* stack, ulong abiVersion);
    [DllImport(Library)] private static extern int aoti_torch_new_tensor_handle(IntPtr tensor, out IntPtr fresh);
    [DllImport(Library)] private static extern int aoti_torch_get_data_ptr(IntPtr tensor, out IntPtr data);
    [DllImport(Library)] private static extern int aoti_torch_view_dtype(IntPtr tensor, int dtype, out IntPtr result);
    [DllImport(Library)]
    private static extern int aoti_torch_create_tensor_from_blob(
        void* data, long dimensions, long* sizes, long* strides, long storageOffset, int dtype, int deviceType, int deviceIndex, out IntPtr result);
    [DllImport(Library)]
    private static extern int aoti_torch_cpu__linear_pointwise(
        IntPtr x, IntPtr weight, IntPtr* bias, byte* activation, double** scalars, long scalarCount, byte** algorithm, out IntPtr result);
    [DllImport(Library)] private static extern int torch_parallel_for(long begin, long end, long grain, delegate* unmanaged[Cdecl]<long, long, void*, void> body, void* context);

    private static ulong ReadAbiVersion()
    {
        TorchRuntime.Initialize();
        return aoti_torch_abi_version();
    }

    /// <summary>Address of the first element. The tensor must be on the CPU and stay alive while the address is used.</summary>
    public static void* Data(Tensor tensor)
    {
        Check(aoti_torch_get_data_ptr(tensor.Handle, out var data), "get_data_ptr");
        return (void*)data;
    }

    /// <summary>
    /// A contiguous CPU tensor over foreign memory, without a copy. The memory must outlive the tensor and is never written by us.
    /// Any alignment will do.
    /// </summary>
    public static Tensor FromMemory(void* data, ReadOnlySpan<long> shape, DType type)
    {
        Span<long> strides = stackalloc long[shape.Length];
        long step = 1;
        for (int i = shape.Length - 1; i >= 0; i--)
        {
            strides[i] = step;
            step *= shape[i];
        }

        return FromMemory(data, shape, strides, type);
    }

    /// <summary>A strided CPU tensor over foreign memory, without a copy; strides in elements.</summary>
    public static Tensor FromMemory(void* data, ReadOnlySpan<long> shape, ReadOnlySpan<long> strides, DType type)
    {
        TorchRuntime.Initialize();
        fixed (long* sizesPointer = shape)
        fixed (long* stridesPointer = strides)
        {
            long none = 0;
            Check(
                aoti_torch_create_tensor_from_blob(
                    data, shape.Length, sizesPointer == null ? &none : sizesPointer, stridesPointer == null ? &none : stridesPointer,
                    0, (int)type.ToScalarType(), 0, -1, out var handle),
                "create_tensor_from_blob");
            return Tensor.UnsafeCreateTensor(handle);
        }
    }

    /// <summary>The same bytes as another element type (last dimension scaled by the size ratio). A view.</summary>
    public static Tensor ViewAs(Tensor tensor, DType type)
    {
        Check(aoti_torch_view_dtype(tensor.Handle, (int)type.ToScalarType(), out var handle), "view_dtype");
        return Tensor.UnsafeCreateTensor(handle);
    }

    /// <summary>
    /// Lays a dense CPU weight [N, K] out for <see cref="PackedLinear"/>. The result is opaque: it cannot be sliced or joined.
    /// </summary>
    /// <param name="weight">float32 or bfloat16.</param>
    /// <param name="rows">Rows of x that the layout is chosen for; any number of rows works with every layout.</param>
    public static Tensor PackLinear(Tensor weight, int rows)
    {
        ulong* stack = stackalloc ulong[8];
        stack[0] = Handle(weight);
        stack[1] = Some((ulong)rows);
        return Call("mkldnn::_reorder_linear_weight"u8, stack);
    }

    /// <summary>Bytes of a weight that <see cref="PackLinear"/> laid out.</summary>
    public static long PackedBytes(Tensor packed)
    {
        ulong* stack = stackalloc ulong[8];
        stack[0] = Handle(packed);
        Dispatch("mkldnn::_nbytes"u8, stack);
        return (long)stack[0];
    }

    /// <summary>x [M, K] times a packed weight, plus bias: [M, N] in x's type.</summary>
    /// <remarks>
    /// The direct entry point borrows its arguments. By name the same operator takes a text and a list whose handles nobody frees: 40 to 85 bytes a call,
    /// which is why operators that take either are not called by name here.
    /// </remarks>
    public static Tensor PackedLinear(Tensor x, Tensor packed, Tensor? bias)
    {
        IntPtr biasHandle = bias?.Handle ?? IntPtr.Zero, result;
        fixed (byte* none = "none\0"u8)
            Check(
                aoti_torch_cpu__linear_pointwise(x.Handle, packed.Handle, bias is null ? null : &biasHandle, none, null, 0, null, out result),
                "linear_pointwise");
        GC.KeepAlive(x);
        GC.KeepAlive(packed);
        GC.KeepAlive(bias);
        return Tensor.UnsafeCreateTensor(result);
    }

    /// <summary>Runs body over [begin, end) on libtorch's threads, at least <paramref name="grain"/> items a piece.</summary>
    /// <param name="begin">First item.</param>
    /// <param name="end">One past the last item.</param>
    /// <param name="grain">Smallest piece.</param>
    /// <param name="body">Called with a sub-range, on several threads at once. Must not throw.</param>
    public static void ParallelFor(long begin, long end, long grain, Action<long, long> body)
    {
        if (end <= begin)
            return;
        if (end - begin <= grain || get_num_threads() == 1)
        {
            body(begin, end);
            return;
        }

        var handle = GCHandle.Alloc(body);
        try
        {
            Check(torch_parallel_for(begin, end, grain, &Invoke, (void*)GCHandle.ToIntPtr(handle)), "parallel_for");
        }
        finally
        {
            handle.Free();
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(System.Runtime.CompilerServices.CallConvCdecl)])]
    private static void Invoke(long begin, long end, void* context)
        => ((Action<long, long>)GCHandle.FromIntPtr((IntPtr)context).Target!)(begin, end);

    private static ulong Handle(Tensor tensor)
    {
        // The callee consumes the handle it is given, so it gets one of its own.
        Check(aoti_torch_new_tensor_handle(tensor.Handle, out var fresh), "new_tensor_handle");
        return (ulong)fresh;
    }

    private static ulong Some(ulong value)
    {
        // Optional arguments travel as a pointer to a malloc'ed cell, which the callee frees.
        var cell = (ulong*)NativeMemory.Alloc(sizeof(ulong));
        *cell = value;
        return (ulong)cell;
    }

    private static Tensor Call(ReadOnlySpan<byte> op, ulong* stack)
    {
        Dispatch(op, stack);
        return Tensor.UnsafeCreateTensor((IntPtr)stack[0]);
    }

    private static void Dispatch(ReadOnlySpan<byte> op, ulong* stack)
    {
        byte none = 0;
        fixed (byte* name = op)
            if (torch_call_dispatcher(name, &none, stack, AbiVersion) != 0)
                throw new InvalidOperationException($"libtorch refused {Encoding.ASCII.GetString(op)}; its message is on stderr.");
    }

    private static void Check(int status, string operation)
    {
        if (status != 0)
            throw new InvalidOperationException($"libtorch's {operation} failed; its message is on stderr.");
    }
}
