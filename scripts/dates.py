"""Writes dates as people do, and as ISO has them, for `experiments/text.py`.

python scripts/dates.py dates.tsv [--pairs=8000] [--seed=1]
"""

import argparse
import datetime
import random
from pathlib import Path

FIRST, DAYS = datetime.date(1950, 1, 1), 36_500


def spellings(day: datetime.date) -> list[str]:
    """The ways in which a date is written.

    >>> spellings(datetime.date(2022, 9, 14))[-2:]
    ['Wednesday the 14th of September 2022', "september 14, '22"]
    """
    nth = {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    if 10 <= day.day <= 20:
        nth = "th"
    number, month = f"{day.day}{nth}", f"{day:%B}"
    return [
        f"{day.day} {month} {day.year}",
        f"{month} {number}, {day.year}",
        f"{day.day}.{day.month}.{day.year}",
        f"{month[:3]} {day.day} {day.year}",
        f"{day.month}/{day.day}/{day:%y}",
        f"{day:%A} the {number} of {month} {day.year}",
        f"{month.lower()} {day.day}, '{day:%y}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--pairs", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    written: dict[str, datetime.date] = {}
    while len(written) < given.pairs:
        day = FIRST + datetime.timedelta(days=rng.randrange(DAYS))
        written.setdefault(rng.choice(spellings(day)), day)
    lines = (f"{text}\t{day.isoformat()}\n" for text, day in written.items())
    given.file.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
