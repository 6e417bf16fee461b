using System.Collections.Concurrent;
using DeepSeekR1.Compute;

namespace DeepSeekR1.Training;

/// <summary>A thread for tensors: grad mode and dispose scopes are per thread, so awaiting code hands its tensor work over.</summary>
public sealed class TrainerThread : IDisposable
{
    private readonly BlockingCollection<Action> _work = [];
    private readonly Thread _thread;

    /// <summary>Starts the thread.</summary>
    /// <param name="threads">Threads of one operation.</param>
    public TrainerThread(int threads)
    {
        _thread = new Thread(() =>
        {
            TorchRuntime.SetThreads(threads);
            foreach (var action in _work.GetConsumingEnumerable())
                action();
        })
        { IsBackground = true, Name = "trainer" };
        _thread.Start();
    }

    /// <summary>Does something there.</summary>
    public Task<T> DoAsync<T>(Func<T> work)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _work.Add(() =>
        {
            try
            {
                done.SetResult(work());
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        return done.Task;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _work.CompleteAdding();
        _thread.Join();
        _work.Dispose();
    }
}
