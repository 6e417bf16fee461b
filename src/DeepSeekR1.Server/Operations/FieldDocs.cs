using System.Text;
using DeepSeekR1.Engine;
using DeepSeekR1.Server.OpenAi;

namespace DeepSeekR1.Server.Operations;

/// <summary>The table of the declared request fields, docs/fields.md; a test holds the file to it.</summary>
internal static class FieldDocs
{
    private static readonly (string Name, RequestField[] Fields)[] Endpoints =
    [
        ("chat", RequestFields.Chat), ("completions", RequestFields.Completion), ("tokenize", RequestFields.Tokenize), ("detokenize", RequestFields.Detokenize),
    ];

    /// <summary>The whole page.</summary>
    public static string Page()
    {
        var text = new StringBuilder("""
            # Request fields

            Made from the declarations in `src/DeepSeekR1.Server/OpenAi/RequestFields.cs`; [options.md](options.md) says how to write it anew. A value of the wrong type, out of its
            range or larger than its limit is refused with 400 and the field's name, the value or its size, and the limit. Known fields without effect here stand in
            `UnsupportedFields.cs`; other members are ignored. Defaults of sampling are the checkpoint's (`generation_config.json`) where it has them. The whole body may have
            `--max-request-body-bytes` and nest 64 levels deep.

            | field | of | meaning | range | at most | default |
            |---|---|---|---|---|---|

            """.ReplaceLineEndings("\n"));
        var defaults = new FieldDefaults("the served name", new ServerOptions { Engine = EngineOptionList.All.Defaults }, null);
        foreach (var field in Endpoints.SelectMany(e => e.Fields).Distinct())
        {
            string names = string.Join(", ", field.Aliases.Select(a => a.Name).Prepend(field.Name).Select(n => $"`{n}`"));
            string of = string.Join(", ", Endpoints.Where(e => e.Fields.Contains(field)).Select(e => e.Name));
            string[] cells = [names, of, field.Description, field.Range, field.Limit.InWords, field.Default(defaults)?.ToJsonString() ?? ""];
            text.Append("| ").AppendJoin(" | ", cells.Select(c => c.Replace("|", "\\|", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal))).Append(" |\n");
        }

        return text.ToString();
    }
}
