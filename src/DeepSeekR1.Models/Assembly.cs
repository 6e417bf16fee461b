namespace DeepSeekR1.Models;
