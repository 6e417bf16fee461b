using CsCheck;
using DeepSeekR1.Engine.Scheduling;
using Xunit;

namespace DeepSeekR1.Tests.Engine.Scheduling;

public class BlockManagerTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(4, 1)]
    [InlineData(5, 2)]
    [InlineData(8, 2)]
    [InlineData(9, 3)]
    public void BlocksFor_RoundsUp(int tokens, int blocks) => Assert.Equal(blocks, new BlockManager(10, 4).BlocksFor(tokens));

    [Fact]
    public void Constructor_WithoutBlocksOrTokens_Throws()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new BlockManager(0, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => new BlockManager(4, 0));
    }

    [Fact]
    public void TryGrow_ToTheSameOrASmallerLength_ChangesNothing()
    {
        var manager = new BlockManager(4, 4);
        var table = new BlockTable();
        Assert.True(manager.TryGrow(table, 5));
        int[] before = table.Blocks.ToArray();
        Assert.True(manager.TryGrow(table, 8));
        Assert.True(manager.TryGrow(table, 1));
        Assert.Equal(before, table.Blocks.ToArray());
        Assert.Equal((2, 2), (manager.FreeBlocks, manager.UsedBlocks));
    }

    [Fact]
    public void TryGrow_WhenTooFewAreFree_TakesNone()
    {
        var manager = new BlockManager(3, 4);
        BlockTable first = new(), second = new();
        Assert.True(manager.TryGrow(first, 5));
        Assert.False(manager.TryGrow(second, 5));
        Assert.Equal((1, 0), (manager.FreeBlocks, second.Count));
        Assert.True(manager.TryGrow(second, 4));
        manager.CheckIntegrity([first, second]);
    }

    [Fact]
    public void Blocks_HandedOutBeforeGrowthOrFree_StayAsTheyWere()
    {
        var manager = new BlockManager(40, 1);
        var table = new BlockTable();
        manager.TryGrow(table, 8);
        var handed = table.Blocks;
        int[] copy = handed.ToArray();
        manager.TryGrow(table, 30);
        manager.Free(table);
        manager.TryGrow(table, 40);
        Assert.Equal(copy, handed.ToArray());
        Assert.Equal(8, handed.Length);
    }

    [Fact]
    public void CheckIntegrity_WhenATableIsForgotten_NamesTheLostBlock()
    {
        var manager = new BlockManager(3, 4);
        var table = new BlockTable();
        manager.TryGrow(table, 1);
        Assert.Contains("in 0 tables and has 1 references", Assert.Throws<InvalidOperationException>(() => manager.CheckIntegrity([])).Message);
        Assert.Contains("2 tables", Assert.Throws<InvalidOperationException>(() => manager.CheckIntegrity([table, table])).Message);
    }

    [Fact]
    public void TryGrowAndFree_RandomOrder_KeepEveryBlockInOnePlace()
    {
        var operations = Gen.Select(Gen.Int[0, 4], Gen.Int[0, 40]).List[1, 60];
        Gen.Select(Gen.Int[1, 20], Gen.Int[1, 5], operations).Sample(
            (blocks, blockSize, list) =>
            {
                var manager = new BlockManager(blocks, blockSize);
                var tables = Enumerable.Range(0, 5).Select(_ => new BlockTable()).ToArray();
                foreach (var (index, tokens) in list)
                {
                    var table = tables[index];
                    if (tokens % 7 == 0)
                        manager.Free(table);
                    else if (manager.TryGrow(table, tokens))
                        Assert.True(table.Count * blockSize >= tokens);
                    else
                        Assert.True(manager.BlocksFor(tokens) - table.Count > manager.FreeBlocks);
                    manager.CheckIntegrity(tables);
                    Assert.Equal(blocks, manager.FreeBlocks + tables.Sum(t => t.Count));
                }
            },
            iter: 300,
            threads: 1);
    }
}
