"""Writes the verbs of a small language, and says what a run makes of lemmas it knows.

    python scripts/verbs.py DIR [--lemmas=500] [--seed=0]
    python scripts/verbs.py DIR --run=RUN

The first writes train.tsv, valid.tsv and test.tsv, `lemma<TAB>form<TAB>tags<TAB>kind`;
the second evaluates a run on them, apart for lemmas that stand in train.tsv and for
those that do not, and for verbs that follow the rules and for those that do not. A
lemma has 12 forms. Of four lemmas in five 8 go to training, 1 to validation and 3 to
the test; of the fifth all go to the test.

The rules: vowel harmony (a suffix has `a` after a, o, u and `e` after e, i), a past in
`t` after voiceless consonants and in `d` elsewhere, a linking vowel between consonants,
which makes a `k` before it a `g`, reduplication in the third person plural of the past,
and no voiced consonant at the end. The exceptions: one lemma in twelve changes its last
vowel in the past, and nothing about its shape tells which.
"""

import argparse
import itertools
import pathlib
import random

CONSONANTS, VOWELS, BACK = "ptkbdgmnslr", "aeiou", "aou"
ABLAUT = dict(zip("aeiou", "eouie", strict=True))
UNVOICED = dict(zip("bdg", "ptk", strict=True))
CELLS = tuple(itertools.product(("PRS", "PST"), "123", ("SG", "PL")))
STRONG = 12  # one lemma in so many


def form(lemma: str, tense: str, person: str, number: str, *, strong: bool) -> str:
    """A form of a verb.

    >>> form("nadok", "PRS", "1", "PL", strong=False)
    'nadogamlar'
    >>> form("nadok", "PST", "3", "PL", strong=True)
    'nanadikteler'
    """
    word = lemma
    if tense == "PST" and strong:
        place = max(word.rfind(vowel) for vowel in VOWELS)
        word = word[:place] + ABLAUT[word[place]] + word[place + 1 :]
    last = max(VOWELS, key=word.rfind)
    vowel = "a" if last in BACK else "e"
    if tense == "PST":
        word += ("t" if word[-1] in "ptks" else "d") + vowel
    suffix = {"1": "m", "2": "s", "3": ""}[person]
    if suffix and word[-1] not in VOWELS:
        word = (word[:-1] + "g" if word[-1] == "k" else word) + vowel
    word += suffix
    if number == "PL":
        word += f"l{vowel}r"
    if (tense, person, number) == ("PST", "3", "PL"):
        word = word[:2] + word
    return word[:-1] + UNVOICED.get(word[-1], word[-1])


def lemmas(count: int, draw: random.Random) -> list[str]:
    """So many different ones, of two or three syllables."""
    found: dict[str, None] = {}
    while len(found) < count:
        syllables = (
            draw.choice(CONSONANTS) + draw.choice(VOWELS)
            for _ in range(draw.choice((2, 2, 3)))
        )
        found["".join(syllables) + draw.choice(CONSONANTS) * draw.choice((0, 1))] = None
    return list(found)


def splits(count: int, seed: int) -> dict[str, list[str]]:
    """The lines of each file."""
    draw = random.Random(seed)
    lines: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for place, lemma in enumerate(lemmas(count, draw)):
        strong = draw.randrange(STRONG) == 0
        kind = "exception" if strong else "rule"
        cells = draw.sample(CELLS, len(CELLS))
        for number, cell in enumerate(cells):
            split = "train" if number < 8 else "valid" if number < 9 else "test"
            split = "test" if place % 5 == 4 else split
            tags = ";".join(("V", *cell))
            lines[split].append(
                f"{lemma}\t{form(lemma, *cell, strong=strong)}\t{tags}\t{kind}\n"
            )
    for rows in lines.values():
        draw.shuffle(rows)
    return lines


def write(folder: pathlib.Path, count: int, seed: int) -> None:
    """Writes the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in splits(count, seed).items():
        (folder / f"{split}.tsv").write_text("".join(rows), encoding="utf-8")


def accuracy(folder: pathlib.Path, run: str) -> dict[str, tuple[int, int]]:
    """How many forms of the test are right, and of how many, by kind of lemma."""
    import s2sjax as s2s

    def rows(split: str) -> list[list[str]]:
        text = (folder / f"{split}.tsv").read_text(encoding="utf-8")
        return [line.split("\t") for line in text.splitlines()]

    known = {lemma for lemma, *_ in rows("train")}
    test = rows("test")
    decoded = s2s.load(run).decode(
        [lemma for lemma, *_ in test], features=[tags for _, _, tags, _ in test]
    )
    counts: dict[str, tuple[int, int]] = {}
    for (lemma, wanted, _, kind), found in zip(test, decoded, strict=True):
        name = f"{'seen' if lemma in known else 'unseen'}, {kind}"
        right, all_ = counts.get(name, (0, 0))
        counts[name] = right + (found.text == wanted), all_ + 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--lemmas", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run")
    arguments = parser.parse_args()
    if arguments.run is None:
        write(arguments.folder, arguments.lemmas, arguments.seed)
        return
    for name, (right, count) in sorted(
        accuracy(arguments.folder, arguments.run).items()
    ):
        print(f"{name:18} {right:4} of {count:4} forms  {100 * right / count:5.1f} %")


if __name__ == "__main__":
    main()
