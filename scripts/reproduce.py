"""Writes the tables of docs/reproductions.md from runs that have ended.

    python scripts/reproduce.py scan=sweeps/scan prefix=runs/gold,runs/argmax

Each word is a section of the page and where its runs are: runs, sweeps, or folders of
runs, with commas between. Its table is written anew between its marks; all else on the
page stays as it is, and so do the tables of sections that are not named. The same runs
give the same page. Most numbers are those of the runs' own tests; other ways to decode
are evaluated here. Runs that have not ended are left out, and named.
"""

import argparse
import itertools
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import verbs

import s2sjax as s2s
from s2sjax import config as configs
from s2sjax import experiment, places
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.runs import journal, run_files
from s2sjax.schema import written

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reproductions.md"
HEADER = (
    "| runs | number | published | each seed | mean ± spread | presentations "
    "| minutes |\n|---|---|---|---|---|---|---|"
)
# Fields that change no result.
SPEED = ("train.save_every", "train.log_every", "train.threads", "train.samples")


class Run(NamedTuple):
    """A run that has ended."""

    path: Path
    config: Config
    test: Mapping[str, Any]  # of its best checkpoint
    presentations: int  # examples that training has seen, repeated ones too
    seconds: float  # of training
    is_replica: bool  # whether it was trained in one program with others
    where: str  # version and device


class Row(NamedTuple):
    """A line of a table."""

    runs: Sequence[Run]
    name: str  # of these runs
    number: str  # what is measured, and its unit
    published: str
    values: Sequence[float]  # by seed, or one of all runs together
    digits: int = 1


# Reading runs.


def runs_in(place: Path) -> list[Path]:
    """The directories of the runs that a place is or holds.

    Raises:
      UsageError: there are none.
    """
    if (place / places.CONFIG).is_file():
        return [place]
    folders = (place / places.TRIALS, place)
    for folder in folders:
        found = sorted(path.parent for path in folder.glob(f"*/{places.CONFIG}"))
        if found:
            return found
    raise UsageError(f"{place} {places.not_a_run(place)}")


def read(directory: Path) -> Run | None:
    """A run, or None where it has not ended."""
    test = run_files.read_object(directory / run_files.TEST)
    if not test:
        return None
    config = configs.read(directory / places.CONFIG)
    lines = journal.read(directory / run_files.METRICS)
    seconds = [line["seconds"] for line in lines if line.get("seconds")]
    record = run_files.read_record(directory)
    return Run(
        directory,
        config,
        test,
        max((line["step"] for line in lines), default=0) * config.train.batch_size,
        max(seconds, default=0.0),
        (directory / run_files.REPLICA).is_file(),
        f"jax {record['versions']['jax']} on {record['device']}",
    )


def groups(
    runs: Iterable[Run], setting: Callable[[Config], str], known: Iterable[str] = ()
) -> Iterator[tuple[str, list[Run]]]:
    """Runs by their setting, the known ones first; seeds in order.

    Raises:
      UsageError: runs of one setting that differ in more than their seeds.
    """
    found: dict[str, list[Run]] = {name: [] for name in known}
    for run in runs:
        found.setdefault(setting(run.config), []).append(run)
    for name, some in found.items():
        some.sort(key=lambda run: run.config.seed)
        for one, other in itertools.pairwise(some):
            fields = result_fields(one.config, other.config)
            if fields or one.config.seed == other.config.seed:
                what = ", ".join(fields) or f"nothing, seed={one.config.seed} either"
                raise UsageError(f"{one.path} and {other.path} differ in {what}")
        if some:
            yield name, some


def result_fields(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """Where two configs differ, but for seeds, places of files, and speed."""
    aside = {"seed", *configs.DATA_FILES, *SPEED}
    found = configs.difference(one, other)
    return {name: pair for name, pair in found.items() if name not in aside}


# What is measured.


def at_test(runs: Sequence[Run], metric: str, factor: float = 1) -> list[float]:
    """A number of each run's own test."""
    return [factor * run.test[metric] for run in runs]


def evaluated(
    runs: Sequence[Run], metric: str, factor: float = 1, **how: Any
) -> list[float]:
    """A number of each run, decoded otherwise on its test examples."""
    return [factor * s2s.load(run.path).evaluate(**how)[metric] for run in runs]


def together(runs: Sequence[Run], metrics: Sequence[str], **how: Any) -> list[float]:
    """Numbers of all runs as one ensemble, in percent."""
    found = s2s.load([run.path for run in runs]).evaluate(**how)
    return [100 * found[metric] for metric in metrics]


def of_all(runs: Sequence[Run]) -> str:
    """How many examples the test has."""
    return f"{runs[0].test['examples']:,}"


# The sections: the rows of each.


def scan(runs: Sequence[Run]) -> Iterator[Row]:
    """Splits, and sizes of the training set."""
    published = {"simple": "99.7", "length": "13.8", "turn_left": "90.0"}
    published |= {"jump": "0.08", "p1": "about 5", "p2": "about 54", "p4": "about 93"}
    called = {f"p{share}": f"{share} % of all commands" for share in (1, 2, 4)}

    def split(config: Config) -> str:
        name = Path(config.task.train).stem.removeprefix("tasks_train_")
        return name.removeprefix("simple_").removeprefix("addprim_")

    for name, some in groups(runs, split, published):
        number = f"exact match, % of {of_all(some)}"
        exact = at_test(some, "exact", 100)
        theirs = published.get(name, "")
        yield Row(some, called.get(name, name), number, theirs, exact, 2)
        if name == "length":
            told = evaluated(some, "exact", 100, oracle_length=True)
            yield Row(some, "length, told the length", number, "23.6", told, 2)


def g2p(runs: Sequence[Run]) -> Iterator[Row]:
    """Words and phonemes that are wrong: greedy, by a beam, by all seeds together."""

    def size(config: Config) -> str:
        return f"{config.model.layers} x {config.model.units}"

    published = {"2 x 64": "about 39.6", "2 x 512": "about 31.1"}
    metrics = {"sequence_error": "WER", "per": "PER"}
    for name, some in groups(runs, size, published):
        for metric, short in metrics.items():
            wrong = at_test(some, metric, 100)
            of = f", % of {of_all(some)} words" if short == "WER" else ", %"
            theirs = published.get(name, "") if short == "WER" else ""
            yield Row(some, f"{name}, greedy", f"{short}{of}", theirs, wrong)
        beams = [s2s.load(run.path).evaluate(strategy="beam:size=5") for run in some]
        for metric, short in metrics.items():
            wrong = [100 * found[metric] for found in beams]
            yield Row(some, f"{name}, beam of 5", f"{short}, %", "", wrong)
        if some[1:]:
            for how, strategy in (("greedy", "greedy"), ("beam of 5", "beam:size=5")):
                label = f"{name}, the {len(some)} together, {how}"
                both = together(some, list(metrics), strategy=strategy)
                for short, share in zip(metrics.values(), both, strict=True):
                    yield Row(some, label, f"{short}, %", "", [share])


def inflection(runs: Sequence[Run]) -> Iterator[Row]:
    """Forms that are right, of all verbs and by kind."""
    for _, some in groups(runs, lambda config: ""):
        exact = at_test(some, "exact", 100)
        yield Row(some, "all verbs", f"exact match, % of {of_all(some)}", "", exact)
        counts = [
            verbs.accuracy(Path(run.config.task.path), str(run.path)) for run in some
        ]
        for kind in sorted(counts[0]):
            right = [100 * found[kind][0] / found[kind][1] for found in counts]
            number = f"exact match, % of {counts[0][kind][1]:,}"
            yield Row(some, kind, number, "", right)


def joeynmt(runs: Sequence[Run]) -> Iterator[Row]:
    """BLEU as published, and whole sequences."""
    beam = "beam:size=10,alpha=1.0"
    for _, some in groups(runs, lambda config: ""):
        exact = at_test(some, "exact", 100)
        yield Row(some, "greedy", f"exact match, % of {of_all(some)}", "", exact)
        yield Row(some, "greedy", "BLEU", "", at_test(some, "bleu"), 2)
        found = evaluated(some, "bleu", strategy=beam)
        yield Row(some, "beam of 10, alpha 1", "BLEU", "98.49", found, 2)


def french(runs: Sequence[Run]) -> Iterator[Row]:
    """The pairs of Keras' tutorial, by character and by word."""

    def kind(config: Config) -> str:
        has = config.model.attention != "none"
        return f"by {config.task.level}" + ", attention" * has

    known = ("by char", "by char, attention", "by word, attention")
    for name, some in groups(runs, kind, known):
        theirs = ("1.158 or more", "67.0 or more") if name == known[0] else ("", "")
        nll = f"nats per {some[0].config.task.level}"
        yield Row(some, name, nll, theirs[0], at_test(some, "nll"), 3)
        forced = at_test(some, "forced_token_accuracy", 100)
        yield Row(some, name, "forced accuracy, %", theirs[1], forced)
        yield Row(some, name, "BLEU", "", at_test(some, "bleu"))
        yield Row(some, name, "chrF", "", at_test(some, "chrf"))
        number = f"exact match, % of {of_all(some)}"
        yield Row(some, name, number, "", at_test(some, "exact", 100), 2)


def integers(runs: Sequence[Run]) -> Iterator[Row]:
    """Patterns of integers, by the task and by what training fed."""
    forced = {"reversed": "99.98"}  # with what the task was given, not free-running

    def kind(config: Config) -> str:
        fed = config.train.feeding
        return config.task.name + f", fed with {fed}" * (fed != "gold")

    known = ("reversed_prefix", "reversed", "sorted", "maxmin_dup", "addition")
    for name, some in groups(runs, kind, known):
        number = f"exact match, % of {of_all(some)}"
        yield Row(some, name, number, "", at_test(some, "exact", 100), 2)
        if name in forced:
            values = at_test(some, "forced_token_accuracy", 100)
            yield Row(some, name, "forced accuracy, %", forced[name], values, 2)


class Section(NamedTuple):
    """What makes the rows of a table, and the config that was published."""

    rows: Callable[[Sequence[Run]], Iterator[Row]]
    published: str = ""  # of `experiments`, with its variant


SECTIONS = {
    "scan": Section(scan, "scan.py:published"),
    "g2p": Section(g2p, "g2p.py:published"),
    "inflection": Section(inflection),
    "joeynmt": Section(joeynmt),
    "french": Section(french),
    "patterns": Section(integers),
    "prefix": Section(integers),
    "addition": Section(integers),
}

# The page.


def shown(row: Row) -> str:
    """A row as Markdown.

    A single number of several runs is of all of them together.
    """
    each = [f"{value:.{row.digits}f}" for value in row.values]
    mean = f"{statistics.fmean(row.values):.{row.digits}f}"
    if row.values[1:]:
        mean += f" ± {statistics.stdev(row.values):.{row.digits}f}"
    seen = {f"{run.presentations:,}" for run in row.runs}
    minutes = sorted(run.seconds / 60 for run in row.runs)
    if all(run.is_replica for run in row.runs):
        took = f"{minutes[-1]:.1f} in one program"
    else:
        took = " to ".join(dict.fromkeys(f"{minutes[i]:.1f}" for i in (0, -1)))
    cells = (row.name, row.number, row.published, ", ".join(each), mean)
    return f"| {' | '.join((*cells, ' to '.join(sorted(seen)), took))} |"


def table(section: Section, runs: Sequence[Run]) -> str:
    """The table of a section, and below it what the runs were."""
    rows = list(section.rows(runs))
    lines = [HEADER, *map(shown, rows), ""]
    wheres = ", ".join(sorted({run.where for run in runs}))
    line = f"{len(runs)} run{'s' * (len(runs) > 1)}, {wheres}."
    if section.published:
        theirs = experiment.load_config(str(ROOT / "experiments" / section.published))
        found: dict[str, dict[str, None]] = {}
        for run in runs:
            for name, (ours, there) in result_fields(run.config, theirs).items():
                text = f"{written(ours) or 'unset'} for {written(there) or 'unset'}"
                found.setdefault(name, {})[text] = None
        differing = [f"`{name}` {', '.join(texts)}" for name, texts in found.items()]
        beside = f"`experiments/{section.published.replace(':', '` with `:')}`"
        line += f" Beside {beside}: {'; '.join(differing) or 'the same settings'}."
    return "\n".join([*lines, line])


def replaced(page: str, name: str, text: str) -> str:
    """The page with another text between the marks of a section.

    >>> replaced("a\\n<!-- b -->\\nold\\n<!-- /b -->\\n", "b", "new")
    'a\\n<!-- b -->\\nnew\\n<!-- /b -->\\n'
    """
    marks = re.compile(rf"(<!-- {name} -->\n).*?(\n?<!-- /{name} -->)", re.DOTALL)
    if not marks.search(page):
        raise UsageError(f"the page has no marks <!-- {name} --> and <!-- /{name} -->")
    return marks.sub(lambda found: f"{found[1]}{text}\n<!-- /{name} -->", page)


def main() -> None:
    """Reads the runs, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sections", nargs="+", metavar="SECTION=DIR,..")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    try:
        page = given.page.read_text(encoding="utf-8")
        for word in given.sections:
            name, _, folders = word.partition("=")
            if name not in SECTIONS or not folders:
                parser.error(f"{word} is not SECTION=DIR; one of {', '.join(SECTIONS)}")
            runs = []
            directories = map(runs_in, map(Path, folders.split(",")))
            for directory in itertools.chain.from_iterable(directories):
                run = read(directory)
                if run is None:
                    print(f"{directory} has not ended: left out", file=sys.stderr)
                else:
                    runs.append(run)
            if not runs:
                raise UsageError(f"{word}: no run has ended")
            page = replaced(page, name, table(SECTIONS[name], runs))
    except UsageError as error:
        parser.error(str(error))
    given.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
