"""What is found in examples, against plain Python on lists of words."""

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest

from s2sjax import tasks
from s2sjax.config import Config, TaskConfig, resolve
from s2sjax.tasks import review
from s2sjax.tasks.review import Examples
from s2sjax.tasks.stored import Ragged
from s2sjax.tasks.vocabulary import Vocabulary
from s2sjax.types import SYMBOLS, UNK

A, B = (Vocabulary("word", tuple(words)) for words in ("abcd", "bcdefg"))


def examples(pairs, first=0):
    """Pairs of texts whose letters are words, as ids; "?" is unknown."""
    sides = zip(*pairs, strict=True)
    return Examples(
        *(
            Ragged.of([vocabulary.encode(text)[0] for text in side], len(vocabulary))
            for vocabulary, side in zip((A, B), sides, strict=True)
        ),
        np.arange(first, first + len(pairs)),
    )


@pytest.fixture(scope="module")
def drawn():
    """Random pairs, with many that are equal."""
    random = np.random.default_rng(0)

    def texts(letters):
        return ["".join(random.choice(list(letters), n)) for n in lengths]

    lengths = random.integers(0, 4, 300)
    return list(zip(texts("abc?"), texts("bcd"), strict=True))


def test_what_stands_twice_is_what_a_dictionary_says(drawn):
    found = examples(drawn)
    seen, again = set(), []
    for place, pair in enumerate(drawn):
        if "?" not in "".join(pair):
            again += [place] * (pair in seen)
        seen.add(pair)
    assert again and review.repeated(found).tolist() == again
    targets = {}
    for source, target in drawn:
        targets.setdefault(source, set()).add(target)
    several = [
        place
        for place, (source, _) in enumerate(drawn)
        if "?" not in source and len(targets[source]) > 1
    ]
    assert several and review.ambiguous(found).tolist() == several


def test_sources_of_training_are_known_and_unknown_symbols_equal_nothing(drawn):
    train, other = drawn[:150], drawn[150:]
    sources = {source for source, _ in train}
    wanted = [
        place
        for place, (source, _) in enumerate(other)
        if source in sources and "?" not in source
    ]
    assert any("?" in source and source in sources for source, _ in other)
    assert (
        wanted
        and review.known(examples(train), examples(other, 150)).tolist() == wanted
    )


def test_copies_are_found_by_symbol_and_not_by_id(drawn):
    pairs = [*drawn, ("bcd", "bcd"), ("d", "d"), ("bc", "cb"), ("aaa", "???")]
    wanted = [place for place, (s, t) in enumerate(pairs) if s == t and len(s) > 2]
    wanted = [place for place in wanted if "?" not in pairs[place][0]]
    found = review.copies(examples(pairs), A, B, reverse=False)
    assert found.tolist() == wanted and wanted
    backwards = [(source[::-1], target) for source, target in pairs]
    found = review.copies(examples(backwards), A, B, reverse=True)
    assert found.tolist() == wanted


def test_lengths_are_told_and_counted(drawn):
    lengths = [len(source) for source, _ in drawn]
    told = review.lengths(examples(drawn).source, 2)
    assert (told.shortest, told.longest) == (0, 3)
    assert told.mean == round(sum(lengths) / len(lengths), 2)
    assert told.median == sorted(lengths)[150]
    counts = Counter(length // 2 for length in lengths)
    assert told.histogram == [(0, 1, counts[0]), (2, 3, counts[1])]


def test_what_a_vocabulary_knows_is_counted():
    found = examples([("a?b", "b"), ("??", ""), ("ab", "c")])
    assert review.coverage(found.source) == (7, 3, 2)
    assert review.rarest(found.target, B) == (2, [("b", 1), ("c", 1)])


def test_empty_sides_and_very_unlike_lengths():
    usual = [("ab", "bcde")] * 50
    found = examples([*usual, ("", "b"), ("a", "b" * 40), ("a" * 30, "b"), ("ab", "")])
    assert review.empty(found).tolist() == [50, 53]
    assert review.unlike(found).tolist() == [51, 52]


def test_exchanged_sides_are_likelier_the_other_way_round():
    usual = [("aabb", "ffggffgg")] * 60
    sides = tuple(Vocabulary("word", tuple("abfg")) for _ in range(2))

    def made(pairs):
        return Examples(
            *(
                Ragged.of([sides[0].encode(text)[0] for text in side], SYMBOLS + 4)
                for side in zip(*pairs, strict=True)
            ),
            np.arange(len(pairs)),
        )

    train, other = made(usual), made([("ffgg", "aabb"), ("", "?" * 20), ("a", "a")])
    assert review.exchanged(train, other, *sides).tolist() == [0]
    assert not review.exchanged(train, train, *sides).size


def test_characters_that_are_not_seen_are_found():
    vocabulary = Vocabulary("char", ("a", "\u200b", "\x07", "\u202e", "é", "\u200d"))
    ids = review.steering(vocabulary)
    assert ids == [SYMBOLS + 1, SYMBOLS + 2, SYMBOLS + 3]
    side = Ragged.of([[SYMBOLS], [SYMBOLS, SYMBOLS + 2], []], len(vocabulary))
    assert review.holding(side, ids).tolist() == [1]
    assert review.steering(Vocabulary.integers(0, 3)) == []


@pytest.mark.parametrize(("ratio", "extra"), [(2.0, 1), (0.5, 3), (0.0, 2)])
def test_limits_that_would_do_are_the_least(ratio, extra):
    random = np.random.default_rng(1)
    pairs = [("a" * s, "b" * t) for s, t in random.integers(0, 9, (80, 2))]
    found = examples(pairs)

    def too_long(ratio, extra):
        return [
            place
            for place, (s, t) in enumerate(pairs)
            if len(t) + 1 > math.ceil(ratio * len(s)) + extra
        ]

    most = [math.ceil(ratio * length) + extra for length in range(9)]
    told = review.unreachable(found, most, ratio, extra)
    assert told.rows.tolist() == too_long(ratio, extra) != []
    assert not too_long(ratio, told.extra) and too_long(ratio, told.extra - 1)
    assert told.ratio is None  # for an empty source no ratio is enough
    longer = [pair for pair in pairs if pair[0]]
    told = review.unreachable(examples(longer), most, ratio, extra)
    pairs = longer
    assert not too_long(told.ratio, extra) and too_long(told.ratio - 0.1, extra)


def test_a_reference_that_can_be_written_is_enough(tmp_path):
    lines = ["a\tx", "b\tx x", *["c\tx x x", "c\tx", "d\tx x x", "d\tx x x x"] * 2]
    config = {
        "task": {"name": "text", "level": "word"},
        "train": {"steps": 1},
    }
    for name, rows in (("train", lines[:2]), ("valid", lines[:1]), ("test", lines)):
        (tmp_path / f"{name}.tsv").write_text("\n".join(rows) + "\n")
        config["task"][name] = str(tmp_path / f"{name}.tsv")
    buckets = tasks.create(resolve(config)).buckets["test"]
    found = review.read(buckets)
    assert found.shortest.tolist() == [1, 2, 1, 3]  # of a, b, c and d
    told = review.unreachable(found, [3, 3, 3], 0.0, 3)
    assert told.rows.tolist() == [3] and told.extra == 4


def test_padding_is_what_is_not_there():
    # 2 + 3 of 4 places, and with EOS 2 + 1 of 3.
    found = examples([("ab", "b"), ("abc", "")])
    assert review.padding(found, 4, 3) == pytest.approx(1 - 8 / 14)


def test_examples_are_read_as_they_are_drawn_and_in_order(tmp_path):
    lines = [f"{'a ' * (i % 7 + 1)}\t{'b ' * (i % 5 + 1)}" for i in range(90)]
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(lines))
    config = Config(task=TaskConfig(name="text", path=str(path), level="word"))
    buckets = tasks.create(config).buckets["train"]
    for chunk in (7, 8192):
        found = review.read(buckets, chunk)
        assert found.ids.tolist() == sorted(found.ids.tolist())
        assert found.source.lengths.tolist() == [i % 7 + 1 for i in found.ids]
        assert found.target.lengths.tolist() == [i % 5 + 1 for i in found.ids]
        assert found.source.row(3) == [SYMBOLS] * found.source.lengths[3]
    drawn = resolve({"task": {"length": 4}, "train": {"steps": 1}})
    (bucket,) = tasks.create(drawn).buckets["train"]
    found = review.read([dataclasses.replace(bucket, size=20)], 8)
    batch = bucket.fetch(bucket.store, np.arange(20))
    assert np.array_equal(found.source.tokens.reshape(20, 4), batch.source)
    assert UNK not in found.target.tokens and (found.target.lengths == 4).all()
