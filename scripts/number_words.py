"""Writes the numbers 0 to 9999 and their English names, `1234<TAB>one thousand ...`.

    python scripts/number_words.py [--count=2000] [--seed=0] > numbers.tsv

The lines are a sample without replacement, in random order, so that the last part of
the file can be held out. It stands for the small data sets of one's own on which
defaults are tried: see docs/training.md.
"""

import argparse
import random

UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
    *("seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def name(number: int) -> str:
    """The English name of a number below 10,000.

    >>> name(9017), name(340), name(100), name(0)
    ('nine thousand seventeen', 'three hundred forty', 'one hundred', 'zero')
    """
    if number < 20:
        return UNITS[number]
    for size, word in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            count, rest = divmod(number, size)
            return f"{name(count)} {word}" + (f" {name(rest)}" if rest else "")
    tens, unit = divmod(number, 10)
    return TENS[tens - 2] + (f" {UNITS[unit]}" if unit else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    numbers = random.Random(arguments.seed).sample(range(10_000), arguments.count)
    for number in numbers:
        print(f"{' '.join(str(number))}\t{name(number)}")


if __name__ == "__main__":
    main()
