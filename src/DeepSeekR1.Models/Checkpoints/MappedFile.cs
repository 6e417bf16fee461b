using System.IO.MemoryMappedFiles;
using DeepSeekR1.Compute;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>A file mapped read-only into memory. Addresses are valid until <see cref="Dispose"/>; any thread may read.</summary>
public sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile? _file;
    private readonly MemoryMappedViewAccessor? _view;
    private readonly byte* _data;

    /// <summary>Maps a file.</summary>
    /// <exception cref="ModelLoadException">It is missing, a folder, or not readable.</exception>
    public MappedFile(string path)
    {
        Path = path;
        try
        {
            // The length of what is opened: the path may be a link, as in the hub's cache.
            var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            Length = stream.Length;
            if (Length == 0)
            {
                stream.Dispose();
                return;
            }

            _file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
            _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _data);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelLoadException($"'{path}' cannot be opened: {e.Message}", e);
        }
    }

    /// <summary>Path of the file.</summary>
    public string Path { get; }

    /// <summary>Size in bytes.</summary>
    public long Length { get; }

    /// <summary>Address of a byte; the caller has checked that offset and length lie inside the file.</summary>
    public byte* At(long offset) => _data + offset;

    /// <summary>A run of bytes, at most 2 GB.</summary>
    public ReadOnlySpan<byte> Span(long offset, int length) => new(_data + offset, length);

    /// <inheritdoc/>
    public void Dispose()
    {
        _view?.SafeMemoryMappedViewHandle.ReleasePointer();
        _view?.Dispose();
        _file?.Dispose();
    }
}
