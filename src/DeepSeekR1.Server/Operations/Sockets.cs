using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace DeepSeekR1.Server.Operations;

/// <summary>
/// Limits of connections, each set on purpose. Options of the listening socket are inherited by accepted ones, so that peers that vanish
/// without a word (power cut, lost route) are noticed although nobody sends anything.
/// </summary>
internal static class Sockets
{
    /// <summary>Bytes that the kernel holds per connection for a client that does not read (it doubles them itself).</summary>
    private const int SendBufferBytes = 256 << 10;

    /// <summary>TCP_USER_TIMEOUT of Linux: milliseconds that sent data may stay unacknowledged.</summary>
    private const int TcpUserTimeout = 18;

    /// <summary>Seconds of silence before a peer is asked whether it lives, seconds between questions, questions without an answer.</summary>
    private const int KeepAliveSeconds = 30, KeepAliveInterval = 10, KeepAliveCount = 3;

    /// <summary>The kernel also gives up peers that only do not read; we cut those first and say why.</summary>
    private static readonly TimeSpan KernelExtra = TimeSpan.FromSeconds(10);

    /// <summary>A bound socket whose connections notice that their peer is gone.</summary>
    public static Socket Listen(EndPoint endpoint, TimeSpan clientTimeout)
    {
        var socket = SocketTransportOptions.CreateDefaultBoundListenSocket(endpoint);
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, KeepAliveSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, KeepAliveInterval);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, KeepAliveCount);
        socket.SendBufferSize = SendBufferBytes;
        if (OperatingSystem.IsLinux())
        {
            Span<byte> milliseconds = stackalloc byte[4];
            BinaryPrimitives.WriteInt32LittleEndian(milliseconds, (int)Math.Min(int.MaxValue, (clientTimeout + KernelExtra).TotalMilliseconds));
            socket.SetRawSocketOption((int)SocketOptionLevel.Tcp, TcpUserTimeout, milliseconds);
        }
        return socket;
    }

    /// <summary>Kestrel's limits.</summary>
    public static void Limit(KestrelServerLimits limits, ServerOptions options)
    {
        // Admission is the queue's business (429 with Retry-After); a connection more costs little and must be told so.
        limits.MaxConcurrentConnections = null;
        limits.MaxRequestBodySize = options.MaxRequestBodyBytes;
        limits.MaxRequestBufferSize = 1 << 20;
        limits.MaxResponseBufferSize = 64 << 10;
        limits.MaxRequestHeadersTotalSize = 32 << 10;
        limits.MaxRequestHeaderCount = 100;
        limits.MaxRequestLineSize = 8 << 10;

        // Longer than proxies keep theirs, so that it is not us who close a connection in the moment of a new request.
        limits.KeepAliveTimeout = TimeSpan.FromSeconds(options.KeepAliveTimeoutSeconds);
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(15);
        limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));

        // Only against trickling; who takes nothing is cut earlier, after the client timeout (see ClientPatience).
        limits.MinResponseDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: options.ClientTimeout + TimeSpan.FromSeconds(5));
    }
}
