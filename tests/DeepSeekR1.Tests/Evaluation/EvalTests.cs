using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using DeepSeekR1.Evaluation;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Tests.Evaluation;

/// <summary>Tasks, statistics, resuming and reports, with models that answer by rule.</summary>
public sealed class EvalTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("eval-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(10, 3, 1, 0.3)]
    [InlineData(10, 3, 5, 0.9166666666666667)]
    [InlineData(5, 0, 5, 0)]
    [InlineData(200, 1, 100, 0.5)]
    [InlineData(5, 5, 5, 1)]
    [InlineData(5, 1, 5, 1)]
    public void PassAtK_IsUnbiased(int n, int c, int k, double expected) => Assert.Equal(expected, EvalStatistics.PassAtK(n, c, k), 1e-12);

    [Theory]
    [InlineData(4, 1, 5)]
    [InlineData(4, 1, 0)]
    [InlineData(4, 5, 1)]
    public void PassAtK_TooFewSamples_IsRefused(int n, int c, int k) => Assert.Throws<ArgumentException>(() => EvalStatistics.PassAtK(n, c, k));

    [Theory]
    [InlineData("0.5,\\frac{1}{2},3,4", "1/2", 1.0)]
    [InlineData("3,3.0,1/2", "1/2", 0.0)]
    [InlineData("3,1/2", "1/2", 0.5)]
    [InlineData("3,1/2,4", "1/2", 0.3333333333333333)]
    [InlineData("-,-,-,1/2", "1/2", 1.0)]
    [InlineData("-,-", "1/2", 0.0)]
    public void Consensus_CountsEquivalentAnswers(string answers, string gold, double expected)
        => Assert.Equal(expected, EvalStatistics.Consensus([.. answers.Split(',').Select((a, i) => Sample("1", i, a == "-" ? null : a, gold))]), 1e-12);

    [Fact]
    public void Score_SeveralSamples_ErrorIsOverProblems()
    {
        EvalSample[] samples = [Sample("a", 0, "1", "1"), Sample("a", 1, "1", "1"), Sample("b", 0, "1", "1"), Sample("b", 1, "2", "1"),
            Sample("c", 0, null, "1"), Sample("c", 1, "2", "1")];
        var score = EvalStatistics.Score(samples);
        Assert.Equal(0.5, score.PassAt1, 1e-12);
        Assert.Equal(Math.Sqrt(0.25 / 3), score.StandardError!.Value, 1e-12);
        Assert.Equal(2 / 3.0, score.PassAtK[2], 1e-12);
        Assert.Equal(0.5, score.Consensus, 1e-12);
        Assert.Equal(1 / 6.0, score.Unparsed, 1e-12);
        Assert.Null(EvalStatistics.Score(samples[..2]).StandardError);
    }

    [GoldenTheory]
    [InlineData("gsm8k", 1319)]
    [InlineData("math500", 500)]
    public void Load_PublishedSets_EveryGoldAnswerIsRight(string name, int count)
    {
        var task = EvalTask.Load(name, Path.Combine(Goldens.Root, "..", "data"));
        Assert.Equal(count, task.Problems.Count);
        var misses = task.Problems.Where(p => task.Extract($"<think>\nx\n</think>\n\nSo $\\boxed{{{p.Gold}}}$.") is not { } found
            || !DeepSeekR1.Evaluation.Grading.MathGrader.IsEquivalent(p.Gold, found, DeepSeekR1.Evaluation.Grading.GraderProfile.Strict)).Select(p => p.Id);
        Assert.Empty(misses);
        Assert.Contains("boxed", task.Problems[0].Prompt);
    }

    [Fact]
    public void Load_WhatIsNoTask_SaysWhatIsWrong()
    {
        Assert.Contains("--data", Assert.Throws<EvalException>(() => EvalTask.Load("gsm8k", null)).Message);
        Assert.Contains("test.jsonl", Assert.Throws<EvalException>(() => EvalTask.Load("gsm8k", _folder)).Message);
        Assert.Contains("line 2", Assert.Throws<EvalException>(() => EvalTask.Load(Data("{\"prompt\":\"1\",\"answer\":\"1\"}\n[]\n"), null)).Message);
        Assert.Contains("twice", Assert.Throws<EvalException>(() => EvalTask.Load(Data("{\"id\":\"a\",\"prompt\":\"1\",\"answer\":\"1\"}\n{\"id\":\"a\",\"prompt\":\"1\",\"answer\":\"1\"}\n"), null)).Message);
        Assert.Contains("no answer", Assert.Throws<EvalException>(() => EvalTask.Load(Data("{\"prompt\":\"1\"}"), null)).Message);
    }

    [Theory]
    [InlineData("""{"id":"r","prompt":"1","answer":"  "}""", "answer is \"  \"")]
    [InlineData("""{"id":"r","prompt":"1","answer":"","solution":"\\boxed{1}"}""", "answer is \"\"")]
    [InlineData("""{"id":"r","prompt":"1","answer":[1]}""", "answer is [1]; it must be a text that is not empty, or a number.")]
    [InlineData("""{"id":"r","prompt":"1","gold":{"a":1}}""", "gold is {\"a\":1}")]
    [InlineData("""{"id":"r","prompt":["1"],"answer":"1"}""", "prompt is [\"1\"]; it must be a text that is not empty.")]
    [InlineData("""{"id":"r","question":" ","answer":"1"}""", "question is \" \"")]
    [InlineData("""{"id":"r","question":"1","answer":"1 + 1 = 2\n#### "}""", "has no answer")]
    [InlineData("""{"id":"r","problem":"1","solution":"\\boxed{}"}""", "has no answer")]
    public void Load_RowWithoutQuestionOrAnswer_NamesFileRowAndNextStep(string row, string message)
    {
        string file = Data("{\"prompt\":\"1\",\"answer\":1}\n" + row);
        var error = Assert.Throws<EvalException>(() => EvalTask.Load(file, null));
        Assert.StartsWith($"'{file}' row 'r'", error.Message);
        Assert.Contains(message, error.Message);
        Assert.Matches("Correct the row, or remove it.$|give the column answer", error.Message);
    }

    [Fact]
    public void Load_FileWithByteOrderMark_IsReadLikeOneWithout()
    {
        File.WriteAllText(Data(""), "{\"id\":\"a\",\"prompt\":\"1+1\",\"answer\":2}\n", new UTF8Encoding(encoderShouldEmitUTF8Identifier: true));
        var problem = Assert.Single(EvalTask.Load(Path.Combine(_folder, "data.jsonl"), null).Problems);
        Assert.Equal(("a", "1+1", "2"), (problem.Id, problem.Prompt, problem.Gold));
    }

    [Fact]
    public async Task Run_ArithmeticFile_ReportsByCategory()
    {
        var task = EvalTask.Load(Arithmetic(), null);
        var report = await new EvalRunner(task, new Calculator(), new EvalSettings { Model = "calculator", Samples = 3 }).RunAsync(Samples);
        Assert.Equal(0.5, report.Score.PassAt1);
        Assert.Equal(1, report.Categories["add"].PassAt1);
        Assert.Equal(0, report.Categories["sub"].PassAt1);
        Assert.Equal(3, report.Score.Samples);
        Assert.Contains("| add | 5 | 3 | 100.0 |", report.ToMarkdown());
        string file = Path.Combine(_folder, "report.json");
        await File.WriteAllTextAsync(file, report.ToJson());
        Assert.Equal(report.ToJson(), EvalReport.Read(file).ToJson());
    }

    /// <summary>A run that was killed in the middle of a line goes on, asks only what is missing, and ends with the same report.</summary>
    [Fact]
    public async Task Run_AfterAKill_AsksOnlyWhatIsMissing()
    {
        var task = EvalTask.Load(Arithmetic(), null);
        var settings = new EvalSettings { Model = "calculator", Samples = 2, Concurrency = 3 };
        using var kill = new CancellationTokenSource();
        var first = new Calculator { StopAfter = 7, Stop = kill };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => new EvalRunner(task, first, settings).RunAsync(Samples, cancellation: kill.Token));
        int kept = File.ReadAllLines(Samples).Length - 1;
        Assert.InRange(kept, 1, 19);
        await File.AppendAllTextAsync(Samples, "{\"id\": \"half");

        var second = new Calculator();
        var report = await new EvalRunner(task, second, settings).RunAsync(Samples);
        Assert.Equal(20 - kept, second.Calls);
        Assert.Equal(kept, report.Resumed);
        Assert.Equal(0.5, report.Score.PassAt1);

        var whole = await new EvalRunner(task, new Calculator(), settings).RunAsync(Path.Combine(_folder, "whole.jsonl"));
        Assert.Equal(File.ReadAllLines(Path.Combine(_folder, "whole.jsonl")).Order(), File.ReadAllLines(Samples).Order());
        Assert.Equal(whole.Score.PassAt1, report.Score.PassAt1);
    }

    [Fact]
    public async Task Run_OtherSettings_DoNotMix()
    {
        var task = EvalTask.Load(Arithmetic(), null);
        await new EvalRunner(task, new Calculator(), new EvalSettings { Model = "calculator" }).RunAsync(Samples);
        var other = new EvalRunner(task, new Calculator(), new EvalSettings { Model = "calculator", Seed = 1 });
        Assert.Contains("--output", (await Assert.ThrowsAsync<EvalException>(() => other.RunAsync(Samples))).Message);
    }

    [Fact]
    public async Task HttpModel_ThoughtsAndRetries()
    {
        var handler = new Handler(
            (HttpStatusCode.TooManyRequests, "{}"),
            (HttpStatusCode.OK, """{"choices":[{"message":{"content":"\\boxed{3}","reasoning_content":"1+2"},"finish_reason":"stop"}],"usage":{"completion_tokens":9}}"""),
            (HttpStatusCode.OK, """{"choices":[{"message":{"content":null,"reasoning":"\\boxed{3} is"},"finish_reason":"length"}],"usage":null}"""),
            (HttpStatusCode.BadRequest, """{"error":{"message":"no"}}"""));
        using var client = new HttpClient(handler);
        var model = new HttpModel(client, new Uri("http://server/v1/"), "m", "key");
        var answer = await model.AnswerAsync("1+2?", new EvalSampling { MaxTokens = 5 }, 7, default);
        Assert.Equal(new EvalAnswer("<think>\n1+2\n</think>\n\n\\boxed{3}", 9, false), answer);
        var cut = await model.AnswerAsync("1+2?", new EvalSampling(), 7, default);
        Assert.True(cut.Truncated);
        Assert.Null(EvalTask.Load(Arithmetic(), null).Extract(cut.Response));
        Assert.Contains("400", (await Assert.ThrowsAsync<EvalException>(() => model.AnswerAsync("1+2?", new EvalSampling(), 7, default))).Message);
        using var body = JsonDocument.Parse(handler.Bodies[0]);
        Assert.Equal(5, body.RootElement.GetProperty("max_tokens").GetInt32());
        Assert.Equal("http://server/v1/chat/completions", handler.Address);

        // A server that is gone: nothing is lost, and the message says how to go on.
        using var nobody = new HttpClient();
        var gone = new HttpModel(nobody, new Uri("http://127.0.0.1:1/v1"), null, null);
        Assert.Contains("the same command asks only what is missing", (await Assert.ThrowsAsync<EvalException>(() => gone.AnswerAsync("1+2?", new EvalSampling(), 7, default))).Message);
    }

    /// <summary>The first connection is closed without a word, the second in the middle of the body; the third gets its answer.</summary>
    [Fact]
    public async Task HttpModel_ConnectionsThatAreLost_AreTriedAgain()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        string body = """{"choices":[{"message":{"content":"\\boxed{3}"},"finish_reason":"stop"}]}""";
        string[] replies = ["", $"HTTP/1.1 200 OK\r\nContent-Length: {body.Length}\r\n\r\n{body[..9]}", $"HTTP/1.1 200 OK\r\nContent-Length: {body.Length}\r\n\r\n{body}"];
        var serving = Task.Run(async () =>
        {
            foreach (string reply in replies)
            {
                using var connection = await listener.AcceptTcpClientAsync();
                await using var stream = connection.GetStream();
                _ = await stream.ReadAsync(new byte[1 << 16]);
                await stream.WriteAsync(Encoding.ASCII.GetBytes(reply));
            }
        });
        using var client = new HttpClient();
        var model = new HttpModel(client, new Uri($"http://{listener.LocalEndpoint}/v1"), null, null);
        Assert.Equal("\\boxed{3}", (await model.AnswerAsync("1+2?", new EvalSampling(), 7, default)).Response);
        await serving;
    }

    private string Samples => Path.Combine(_folder, "out", "samples.jsonl");

    private string Data(string text)
    {
        string file = Path.Combine(_folder, "data.jsonl");
        File.WriteAllText(file, text);
        return file;
    }

    private string Arithmetic()
    {
        var text = new StringBuilder();
        for (int i = 0; i < 10; i++)
            text.Append($$"""{"id":"p{{i}}","prompt":"{{i}}{{(i % 2 == 0 ? "+" : "-")}}7=","answer":"{{(i % 2 == 0 ? i + 7 : i - 7)}}","category":"{{(i % 2 == 0 ? "add" : "sub")}}"}""").Append('\n');
        return Data(text.ToString());
    }

    private static EvalSample Sample(string id, int sample, string? answer, string gold) => new()
    {
        Id = id,
        Sample = sample,
        Response = "",
        Answer = answer,
        Gold = gold,
        Correct = answer is not null && DeepSeekR1.Evaluation.Grading.MathGrader.IsEquivalent(gold, answer, DeepSeekR1.Evaluation.Grading.GraderProfile.Lenient),
        Tokens = 1,
        Truncated = false,
    };

    /// <summary>Adds also where it should subtract.</summary>
    private sealed class Calculator : IEvalModel
    {
        private int _calls;

        public int Calls => _calls;

        public int StopAfter { get; init; } = int.MaxValue;

        public CancellationTokenSource? Stop { get; init; }

        public async Task<EvalAnswer> AnswerAsync(string prompt, EvalSampling sampling, long seed, CancellationToken cancellation)
        {
            if (Interlocked.Increment(ref _calls) > StopAfter)
                await Stop!.CancelAsync();
            cancellation.ThrowIfCancellationRequested();
            int sum = prompt.TrimEnd('=').Split('+', '-').Sum(int.Parse);
            return EvalAnswer.Of("adding", $"\\boxed{{{sum}}}", 5, false);
        }
    }

    private sealed class Handler(params (HttpStatusCode Status, string Body)[] answers) : HttpMessageHandler
    {
        private int _next;

        public List<string> Bodies { get; } = [];

        public string? Address { get; private set; }

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Bodies.Add(await request.Content!.ReadAsStringAsync(cancellationToken));
            Address = request.RequestUri!.ToString();
            var (status, body) = answers[_next++];
            return new HttpResponseMessage(status) { Content = new StringContent(body) };
        }
    }
}
