Console.WriteLine("deepseek-r1");
