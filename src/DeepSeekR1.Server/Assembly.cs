namespace DeepSeekR1.Server;
