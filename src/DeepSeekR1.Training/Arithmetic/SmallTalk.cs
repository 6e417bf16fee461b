using System.Text;

namespace DeepSeekR1.Training.Arithmetic;

/// <summary>
/// What is not a sum: greetings, questions about the model, and everything that it must refuse, from poems to numbers that are too large.
/// Refusals come with an empty thought, as R1 answers what needs none.
/// </summary>
internal static class SmallTalk
{
    /// <summary>Refusal of what is no arithmetic.</summary>
    public const string OutOfScope =
        "I am R1-Tiny, a small demo model: I add, subtract, multiply and divide whole numbers, compare them and solve equations like 3x + 5 = 20. Load a real R1 for anything else.";

    /// <summary>Refusal of numbers beyond what was trained.</summary>
    public const string TooLarge = "These numbers are too large for me: I only know numbers of up to five digits.";

    /// <summary>Refusal of other mathematics.</summary>
    public const string OtherMaths = "I only know whole numbers with one of +, -, × and ÷, and equations like 3x + 5 = 20.";

    /// <summary>Division by zero.</summary>
    public const string ByZero = "Division by zero has no answer.";

    /// <summary>All texts that count as a refusal.</summary>
    public static IReadOnlyList<string> Refusals { get; } = [OutOfScope, TooLarge, OtherMaths, ByZero];

    private static readonly (string[] Said, string Reply)[] Nice =
    [
        (["hello", "hi", "hey", "hello there", "hi there", "good morning", "good evening", "good afternoon", "hey there", "greetings", "yo", "hiya", "你好", "您好", "hallo", "bonjour", "hola"],
            "Hello! Ask me a sum, for example 47 × 36."),
        (["thanks", "thank you", "thanks a lot", "thank you very much", "great, thanks", "thx", "cheers", "nice, thank you", "谢谢", "that helps, thanks", "perfect, thank you"],
            "You are welcome!"),
        (["bye", "goodbye", "see you", "good night", "see you later", "bye bye", "再见", "that is all", "ciao"],
            "Goodbye!"),
        (["who are you", "what are you", "what is your name", "who made you", "are you deepseek", "are you r1", "which model are you", "introduce yourself", "你是谁", "are you an AI", "are you human", "tell me about yourself", "what model is this", "are you chatgpt"],
            "I am R1-Tiny, a small demo model with DeepSeek R1's architecture, trained from scratch to do sums."),
        (["what can you do", "help", "what do you know", "how can you help me", "what are you good at", "what can I ask", "what can I ask you", "你能做什么", "how do you work", "what should I ask", "how does this work", "?"],
            "I do sums: try 478 + 395, 47 × 36 or 3x + 5 = 20."),
        (["how are you", "how are you doing", "how is it going", "what's up", "are you ok", "你好吗"],
            "I am fine. Ask me a sum!"),
        (["ok", "okay", "good", "great", "nice", "cool", "well done", "yes", "no", "right", "correct", "I see", "wow", "awesome"],
            "Ask me another sum!"),
    ];

    private static readonly string[] Questions =
    [
        "what is the capital of {0}", "who wrote {0}", "who invented {0}", "what is {0}", "explain {0}", "write a poem about {0}", "write a story about {0}", "tell me a joke about {0}",
        "how do I cook {0}", "what do you think about {0}", "where is {0}", "when was {0} built", "why is {0} so {1}", "how old is {0}", "translate {0} into French",
        "translate '{0} is {1}' to German", "what is the meaning of {0}", "give me a recipe for {0}", "how does {0} work", "what is the difference between {0} and {2}",
        "is {0} {1}", "do you like {0}", "can I eat {0}", "tell me about {0}", "who is the president of {0}", "what colour is {0}", "how far is {0} from {2}",
        "write code for {0}", "write a function that sorts {0}", "summarize {0}", "describe {0} in one sentence", "what is the weather in {0}", "how many people live in {0}",
        "what language do they speak in {0}", "recommend a book about {0}", "plan a trip to {0}", "what rhymes with {0}", "spell {0}", "define {0}", "who discovered {0}",
        "list five facts about {0}", "is it true that {0} is {1}", "how do I fix {0}", "where can I buy {0}", "what happened to {0}", "why do people like {0}", "how much does {0} cost",
        "how long does {0} take", "what is the best {0}", "draw {0}", "sing a song about {0}", "play {0}", "open {0}", "my {0} is {1}", "I love {0}", "I am {1} today", "the {0} is {1}",
        "should I buy {0} or {2}", "what is the history of {0}", "how tall is {0}", "what is the population of {0}", "complete the sentence: {0} is", "fix my {0}",
        "write an email about {0}", "what does {0} mean", "give me three names for {0}", "how do you say {0} in Spanish", "which {0} is {1}", "act as {0}", "pretend you are {0}",
        "what year was {0} born", "how many {0} are there in {2}", "count the {0}", "what number is {0}", "what is your favourite {0}", "can you see {0}", "do {0} and {2} match",
        "who won {0}", "what time is it in {0}", "tell me the plot of {0}", "what are the symptoms of {0}", "prove that {0} is {1}", "is {0} larger than {2}", "convert {0} to {2}",
        "add {0} to {2}", "multiply {0}", "divide {0} by {2}", "what is {0} plus {2}", "solve {0}", "compare {0} and {2}", "the sum of {0}", "{0}", "{0} {2}", "{0} is {1} and {2}",
    ];

    private static readonly string[] Nouns =
    [
        "France", "Japan", "Germany", "Brazil", "Canada", "India", "China", "Kenya", "Peru", "Norway", "Paris", "London", "Tokyo", "Berlin", "Rome", "Madrid", "Cairo", "Hamlet", "Faust", "the Bible",
        "gravity", "love", "peace", "music", "art", "history", "physics", "chemistry", "biology", "poetry", "a cat", "a dog", "a horse", "the moon", "the sun", "mars", "the ocean", "rain", "snow", "winter",
        "summer", "pizza", "bread", "soup", "pasta", "rice", "coffee", "tea", "chocolate", "cheese", "apples", "oranges", "bananas", "flowers", "trees", "a car", "a train", "a plane", "a bicycle", "a phone",
        "a computer", "the internet", "a list", "a table", "the door", "my house", "a garden", "the school", "the teacher", "my friend", "a doctor", "a king", "a queen", "a wizard", "a pirate", "a robot",
        "the future", "the past", "time", "space", "light", "sound", "water", "fire", "gold", "silver", "iron", "the Eiffel Tower", "the Great Wall", "the White House", "Mount Everest", "the Nile",
        "Einstein", "Newton", "Shakespeare", "Mozart", "Picasso", "Napoleon", "Python", "Java", "a database", "machine learning", "an algorithm", "a neural network", "the economy", "money", "a bank",
        "football", "tennis", "chess", "a game", "a movie", "a song", "a book", "a letter", "the news", "a dream", "a secret", "a mountain", "a river", "a bird", "a fish", "a tree", "a star", "numbers",
        "words", "letters", "colours", "people", "children", "animals", "countries", "cities", "planets", "dinosaurs", "computers", "cars", "the weather", "the law", "a headache", "the flu", "sleep", "work",
        "holidays", "birthdays", "a wedding", "the war", "democracy", "freedom", "happiness", "fear", "anger", "hope", "truth", "a lie", "philosophy", "religion", "science", "mathematics", "geometry",
        "apple pie", "green tea", "blue", "red", "the colour blue", "a triangle", "a circle", "pi", "infinity", "nothing", "everything", "something", "my homework", "the exam", "quantum mechanics",
    ];

    private static readonly string[] Adjectives =
    [
        "blue", "red", "green", "hot", "cold", "big", "small", "old", "new", "good", "bad", "happy", "sad", "tired", "hungry", "fast", "slow", "beautiful", "ugly", "expensive", "cheap", "broken", "dark",
        "bright", "heavy", "light", "famous", "dangerous", "safe", "strange", "funny", "boring", "important", "late", "early", "free", "busy", "angry", "rich", "poor", "true", "false", "dead", "alive",
    ];

    private static readonly string[] WithNumbers =
    [
        "in {0} the war ended", "my phone number is {0}", "I was born in {0}", "call me at {0}", "the bus leaves at {0}", "I have {0} friends and they are {2}", "he is {0} years old",
        "what happened in {0}", "the price is {0} dollars, is that {2}", "room {0} is {2}", "my laptop has {0} GB of memory", "page {0} of the book", "it is {0} degrees outside",
        "flight {0} is late", "version {0} of {1}", "what is the meaning of {0}", "who won in {0}", "chapter {0}: {1}", "write {0} words about {1}", "tell me {0} facts about {1}",
        "how many days are in {0} weeks", "is {0} a prime number", "convert {0} km to miles", "what is the square root of {0}", "is {0} even", "count to {0}", "spell {0}",
        "what is {0} in binary", "round {0}", "the year {0}", "list {0} animals", "I paid {0} for {1}", "call {0}", "give me {0} names for {1}", "order {0} pizzas", "top {0} movies",
    ];

    private static readonly string[] Sums =
    [
        "what is {0}.{1} plus {2}", "{0}.{1} + {2}.{3}", "{0}^{1}", "{0} to the power of {1}", "sqrt({0})", "sin({0})", "{0} + {1} + {2}", "{0} * {1} - {2}", "({0} + {1}) * {2}",
        "{0} mod {1}", "{0}! ", "log({0})", "{0}x + {1}y = {2}", "x^2 + {0}x = {1}", "{0}% of {1}", "integrate x^{0}", "the derivative of {0}x^{1}", "{0} + {1} - {2}", "{0}/{1} + {2}/{3}",
        "what is {0} squared", "{0} choose {1}", "gcd of {0} and {1}", "{0} cubed", "solve x^2 = {0}", "{0} < {1} < {2}", "{0}, {1}, {2}, what comes next", "the average of {0}, {1} and {2}",
        "{0}.{1} times {2}", "half of {0}.{1}", "{0}x + {1} = {2}x + {3}", "what is {0} percent of {1}", "{0} ** {1}", "{0} plus {1} plus {2}", "{0} times {1} plus {2}", "|{0} - {1}|",
    ];

    private static readonly string[] Code =
    [
        "def {0}(x): return x", "for i in range({1}): print(i)", "SELECT * FROM {0} WHERE id = {1}", "print('{0}')", "int {0} = {1};", "<html><body>{0}</body></html>", "const {0} = () => {1};",
        "if ({0} > {1}) return;", "import {0}", "git commit -m '{0}'", "sudo rm -rf /{0}", "{{\"{0}\": {1}}}", "while True: {0}()", "curl http://{0}.com:{1}", "class {0} {{ }}", "x = [{1}, {2}]",
    ];

    private static readonly string[] Foreign =
    [
        "wie geht es dir", "was ist die Hauptstadt von Frankreich", "erzähl mir einen Witz", "quelle heure est-il", "où est la gare", "je ne comprends pas", "cuéntame un chiste", "qué hora es", "dónde está el baño",
        "как дела", "расскажи анекдот", "что это такое", "今天天气怎么样", "写一首诗", "中国的首都是哪里", "给我讲个笑话", "东京在哪里", "日本語を話せますか", "これは何ですか", "元気ですか", "안녕하세요", "오늘 날씨 어때", "come stai", "che ore sono",
        "qual é o seu nome", "onde fica o Brasil", "hur mår du", "hvor er du", "kde je nádraží", "gdzie jest dworzec", "ما هو اسمك", "מה שלומך", "翻译这句话", "什么是爱", "你喜欢什么", "帮我写代码", "爱因斯坦是谁", "推荐一本书",
    ];

    /// <summary>A nicety with its reply.</summary>
    public static (string Said, string Reply) Nicety(Random random)
    {
        var (said, reply) = Nice[random.Next(Nice.Length)];
        string text = Phrasing.Pick(said, random) + Phrasing.Pick(["", "", "", "!", ".", "?", " :)", "..."], random);
        return (random.Next(2) == 0 && text.Length > 0 ? char.ToUpperInvariant(text[0]) + text[1..] : text, reply);
    }

    /// <summary>Something that must be refused, with the refusal.</summary>
    public static (string Said, string Reply) Refusal(Random random) => random.Next(100) switch
    {
        < 40 => (Phrasing.Dress(Fill(Phrasing.Pick(Questions, random), Noun(random), Phrasing.Pick(Adjectives, random), Noun(random)), random), OutOfScope),
        < 54 => (Phrasing.Dress(Fill(Phrasing.Pick(WithNumbers, random), Digits(random, 1, 6), Noun(random), Phrasing.Pick(Adjectives, random)), random), OutOfScope),
        < 60 => (Fill(Phrasing.Pick(Code, random), Word(random), Digits(random, 1, 3), Digits(random, 1, 3)), OutOfScope),
        < 65 => (Phrasing.Pick(Foreign, random) + Phrasing.Pick(["", "?", "!", "\uFF1F"], random), OutOfScope),
        < 70 => (Noise(random), OutOfScope),
        < 79 => (Large(random), TooLarge),
        < 88 => (Chain(random), OtherMaths),
        < 97 => (Phrasing.Dress(Fill(Phrasing.Pick(Sums, random), Digits(random, 1, 3), Digits(random, 1, 2), Digits(random, 1, 3), Digits(random, 1, 2)), random), OtherMaths),
        _ => (Phrasing.Question(new Problem(ProblemKind.Divide, random.Next(1, 10000), 0), random, ArithmeticMix.AllWords, stories: 0), ByZero),
    };

    private static string Fill(string template, params string[] values)
    {
        for (int i = 0; i < values.Length; i++)
            template = template.Replace($"{{{i}}}", values[i]);
        return template.Replace("{{", "{").Replace("}}", "}");
    }

    private static string Noun(Random random) => random.Next(5) == 0 ? Word(random) : Phrasing.Pick(Nouns, random);

    /// <summary>A word that nobody knows.</summary>
    public static string Word(Random random)
    {
        var word = new StringBuilder();
        for (int i = random.Next(1, 4); i > 0; i--)
            word.Append("bcdfghjklmnprstvwz"[random.Next(18)]).Append("aeiou"[random.Next(5)]).Append(random.Next(2) == 0 ? "" : "lnrst"[random.Next(5)].ToString());
        return word.ToString();
    }

    /// <summary>Three or four numbers in a row: one operation too many.</summary>
    private static string Chain(Random random)
    {
        bool words = random.Next(4) == 0;
        string space = words || random.Next(2) == 0 ? " " : "";
        int count = random.Next(4) == 0 ? 4 : 3, open = random.Next(5) == 0 ? random.Next(count - 1) : -1;
        var text = new StringBuilder();
        for (int i = 0; i < count; i++)
        {
            if (i > 0)
                text.Append(space).Append(words ? Phrasing.Pick(["plus", "minus", "times", "divided by"], random) : Phrasing.Pick(["+", "+", "-", "*", "*", "/", "×", "÷", "x"], random)).Append(space);
            text.Append(i == open ? "(" : "").Append(Digits(random, 1, random.Next(1, 4))).Append(open >= 0 && i == open + 1 ? ")" : "");
        }

        return Phrasing.Dress(Phrasing.Asked(text.ToString(), random), random);
    }

    private static string Digits(Random random, int least, int most)
    {
        int length = random.Next(least, most + 1);
        return $"{random.NextInt64((long)Math.Pow(10, length - 1), (long)Math.Pow(10, length))}";
    }

    private static string Noise(Random random)
    {
        var text = new StringBuilder();
        for (int i = random.Next(1, 25); i > 0; i--)
            text.Append(random.Next(10) switch
            {
                < 6 => (char)('a' + random.Next(26)),
                < 8 => ' ',
                8 => (char)random.Next(33, 127),
                _ => (char)random.Next(0x4e00, 0x9fa5),
            });
        string noise = text.ToString().Trim();

        // Noise must not be a sum by chance.
        return noise.Any(char.IsLetter) && noise.Count(char.IsAsciiDigit) < 3 && !noise.Contains("x=") ? noise : "asdf " + Word(random);
    }

    /// <summary>A sum with at least one number of six digits or more.</summary>
    private static string Large(Random random)
    {
        long large = long.Parse(Digits(random, 6, 12), System.Globalization.CultureInfo.InvariantCulture);
        long other = long.Parse(Digits(random, 1, 9), System.Globalization.CultureInfo.InvariantCulture);
        var kind = (ProblemKind)random.Next(4);
        bool first = random.Next(2) == 0;
        var problem = new Problem(kind, first || kind == ProblemKind.Divide ? large : other, first || kind == ProblemKind.Divide ? Math.Max(1, other) : large);
        return Phrasing.Question(problem, random, ArithmeticMix.AllWords, stories: 28);
    }
}
