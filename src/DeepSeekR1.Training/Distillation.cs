using DeepSeekR1.Compute;
using DeepSeekR1.Engine;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Attention;
using DeepSeekR1.Text.Tokenization;
using static TorchSharp.torch;

namespace DeepSeekR1.Training;

/// <summary>
/// A frozen teacher whose distributions a student of the same vocabulary learns: generalised Jensen-Shannon divergence (Agarwal et al. 2023, "On-policy
/// distillation", section 3). Used on the trainer's thread; owns the teacher.
/// </summary>
/// <param name="teacher">The teacher; never trained.</param>
/// <param name="beta">0 is KL(teacher | student), 1 is KL(student | teacher), between them both are compared with their mixture.</param>
/// <param name="temperature">Divides both models' logits; above 0.</param>
public sealed class Distillation(CausalLm teacher, double beta, double temperature) : IDisposable
{
    /// <summary>Loads a teacher for a student.</summary>
    /// <exception cref="StartupException">The two vocabularies differ, or the teacher cannot be loaded.</exception>
    public static Distillation Open(string teacherFolder, string studentFolder, double beta, double temperature)
    {
        var teacher = ModelSource.Open(teacherFolder, ScalarType.Float32, 0.02, 0, withMtp: false);
        try
        {
            CheckVocabularies(teacherFolder, studentFolder, teacher.Config.VocabSize, ModelConfigReader.Read(studentFolder).VocabSize);
            return new Distillation(teacher, beta, temperature);
        }
        catch
        {
            teacher.Dispose();
            throw;
        }
    }

    /// <summary>Sum over rows of the divergence of two distributions given by logits [R, V] of one type; in nats, with the student's graph.</summary>
    public static Tensor Divergence(Tensor student, Tensor teacher, double beta, double temperature)
    {
        using var scope = NewDisposeScope();
        var factor = Scalars.Of(1 / temperature);
        var s = student.mul(factor).log_softmax(-1); // [R, V]
        var t = teacher.detach().mul(factor).log_softmax(-1);
        return (beta switch
        {
            0 => Kl(t, s),
            1 => Kl(s, t),
            _ => Mixed(s, t, beta),
        }).MoveToOuterDisposeScope();
    }

    /// <summary>Sum over the learned rows of a batch of the divergence between the student's logits [R, V] float32 and the teacher's.</summary>
    public Tensor Loss(MicroBatch batch, Tensor studentLogits)
    {
        using var scope = NewDisposeScope();
        return Divergence(studentLogits, TeacherLogits(batch), beta, temperature).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose() => teacher.Dispose();

    /// <summary>[R, V] float32 for the rows whose next token is learned.</summary>
    private Tensor TeacherLogits(MicroBatch batch)
    {
        using var mode = no_grad();
        using var scope = NewDisposeScope();
        var device = teacher.Rank.Device;
        using var attention = new DenseAttention(teacher.Rank.Kernels, batch.Lengths, device);
        var states = teacher.Forward(tensor(batch.Ids, ScalarType.Int64, device), new ForwardContext(tensor(batch.Positions, ScalarType.Int64, device), attention));
        return teacher.Logits(states.index_select(0, tensor(batch.TargetRows, ScalarType.Int64, device))).MoveToOuterDisposeScope();
    }

    /// <summary>beta KL(t | m) + (1 - beta) KL(s | m) with m = beta t + (1 - beta) s.</summary>
    private static Tensor Mixed(Tensor s, Tensor t, double beta)
    {
        var mixture = logaddexp(t.Plus(Scalars.Of(Math.Log(beta))), s.Plus(Scalars.Of(Math.Log(1 - beta))));
        return Kl(t, mixture).mul(Scalars.Of(beta)).Plus(Kl(s, mixture).mul(Scalars.Of(1 - beta)));
    }

    /// <summary>Sum over rows of KL(p | q) from log-probabilities.</summary>
    private static Tensor Kl(Tensor p, Tensor q) => (p.exp() * p.Minus(q)).sum();

    private static void CheckVocabularies(string teacher, string student, int teacherSize, int studentSize)
    {
        const string Advice = "A student learns a teacher's distributions only over the same tokens: choose a teacher of its family, or train on the teacher's texts with loss 'ce'.";
        if (teacherSize != studentSize)
            throw new StartupException($"teacher '{teacher}' has a vocabulary of {teacherSize} tokens, the student '{student}' one of {studentSize}. {Advice}");
        Tokenizer theirs = new SampleEncoder(teacher).Tokenizer, ours = new SampleEncoder(student).Tokenizer;
        for (int id = 0; id < Math.Max(theirs.VocabularySize, ours.VocabularySize); id++)
            if (!theirs.Bytes(id).Span.SequenceEqual(ours.Bytes(id).Span))
                throw new StartupException($"Token {id} of teacher '{teacher}' is '{theirs.Decode([id], false)}', of the student '{student}' it is '{ours.Decode([id], false)}'. {Advice}");
    }
}
