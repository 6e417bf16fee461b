using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace DeepSeekR1.Server.Operations;

/// <summary>
/// Tells systemd how far the service is (sd_notify): ready when the model is loaded and not when the port is open, more time while it
/// loads or drains, and what it is doing. Silent where no service manager asks.
/// </summary>
/// <param name="socketPath">Value of NOTIFY_SOCKET: a path, or a name of the abstract namespace after an @.</param>
internal sealed class ServiceNotifier(string? socketPath)
{
    /// <summary>Time that systemd is asked for with every sign of progress.</summary>
    private static readonly TimeSpan Extension = TimeSpan.FromSeconds(60);

    /// <summary>The model is loading.</summary>
    public void Loading(string phase, double fraction) => Send(string.Create(CultureInfo.InvariantCulture,
        $"STATUS=Loading: {phase}, {100 * fraction:F0} %\nEXTEND_TIMEOUT_USEC={Extension.TotalMicroseconds:F0}"));

    /// <summary>Requests are answered.</summary>
    public void Ready(string model) => Send($"READY=1\nSTATUS=Serving {model}");

    /// <summary>Running requests finish.</summary>
    public void Stopping(TimeSpan limit) => Send(string.Create(CultureInfo.InvariantCulture,
        $"STOPPING=1\nSTATUS=Running requests finish\nEXTEND_TIMEOUT_USEC={(limit + Extension).TotalMicroseconds:F0}"));

    private void Send(string state)
    {
        if (string.IsNullOrEmpty(socketPath))
            return;
        try
        {
            // Never waits: news that nobody takes is not worth a second of loading.
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { Blocking = false };
            string address = socketPath[0] == '@' ? "\0" + socketPath[1..] : socketPath;
            socket.Connect(new UnixDomainSocketEndPoint(address));
            socket.Send(Encoding.UTF8.GetBytes(state));
        }
        catch (SocketException)
        {
            // A service manager that does not listen must not stop the service.
        }
    }
}
