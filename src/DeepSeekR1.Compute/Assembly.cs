namespace DeepSeekR1.Compute;
