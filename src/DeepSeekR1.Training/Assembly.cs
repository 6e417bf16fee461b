namespace DeepSeekR1.Training;
