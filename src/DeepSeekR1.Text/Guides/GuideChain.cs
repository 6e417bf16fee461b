using DeepSeekR1.Engine;

namespace DeepSeekR1.Text.Guides;

/// <summary>Several guides as one: what all of them allow may come, and the first that forces tokens has its way.</summary>
public sealed class GuideChain : ITokenGuide
{
    private readonly ITokenGuide[] _guides;

    private GuideChain(ITokenGuide[] guides) => _guides = guides;

    /// <summary>The guides that there are, as one: null without any, and a single one as it is.</summary>
    public static ITokenGuide? Of(params IEnumerable<ITokenGuide?> guides) => guides.OfType<ITokenGuide>().ToArray() switch
    {
        [] => null,
        [var single] => single,
        var several => new GuideChain(several),
    };

    /// <summary>The first guide of a type within another: that one itself, or a link of it; null without any.</summary>
    public static T? Find<T>(ITokenGuide guide)
        where T : class, ITokenGuide
        => guide as T ?? (guide as GuideChain)?._guides.Select(Find<T>).FirstOrDefault(found => found is not null);

    /// <inheritdoc/>
    public ReadOnlySpan<int> Forced
    {
        get
        {
            foreach (var guide in _guides)
                if (guide.Forced is { IsEmpty: false } forced)
                    return forced;
            return [];
        }
    }

    /// <inheritdoc/>
    public bool Mask(Span<uint> bits)
    {
        bool any = false;
        foreach (var guide in _guides)
            any |= guide.Mask(bits);
        return any;
    }

    /// <inheritdoc/>
    public void Accept(int token)
    {
        foreach (var guide in _guides)
            guide.Accept(token);
    }

    /// <inheritdoc/>
    public void Rollback(int count)
    {
        foreach (var guide in _guides)
            guide.Rollback(count);
    }
}
