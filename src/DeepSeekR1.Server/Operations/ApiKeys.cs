using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using DeepSeekR1.Engine;
using Microsoft.Extensions.Logging;

namespace DeepSeekR1.Server.Operations;

/// <summary>
/// The keys of the options and of the key file. Keys are kept and compared as SHA-256 hashes, every one of them in constant time. The
/// file is read again when it changes; a file that cannot be read or is wrong leaves the keys as they are. Safe for many threads.
/// </summary>
/// <remarks>
/// The file has one key per line, then optionally <c>name=</c> (for metrics), <c>rpm=</c> and <c>tpm=</c> (requests and tokens a
/// minute); <c>#</c> begins a comment.
/// </remarks>
internal sealed class ApiKeys
{
    private static readonly TimeSpan CheckInterval = TimeSpan.FromSeconds(1);
    private readonly ServerOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILogger<ApiKeys> _log;
    private readonly Lock _reading = new();
    private volatile IReadOnlyList<(byte[] Hash, Tenant Tenant)> _keys = [];
    private byte[] _fileHash = [];
    private long _checked;

    /// <summary>Reads the keys.</summary>
    /// <exception cref="StartupException">The key file cannot be read, is wrong or has no key.</exception>
    public ApiKeys(ServerOptions options, TimeProvider clock, ILogger<ApiKeys> log)
    {
        (_options, _clock, _log) = (options, clock, log);
        Everybody = new Tenant("all", null, clock).WithLimits(Defaults);
        _checked = clock.GetTimestamp();
        try
        {
            Read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            throw new StartupException($"The key file '{options.ApiKeyFile}' cannot be used: {e.Message}", e);
        }
        if (Required && _keys.Count == 0)
            throw new StartupException($"The key file '{options.ApiKeyFile}' has no key. Write one key per line.");
    }

    /// <summary>True when requests need a key: also when the file has lost its last one.</summary>
    public bool Required => _options.ApiKeys.Count > 0 || _options.ApiKeyFile is not null;

    /// <summary>Who everybody is where no keys are configured.</summary>
    public Tenant Everybody { get; }

    /// <summary>All tenants, for metrics.</summary>
    public IEnumerable<Tenant> Tenants => Required ? _keys.Select(k => k.Tenant) : [Everybody];

    /// <summary>The owner of a key; null when there is none.</summary>
    public Tenant? Find(string key)
    {
        ReadAgain();
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(key));
        Tenant? found = null;
        foreach (var (allowed, tenant) in _keys)
            if (CryptographicOperations.FixedTimeEquals(hash, allowed))
                found = tenant;
        return found;
    }

    private RateLimits Defaults => new(_options.RequestsPerMinute, _options.TokensPerMinute);

    private void ReadAgain()
    {
        if (_options.ApiKeyFile is null || _clock.GetElapsedTime(Volatile.Read(ref _checked)) < CheckInterval || !_reading.TryEnter())
            return;
        try
        {
            Volatile.Write(ref _checked, _clock.GetTimestamp());
            if (Read())
                Log.KeysRead(_log, _keys.Count);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            Log.KeysNotRead(_log, _options.ApiKeyFile, e.Message);
        }
        finally
        {
            _reading.Exit();
        }
    }

    /// <summary>Reads the file; false when it has not changed.</summary>
    private bool Read()
    {
        byte[] content = _options.ApiKeyFile is { } file ? File.ReadAllBytes(file) : [];
        byte[] hash = SHA256.HashData(content);
        if (_fileHash.AsSpan().SequenceEqual(hash))
            return false;
        var keys = _options.ApiKeys.Select(key => Make(key, null, Defaults)).ToList();
        string[] lines = Encoding.UTF8.GetString(content).Split('\n');
        for (int i = 0; i < lines.Length; i++)
            if (Parse(lines[i], i + 1) is { } key)
                keys.Add(key);
        (_keys, _fileHash) = (keys, hash);
        return true;
    }

    private (byte[] Hash, Tenant Tenant)? Parse(string line, int number)
    {
        string[] words = line.Split('#')[0].Split((char[])[' ', '\t', '\r', '\uFEFF'], StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 0)
            return null;
        string? name = null;
        var limits = Defaults;
        foreach (string word in words[1..])
            switch (word.Split('=', 2))
            {
                case ["name", { Length: > 0 } value]:
                    name = value;
                    break;
                case ["rpm", var value]:
                    limits = limits with { RequestsPerMinute = Limit(value, "rpm", number) };
                    break;
                case ["tpm", var value]:
                    limits = limits with { TokensPerMinute = Limit(value, "tpm", number) };
                    break;
                default:
                    throw new FormatException($"line {number} has an unknown word after its key. Write KEY name=NAME rpm=N tpm=N.");
            }
        return Make(words[0], name, limits);
    }

    private static int Limit(string value, string name, int line)
        => int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int limit) && limit > 0
            ? limit
            : throw new FormatException($"{name} in line {line} must be an integer of at least 1, not '{value}'.");

    /// <summary>A key that was known before keeps its counters and balances.</summary>
    private (byte[] Hash, Tenant Tenant) Make(string key, string? name, RateLimits limits)
    {
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(key));
        string id = Convert.ToHexString(hash.AsSpan(0, 8));
        var tenant = _keys.FirstOrDefault(k => k.Hash.AsSpan().SequenceEqual(hash)).Tenant ?? new Tenant("", id, _clock);
        tenant.Name = name ?? "key-" + id[..8].ToLowerInvariant();
        return (hash, tenant.WithLimits(limits));
    }
}
