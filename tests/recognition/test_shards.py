from __future__ import annotations

import random

import pytest

from emofuse.core.errors import ShardError
from emofuse.recognition.shards import Shard, deal


def test_a_shard_is_its_number_and_how_many_there_are() -> None:
    assert Shard.parse(" 3/40 ") == Shard(3, 40)
    assert str(Shard(3, 40)) == "3/40"
    for text, says in (
        ("3", "as in 3/40"), ("a/b", "as in 3/40"), ("-1/4", "as in 3/40"), ("", "as in 3/40"),
        ("0/4", "count from 1 to 4"), ("5/4", "count from 1 to 4"), ("1/0", "has 1 to 100000 shards"),
        ("1/100001", "has 1 to 100000 shards"),
    ):  # fmt: skip
        with pytest.raises(ShardError, match=says):
            Shard.parse(text)


def test_the_largest_files_are_dealt_first_each_to_the_emptiest_shard() -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    # 9 → 1; 5 (c) → 2; 5 (d) → 2 has 5 < 9; 4 → 1 has 9 < 10; 1 (a) → 2 has 10 < 13; 1 (f) → 2 has 11 < 13
    assert deal(names, [1, 9, 5, 5, 4, 1], 2) == [[1, 4], [0, 2, 3, 5]]
    # of equal sizes in the order of names, whatever that of the list is
    assert deal(["c", "a", "b"], [7, 7, 7], 3) == [[1], [2], [0]]
    # files without a size go to the shard with the fewest files
    assert deal(names, [0] * 6, 3) == [[0, 3], [1, 4], [2, 5]]
    assert deal(["a"], [3], 3) == [[0], [], []]


def test_every_file_is_in_one_shard_and_shards_are_even() -> None:
    rng = random.Random(5)
    for of in (1, 2, 7, 40):
        sizes = [round(rng.lognormvariate(15, 1.5)) for _ in range(500)]
        names = [f"{rng.random()}.wav" for _ in sizes]
        shards = deal(names, sizes, of)
        assert sorted(i for shard in shards for i in shard) == list(range(500))
        assert all(shard == sorted(shard) for shard in shards)
        loads = [sum(sizes[i] for i in shard) for shard in shards]
        no_dealing_beats = max([sum(sizes) / of, *sizes])
        assert max(loads) <= 4 / 3 * no_dealing_beats  # Graham 1969: at most 4/3 of the best dealing
