using System.Diagnostics;
using DeepSeekR1.Engine;
using DeepSeekR1.Text;

namespace DeepSeekR1.Cli;

/// <summary>
/// A conversation: reads lines, answers them, keeps the history. A line that begins with a slash is a command. An answer that is stopped
/// stays in the history as far as it came.
/// </summary>
internal sealed class ChatSession(ChatSource source, ChatSettings settings, ChatView view, TextReader input)
{
    private readonly List<ChatTurn> _history = [];
    private readonly Lock _lock = new();
    private CancellationTokenSource? _answering;
    private bool _failed;

    /// <summary>Ends the answer that is running; false when none is.</summary>
    public bool StopAnswer()
    {
        lock (_lock)
        {
            _answering?.Cancel();
            return _answering is not null;
        }
    }

    /// <summary>Talks until the input ends or /exit; false when a request failed and nobody was there to see it.</summary>
    public async Task<bool> RunAsync()
    {
        Reset();
        view.Greet(source.Name);
        while (true)
        {
            view.Prompt();
            if (await input.ReadLineAsync() is not { } line || line.Trim() is "/exit" or "/quit")
                break;
            if (line.TrimStart().StartsWith('/'))
                Command(line.Trim());
            else if (!string.IsNullOrWhiteSpace(line))
                await AnswerAsync(line);
        }
        return !_failed || view.IsTerminal;
    }

    private void Command(string command)
    {
        switch (command)
        {
            case "/reset":
                Reset();
                view.Note("The conversation begins anew.");
                break;
            case "/help":
                view.Note("/reset  forget the conversation\n/exit   leave (also: end of input, Ctrl-C at the prompt)\n/help   this text\nCtrl-C  stop the answer");
                break;
            default:
                view.Note($"There is no command '{command}'. /help lists them.");
                break;
        }
    }

    private void Reset()
    {
        _history.Clear();
        if (settings.System is { } text)
            _history.Add(new ChatTurn("system", text));
    }

    private async Task AnswerAsync(string question)
    {
        _history.Add(new ChatTurn("user", question));
        using var stop = new CancellationTokenSource();
        lock (_lock)
            _answering = stop;
        var parts = new OutputParts();
        var watch = Stopwatch.StartNew();
        try
        {
            ChatUsage? usage = null;
            await foreach (var piece in source.AnswerAsync(_history, settings, stop.Token))
            {
                foreach (var next in piece.Events)
                {
                    view.Show(next);
                    parts.Append(next);
                }
                usage = piece.Usage ?? usage;
            }
            view.EndAnswer(usage, watch.Elapsed);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            view.EndAnswer(null, watch.Elapsed);
            view.Note("(stopped)");
        }
        catch (Exception e) when (e is InvalidRequestException or CapacityException or ChatSourceException)
        {
            view.EndAnswer(null, watch.Elapsed);
            view.Error(e.Message);
            _failed = true;
        }
        finally
        {
            lock (_lock)
                _answering = null;
        }
        // A question without any answer would stand before the next one: two in a row are refused by many templates.
        if (parts.Answer is { Length: > 0 } answer)
            _history.Add(new ChatTurn("assistant", answer));
        else
            _history.RemoveAt(_history.Count - 1);
    }
}

/// <summary>What the terminal shows. Thoughts are dim on a terminal and between think tags elsewhere.</summary>
internal sealed class ChatView(TextWriter output, bool isTerminal, bool hideThoughts)
{
    private const string Dim = "\u001b[2m", Bold = "\u001b[1m", Red = "\u001b[31m", Plain = "\u001b[0m";
    private bool _inThought, _begun, _lineOpen;

    /// <summary>True when somebody reads along.</summary>
    public bool IsTerminal => isTerminal;

    /// <summary>First lines.</summary>
    public void Greet(string model)
    {
        if (isTerminal)
            output.WriteLine($"{Bold}{Safe(model)}{Plain}  {Dim}/help for commands, Ctrl-C stops an answer{Plain}");
    }

    /// <summary>Asks for a line.</summary>
    public void Prompt()
    {
        if (isTerminal)
            output.Write($"{Bold}> {Plain}");
        output.Flush();
    }

    /// <summary>A piece of thought or answer.</summary>
    public void Show(OutputEvent next)
    {
        if (next is ThoughtText { IsMark: false } thought && !hideThoughts)
        {
            if (!_inThought)
                output.Write(isTerminal ? Dim : Dialect.R1.Opening);
            _inThought = true;
            Write(_begun ? thought.Text : thought.Text.TrimStart('\n'));
        }
        if (next is not AnswerText answer)
            return;
        if (_inThought)
            CloseThought();
        Write(_begun ? answer.Text : answer.Text.TrimStart('\n'));
    }

    /// <summary>The answer has ended, or was stopped.</summary>
    public void EndAnswer(ChatUsage? usage, TimeSpan time)
    {
        if (_inThought)
            CloseThought();
        if (_lineOpen)
            output.WriteLine();
        if (isTerminal && usage is { } u)
            output.WriteLine(string.Create(System.Globalization.CultureInfo.InvariantCulture,
                $"{Dim}{u.Reasoning} thought + {u.Completion - u.Reasoning} answer tokens, {u.Completion / Math.Max(0.001, time.TotalSeconds):F1} tokens/s{Plain}"));
        _begun = _lineOpen = false;
        output.Flush();
    }

    /// <summary>A line of the program's own.</summary>
    public void Note(string text) => output.WriteLine(isTerminal ? $"{Dim}{Safe(text)}{Plain}" : Safe(text));

    /// <summary>Something went wrong.</summary>
    public void Error(string text)
    {
        if (isTerminal)
            output.WriteLine($"{Red}{Safe(text)}{Plain}");
        else
            Console.Error.WriteLine("deepseek-r1: " + Safe(text).ReplaceLineEndings(" "));
    }

    private void CloseThought()
    {
        if (_lineOpen)
            output.WriteLine();
        output.Write(isTerminal ? Plain + "\n" : Dialect.ThinkClose + "\n\n");
        (_inThought, _begun, _lineOpen) = (false, false, false);
    }

    private void Write(string text)
    {
        if (text.Length == 0)
            return;
        output.Write(Safe(text));
        output.Flush();
        (_begun, _lineOpen) = (true, text[^1] != '\n');
    }

    /// <summary>Without control characters: what a model writes must not move the cursor or rename the window.</summary>
    private static string Safe(string text) => text.Any(c => char.IsControl(c) && c is not ('\n' or '\t'))
        ? string.Concat(text.Where(c => !char.IsControl(c) || c is '\n' or '\t'))
        : text;
}
