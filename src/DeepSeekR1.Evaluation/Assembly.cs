namespace DeepSeekR1.Evaluation;
