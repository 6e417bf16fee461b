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

    /// <inheritdoc/>
    public override void Check()
    {
        base.Check();
        Require(Dataset.Length > 0, "dataset", Dataset, "a JSONL file or 'arithmetic'");
        Require(Dataset == "arithmetic" || Curriculum == 0, "curriculum", Curriculum, "0 for a file: it shortens the generator's numbers");
        Require(Curriculum is >= 0 and <= 1, "curriculum", Curriculum, "0 to 1");
        Require(MaxLength >= 2, "max_length", MaxLength, "at least 2");
        Require(MtpEvery >= 1, "mtp_every", MtpEvery, "at least 1");
        Require(MtpWeight >= 0, "mtp_weight", MtpWeight, "at least 0");
    }
}
