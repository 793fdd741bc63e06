"""Comparisons of systems: by enumeration, in plain numpy, and refused."""

import itertools
import json

import numpy as np
import pytest
import sacrebleu

from s2sjax.errors import UsageError
from s2sjax.inference import comparison
from s2sjax.inference.comparison import compare, mcnemar, read
from tests import oracles

NAMES = ("A", "B")
WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "so", "did", "we"]


@pytest.fixture(scope="module")
def systems():
    """Predictions of two systems on 60 examples, the second a little better."""
    draw = np.random.default_rng(3)
    rows = ([], [])
    for number in range(60):
        reference = draw.choice(WORDS, draw.integers(4, 9)).tolist()
        for system, noise in zip(rows, (0.12, 0.06), strict=True):
            output = [
                str(draw.choice(WORDS)) if draw.random() < noise else word
                for word in reference
            ]
            edits = oracles.edit_distance(tuple(output), tuple(reference))
            system.append(
                {
                    "source": f"example {number}",
                    "output": " ".join(output),
                    "reference": " ".join(reference),
                    "references": [" ".join(reference)],
                    "lengths": [len(reference)],
                    "right": edits == 0,
                    "edits": edits,
                    "reference_logprob": -float(draw.random()) * len(reference),
                }
            )
    return rows


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (0, 3), (2, 5), (4, 4)])
def test_mcnemar_is_the_share_of_outcomes_as_uneven(a, b):
    """Every way in which a + b fair coins may fall."""
    falls = list(itertools.product((0, 1), repeat=a + b))
    uneven = [f for f in falls if abs(2 * sum(f) - (a + b)) >= abs(a - b)]
    assert mcnemar(a, b) == pytest.approx(len(uneven) / len(falls))


def test_values_are_those_of_the_systems_and_of_sacrebleu(systems):
    found = compare(NAMES, *systems)
    for side, rows in zip("ab", systems, strict=True):

        def value(name, side=side):
            return getattr(found.metrics[name], side)

        assert value("exact") == np.mean([row["right"] for row in rows])
        words = sum(len(row["reference"].split()) for row in rows)
        assert value("edit_distance") == sum(row["edits"] for row in rows) / words
        logprobs = sum(row["reference_logprob"] for row in rows)
        assert value("nll") == pytest.approx(-logprobs / (words + len(rows)))
        texts = [row["output"] for row in rows], [[row["reference"] for row in rows]]
        for name, score in (
            ("bleu", sacrebleu.corpus_bleu(*texts, force=True)),
            ("chrf", sacrebleu.corpus_chrf(*texts)),
        ):
            assert value(name) == pytest.approx(score.score)
    right = np.array([[row["right"] for row in rows] for rows in systems])
    alone = int((right[0] > right[1]).sum()), int((right[1] > right[0]).sum())
    assert (found.right["only_a"], found.right["only_b"]) == alone
    assert found.right["both"] + found.right["neither"] + sum(alone) == 60
    assert found.metrics["exact"].p == mcnemar(*alone)
    for side, rows in zip("ab", systems, strict=True):
        for length, row in found.by_length[side].items():
            own = [r["right"] for r in rows if r["lengths"] == [int(length)]]
            assert row == {"count": len(own), "exact": np.mean(own)}


def test_of_lower_cased_data_texts_are_scored_as_people_wrote_them(systems):
    a, b = (
        [row | {"cased": [row["reference"].title()]} for row in rows]
        for rows in systems
    )
    found = compare(NAMES, a, b)
    texts = [row["output"] for row in a], [[row["cased"][0] for row in a]]
    assert found.metrics["chrf"].a == pytest.approx(sacrebleu.corpus_chrf(*texts).score)
    assert found.metrics["chrf"].a < compare(NAMES, *systems).metrics["chrf"].a


def test_bounds_are_those_of_drawing_the_examples_again(systems):
    """By a loop, with other draws: within what 1,000 of them know."""
    found = compare(NAMES, *systems)
    draw, edits, words = np.random.default_rng(8), [], []
    for rows in systems:
        edits.append(np.array([row["edits"] for row in rows]))
        words.append(np.array([row["lengths"][0] for row in rows]))
    drawn = []
    for _ in range(4000):
        chosen = draw.integers(0, 60, 60)
        rates = [
            e[chosen].sum() / w[chosen].sum() for e, w in zip(edits, words, strict=True)
        ]
        drawn.append(rates[1] - rates[0])
    each, spread = found.metrics["edit_distance"], np.std(drawn)
    low, high = np.quantile(drawn, (0.025, 0.975))
    assert each.low == pytest.approx(low, abs=0.25 * spread)
    assert each.high == pytest.approx(high, abs=0.25 * spread)
    tail = np.mean(np.array(drawn) >= 0)
    assert each.p == pytest.approx(2 * tail, abs=0.03)


def test_bounds_do_not_depend_on_how_many_are_drawn_at_once(systems, monkeypatch):
    whole = compare(NAMES, *systems).metrics
    monkeypatch.setattr(comparison, "NUMBERS", 1)
    monkeypatch.setattr(comparison, "DRAWS", 50)
    one_by_one = compare(NAMES, *systems).metrics
    monkeypatch.setattr(comparison, "NUMBERS", 10**6)
    assert compare(NAMES, *systems).metrics == one_by_one != whole


def test_equal_systems_differ_by_nothing(systems):
    found = compare(NAMES, systems[0], systems[0])
    assert found.differing == []
    for name, each in found.metrics.items():
        assert (each.difference, each.low, each.high, each.p) == (0, 0, 0, 1), name
        assert comparison.better(name, each) == ""


def test_examples_are_paired_by_what_they_are_not_by_where_they_stand(systems):
    a, b = systems
    found, other = compare(NAMES, a, b), compare(NAMES, a, b[::-1])
    assert found.metrics == other.metrics and found.differing == other.differing
    # What b has wrong and a right comes first, what b has gained last.
    gains = [each.b_right - each.a_right for each in found.differing]
    assert gains == sorted(gains) and gains[0] == -1 and gains[-1] == 1
    first = found.differing[0]
    assert first.a in first.references and first.b not in first.references
    swapped = compare(NAMES, b, a)
    assert swapped.metrics["exact"].difference == -found.metrics["exact"].difference
    # A source may come twice: then the one that came first goes with the first.
    twice = compare(NAMES, [*a, a[0]], [*b, b[0]])
    assert twice.examples == 61


def test_the_nearest_of_several_references_has_the_length_that_counts(systems):
    rows = [
        dict(row, references=["no such thing at all", row["reference"]], lengths=[5, n])
        for row in systems[0]
        for n in row["lengths"]
    ]
    found = compare(NAMES, rows, rows)
    plain = compare(NAMES, systems[0], systems[0])
    for name in ("exact", "edit_distance"):
        assert found.metrics[name] == plain.metrics[name]
    assert list(found.by_length["a"]) == ["5"]


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_what_cannot_be_compared_is_refused_in_a_line(systems, tmp_path):
    a, b = systems
    good = written(tmp_path / "good.jsonl", a)
    assert read(good) == a
    lacks = [{key: value for key, value in row.items() if key != "right"} for row in a]
    other = [dict(row, source=row["source"] + "!") for row in b]
    several = [dict(row, references=[*row["references"], "x"]) for row in b]
    for attempt, said in [
        (lambda: read(tmp_path / "none.jsonl"), "none.jsonl: No such file"),
        (lambda: read(tmp_path), "Is a directory"),
        (lambda: read(written(tmp_path / "empty.jsonl", [])), "empty.jsonl is empty"),
        (lambda: read(written(tmp_path / "l.jsonl", lacks)), "l.jsonl:1 .* right is m"),
        (lambda: read(written(tmp_path / "n.jsonl", [*a, 3])), "n.jsonl:61 is no pred"),
        (lambda: compare(NAMES, a, b[1:]), "of A 1 of 60 are not in the other"),
        (lambda: compare(NAMES, a[1:], b), "of B 1 of 60 are not in the other"),
        (lambda: compare(NAMES, a, other), "60 of 60 .* source 'example "),
        (lambda: compare(NAMES, a, several), "60 of 60 are not in the other"),
        (lambda: compare(NAMES, a[:1], b[:1]), "A and B share one example"),
    ]:
        with pytest.raises(UsageError, match=said) as caught:
            attempt()
        assert "\n" not in str(caught.value)
