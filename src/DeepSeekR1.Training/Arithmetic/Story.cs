namespace DeepSeekR1.Training.Arithmetic;

/// <summary>Sums in the clothes of a little story: who has how many of what.</summary>
internal static class Story
{
    private static readonly string[] Names =
    [
        "Anna", "Tom", "Ben", "Mia", "Sara", "John", "Lena", "Max", "Emma", "Paul", "Lily", "Sam", "Nina", "Leo", "Maria", "Peter", "Jane", "Bob", "Alice", "Kim", "Omar", "Li", "Ravi", "Zoe", "Mary",
        "James", "Lucy", "David", "Natalia", "Janet", "my sister", "my brother", "a farmer", "a boy", "a girl", "the teacher", "my friend", "he", "she",
    ];

    private static readonly string[] Things =
    [
        "apples", "oranges", "pens", "books", "marbles", "coins", "stamps", "cards", "eggs", "cookies", "sweets", "balls", "pencils", "flowers", "shells", "stickers", "toys", "cars", "trees", "chairs",
        "birds", "fish", "dogs", "cats", "sheep", "cows", "bottles", "boxes", "cups", "tickets", "cakes", "bananas", "stones", "buttons", "candles", "students", "children", "people", "points", "dollars",
        "photos", "clips", "bags", "tables", "windows", "candies", "pears", "tomatoes", "plates", "bricks",
    ];

    // {0} and {1} are the numbers, {2} is a thing, {3} and {4} are people.
    private static readonly string[] Add =
    [
        "{3} has {0} {2} and buys {1} more. how many {2} does {3} have", "{3} has {0} {2}. {4} has {1} {2}. how many {2} do they have together", "there are {0} {2} in one box and {1} in another. how many {2} are there in total",
        "there are {0} red {2} and {1} blue {2}. how many {2} are there", "I have {0} {2} and you have {1} {2}. how many {2} do we have together", "{3} found {0} {2} and then {1} more. how many is that",
        "a shop sold {0} {2} on Monday and {1} on Tuesday. how many {2} did it sell", "{3} walks {0} miles and then {1} more. how far is that", "{3} had {0} {2} and got {1} from {4}. how many does {3} have now",
        "one ticket costs {0} dollars, another one {1} dollars. how much do both cost", "{3} reads {0} pages today and {1} tomorrow. how many pages is that", "if {3} has {0} {2} and finds {1} more, how many {2} are there",
        "there are {0} boys and {1} girls. how many children are there", "{0} {2} and {1} more {2}. how many {2} in all", "{3} has {0} {2} and {4} gives {3} {1} more. how many {2} now", "in a room are {0} {2}. {1} more come in. how many are there now",
        "{3} spent {0} dollars on {2} and {1} dollars on lunch. how much did {3} spend", "{3} is {0} years old. how old will {3} be in {1} years", "I had {0} {2}, then I got {1} more. how many do I have",
        "a class has {0} girls and {1} boys. how many students are in the class",
    ];

    private static readonly string[] Subtract =
    [
        "{3} has {0} {2} and gives {1} to {4}. how many {2} are left", "{3} had {0} {2} and lost {1}. how many are left", "there are {0} {2}. {1} are broken. how many are good", "a book has {0} pages. {3} has read {1}. how many pages are left",
        "{3} pays {0} dollars for something that costs {1} dollars. how much change is that", "{3} had {0} {2} and ate {1}. how many are left", "{3} has {0} {2}, {4} has {1}. how many more does {3} have",
        "a shop had {0} {2} and sold {1}. how many are left", "of {0} {2}, {1} are gone. how many remain", "I have {0} dollars and spend {1}. how much do I have left", "a toy costs {1} dollars. I pay with {0} dollars. how much change do I get",
        "there were {0} {2} and {1} went away. how many stayed", "{3} had {0} {2}. {3} sold {1} of them. how many does {3} have now", "{3} needs {0} {2} and has {1}. how many are missing", "out of {0} students {1} are ill. how many are well",
        "{0} {2} were on a table. {1} fell down. how many are still there", "I had {0} {2} and gave away {1}. how many do I have left", "{3} had {0} dollars and bought {2} for {1} dollars. how much is left",
        "a tank holds {0} litres and {1} litres are used. how many litres are left", "a book costs {1} dollars. I pay with {0} dollars. how much change do I get",
        "{3} buys a book for {1} dollars and pays with {0} dollars. how much change does {3} get", "something costs {1}. I pay {0}. how much do I get back",
    ];

    private static readonly string[] Multiply =
    [
        "there are {0} boxes with {1} {2} in each. how many {2} are there", "a box holds {1} {2}. how many {2} are in {0} boxes", "one ticket costs {0} dollars. how much do {1} tickets cost", "{3} earns {0} dollars a day. how much is that in {1} days",
        "each of {0} children has {1} {2}. how many {2} are there", "{3} buys {0} packs of {1} {2}. how many {2} are that", "there are {0} rows of {1} seats. how many seats are there", "{0} people each pay {1} dollars. how much is that",
        "there are {0} rows with {1} {2} in each row. how many {2} are there", "{3} has {0} bags with {1} {2} each. how many {2} does {3} have", "{0} shelves hold {1} {2} each. how many {2} in total", "if one costs {0} dollars, how much do {1} cost",
        "{3} runs {0} miles every day for {1} days. how many miles is that", "a farmer has {0} fields with {1} trees each. how many trees", "a bus has {0} seats. how many seats do {1} buses have", "{0} teams of {1} players. how many players are there",
        "a week has {0} days. how many days are {1} weeks", "each bag has {1} {2}. there are {0} bags. how many {2} are there", "{3} reads {0} pages a day. how many pages in {1} days",
    ];

    private static readonly string[] Divide =
    [
        "{3} shares {0} {2} among {1} friends. how many does each get", "{0} {2} are packed into boxes of {1}. how many boxes are there", "{1} friends share {0} dollars equally. how much does each get", "{0} {2} in {1} equal groups. how many are in each group",
        "how many boxes of {1} can be filled with {0} {2}", "if {1} {2} cost {0} dollars, how much does one cost", "{0} {2} are shared equally by {1} children. how many does each child get", "{3} has {0} {2} and puts {1} in each bag. how many bags are there",
        "{0} students form groups of {1}. how many groups are there", "share {0} {2} among {1} children. how many does each child get", "{3} drives {0} miles in {1} hours. how many miles in one hour", "there are {0} {2} on {1} plates, the same number on each. how many on each plate",
        "{1} people share {0} {2}. how many for each", "a rope of {0} metres is cut into {1} equal pieces. how long is each", "{0} {2} are put in {1} rows. how many in each row", "{3} pays {0} dollars for {1} tickets. how much is one ticket",
    ];

    /// <summary>Whether the numbers make sense in a story: none negative, nothing left over, no more taken away than there is.</summary>
    public static bool Fits(Problem problem) => problem is { A: > 0, B: > 0 } && problem.Kind switch
    {
        ProblemKind.Add or ProblemKind.Multiply => true,
        ProblemKind.Subtract => problem.A >= problem.B,
        ProblemKind.Divide => problem.A % problem.B == 0 && problem.B > 1,
        _ => false,
    };

    /// <summary>A story without its last question mark; {0} and {1} stand for the numbers.</summary>
    public static string Draw(Problem problem, Random random)
    {
        string[] stories = problem.Kind switch
        {
            ProblemKind.Add => Add,
            ProblemKind.Subtract => Subtract,
            ProblemKind.Multiply => Multiply,
            _ => Divide,
        };
        string who = Name(random), other = Name(random);
        string text = Phrasing.Pick(stories, random).Replace("{2}", random.Next(7) == 0 ? SmallTalk.Word(random) + "s" : Phrasing.Pick(Things, random))
            .Replace("{3}", who).Replace("{4}", other);

        // Sentences begin with a capital, as most people write them.
        return random.Next(4) == 0 ? text : text.Replace(". how", ". How").Replace(". she", ". She").Replace(". he ", ". He ");
    }

    private static string Name(Random random)
    {
        if (random.Next(6) > 0)
            return Phrasing.Pick(Names, random);
        string word = SmallTalk.Word(random);
        return char.ToUpperInvariant(word[0]) + word[1..];
    }
}
