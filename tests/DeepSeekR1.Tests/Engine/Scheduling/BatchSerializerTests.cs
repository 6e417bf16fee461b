using System.Text;
using CsCheck;
using DeepSeekR1.Compute.Kernels.Sampling;
using DeepSeekR1.Engine.Scheduling;
using Xunit;

namespace DeepSeekR1.Tests.Engine.Scheduling;

/// <summary>Steps to bytes and back; that a step read back computes the same stands in <c>StepBytesTests</c>.</summary>
public class BatchSerializerTests
{
    [Fact]
    public void Read_OfAnyStep_GivesWhatWasWritten()
    {
        Gen.Int[0, int.MaxValue].Sample(seed =>
        {
            var batch = Batch(new Random(seed));
            byte[] bytes = Bytes(batch);
            var read = BatchSerializer.Read(new MemoryStream(bytes));
            AssertEqual(batch, read);
            Assert.Equal(bytes, Bytes(read));
            Assert.Empty(read.Owners);
        }, iter: 500, threads: 1);
    }

    [Fact]
    public void Read_OfEveryShorterStream_Throws()
    {
        byte[] bytes = Bytes(Batch(new Random(4)));
        for (int length = 0; length < bytes.Length; length++)
            Assert.Throws<EndOfStreamException>(() => BatchSerializer.Read(new MemoryStream(bytes, 0, length)));
    }

    [Fact]
    public void Read_OfAnotherFormatOrDamage_SaysSo()
    {
        byte[] bytes = Bytes(Batch(new Random(4)));
        bytes[0]++;
        Assert.Contains("format 2", Assert.Throws<InvalidDataException>(() => BatchSerializer.Read(new MemoryStream(bytes))).Message, StringComparison.Ordinal);
        bytes[0]--;
        bytes[4] = 0xFF;
        Assert.Contains("damaged", Assert.Throws<InvalidDataException>(() => BatchSerializer.Read(new MemoryStream(bytes))).Message, StringComparison.Ordinal);
    }

    private static byte[] Bytes(ScheduledBatch batch)
    {
        var stream = new MemoryStream();
        BatchSerializer.Write(stream, batch);
        return stream.ToArray();
    }

    private static ScheduledBatch Batch(Random random)
    {
        int[] Ints(int most) => [.. Enumerable.Range(0, random.Next(most + 1)).Select(_ => random.Next())];
        SamplingRow Row(int position)
        {
            int[] ids = Ints(4), seen = Ints(9);
            var settings = new SamplingSettings
            {
                Temperature = random.NextSingle(),
                TopK = random.Next(-1, 60),
                TopP = random.NextSingle(),
                MinP = random.NextSingle(),
                TopNSigma = random.NextSingle(),
                Seed = (ulong)random.NextInt64() * 2 + 1,
                SampleIndex = random.Next(9),
                TopLogprobs = random.Next(3) == 0 ? null : random.Next(21),
                RepetitionPenalty = random.NextSingle(),
                PresencePenalty = -random.NextSingle(),
                FrequencyPenalty = random.NextSingle(),
                BiasIds = ids,
                Biases = [.. ids.Select(_ => random.NextSingle() - 0.5f)],
            };
            uint[]? mask = random.Next(2) == 0 ? null : [.. Ints(70).Select(i => (uint)i)];
            return new SamplingRow(settings, position, mask, random.Next(2) == 0 ? null : new TokenCounts(seen, [.. seen.Select(_ => random.Next(5))]));
        }

        return new ScheduledBatch([.. Enumerable.Range(0, 1 + random.Next(6)).Select(_ => new ScheduledSequence(random.NextInt64(), Ints(40), random.Next(), Ints(30))
        {
            NumDrafts = random.Next(4),
            Rows = [.. Enumerable.Range(0, random.Next(4)).Select(Row)],
            Scored = Ints(20),
            ScoredTop = random.Next(20),
            Adapter = random.Next(3),
        })]);
    }

    [Theory]
    [InlineData("\"Temperature\"", "\"Temperature,")]
    [InlineData("\"BiasIds\":[]", "\"BiasIds\":8 ")]
    [InlineData("\"Biases\":[]", "\"Biases\":{}")]
    public void Read_DamagedSettings_SaysSo(string whole, string damaged)
    {
        var row = new SamplingRow(new SamplingSettings { Temperature = 0.5f }, 0);
        using var stream = new MemoryStream();
        BatchSerializer.Write(stream, new ScheduledBatch([new ScheduledSequence(1, [1], 0, [0]) { Rows = [row] }]));
        byte[] bytes = stream.ToArray();
        int at = bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(whole));
        Assert.True(at > 0);
        Encoding.UTF8.GetBytes(damaged).CopyTo(bytes, at);
        Assert.Contains("damaged", Assert.Throws<InvalidDataException>(() => BatchSerializer.Read(new MemoryStream(bytes))).Message, StringComparison.Ordinal);
    }

    private static void AssertEqual(ScheduledBatch expected, ScheduledBatch actual)
    {
        Assert.Equal(expected.TotalTokens, actual.TotalTokens);
        Assert.Equal(expected.Sequences.Count, actual.Sequences.Count);
        foreach (var (a, b) in expected.Sequences.Zip(actual.Sequences))
        {
            Assert.Equal((a.Id, a.Computed, a.NumDrafts, a.ScoredTop, a.Adapter), (b.Id, b.Computed, b.NumDrafts, b.ScoredTop, b.Adapter));
            Assert.Equal(a.TokenIds, b.TokenIds);
            Assert.Equal(a.Blocks, b.Blocks);
            Assert.Equal(a.Scored, b.Scored);
            Assert.Equal(a.Rows.Length, b.Rows.Length);
            foreach (var (row, other) in a.Rows.Zip(b.Rows))
            {
                int[] none = [];
                Assert.Equal(row.Settings with { BiasIds = none, Biases = [] }, other.Settings with { BiasIds = none, Biases = [] }, SameNumbers);
                Assert.Equal(row.Settings.BiasIds, other.Settings.BiasIds);
                Assert.Equal(row.Settings.Biases, other.Settings.Biases);
                Assert.Equal((row.Position, row.Mask is null, row.Counts is null), (other.Position, other.Mask is null, other.Counts is null));
                Assert.Equal(row.Mask ?? [], other.Mask ?? []);
                Assert.Equal(row.Counts?.Ids ?? [], other.Counts?.Ids ?? []);
                Assert.Equal(row.Counts?.Generated ?? [], other.Counts?.Generated ?? []);
            }
        }
    }

    private static bool SameNumbers(SamplingSettings a, SamplingSettings b) => a.ToString() == b.ToString();
}
