using DeepSeekR1.Training.Arithmetic;

namespace DeepSeekR1.Training.Sft;

/// <summary>Options of supervised training.</summary>
public sealed record SftOptions : TrainingOptions
{
    /// <summary>A JSONL file of dialogues, or "arithmetic" for the built-in generator.</summary>
    public string Dataset { get; init; } = "";

    /// <summary>How often the generator draws what; only for "arithmetic".</summary>
    public ArithmeticMix Mix { get; init; } = new();

    /// <summary>Share of the run in which numbers have at most three digits; only for "arithmetic".</summary>
    public double Curriculum { get; init; }

    /// <summary>Longest sample in tokens; longer ones are left out and counted.</summary>
    public int MaxLength { get; init; } = 2048;

    /// <summary>Weight of predicting the token after the next one; needs num_nextn_predict_layers of at least 1.</summary>
    public double MtpWeight { get; init; }

    /// <summary>The head for one token more learns in one of so many steps: it costs half of the time, and follows the model with less.</summary>
    public int MtpEvery { get; init; } = 1;

    /// <summary>ce: cross entropy of the tokens; kd: generalised Jensen-Shannon divergence from a teacher's distributions.</summary>
    public string Loss { get; init; } = "ce";

    /// <summary>Checkpoint folder of the teacher, of the same vocabulary; only for "kd", which needs it.</summary>
    public string TeacherModelNameOrPath { get; init; } = "";

    /// <summary>Place between KL(teacher | student) at 0 and KL(student | teacher) at 1; only for "kd". Unset is 0.5.</summary>
    public double? Beta { get; init; }

    /// <summary>Divides teacher's and student's logits, above 0; only for "kd". Unset is 1.</summary>
    public double? Temperature { get; init; }

    internal const double DefaultBeta = 0.5;

    /// <inheritdoc/>
    public override void Check()
    {
        base.Check();
        Require(Dataset.Length > 0, "dataset", Dataset, "a JSONL file or 'arithmetic'");
        Require(Mix is not null, "mix", "null", "an object of fields, or left out");
        Require(Dataset == "arithmetic" || Mix == new ArithmeticMix(), "mix", "set", "left out when dataset is a file: it is the generator's");
        Mix!.Check();
        Require(Dataset == "arithmetic" || Curriculum == 0, "curriculum", Curriculum, "0 for a file: it shortens the generator's numbers");
        Require(Curriculum is >= 0 and <= 1, "curriculum", Curriculum, "0 to 1");
        Require(MaxLength >= 2, "max_length", MaxLength, "at least 2");
        Require(MtpEvery >= 1, "mtp_every", MtpEvery, "at least 1");
        bool distils = Loss == "kd";
        Require(Loss is "ce" or "kd", "loss", Loss, "ce or kd");
        Require(distils == TeacherModelNameOrPath.Length > 0, "teacher_model_name_or_path", TeacherModelNameOrPath, distils ? "the teacher's checkpoint folder for loss 'kd'" : "empty for loss 'ce': only 'kd' has a teacher");
        Require(distils || Beta is null, "beta", Beta ?? 0, "unset for loss 'ce': only 'kd' compares distributions");
        Require(distils || Temperature is null, "temperature", Temperature ?? 0, "unset for loss 'ce': only 'kd' divides logits");
        Require(Beta is null or (>= 0 and <= 1), "beta", Beta ?? 0, "0 to 1");
        Require(Temperature is null || (Temperature > 0 && double.IsFinite(Temperature.Value)), "temperature", Temperature ?? 0, "a number above 0");
        Require(MtpWeight >= 0, "mtp_weight", MtpWeight, "at least 0");
    }
}
