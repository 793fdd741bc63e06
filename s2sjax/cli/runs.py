"""The runs that a command reads: one, or several together as an ensemble."""

from types import SimpleNamespace
from typing import TYPE_CHECKING

from s2sjax import schema
from s2sjax.cli import start
from s2sjax.cli.command import Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError, unknown

if TYPE_CHECKING:
    from s2sjax.commands.run import Run
    from s2sjax.inference.load import Which

COMBINE = schema.fields()["decode.ensemble"].metadata["choices"]
FLAGS = (
    Flag("workdir", "the run", value="DIR", argument="path"),
    Flag("ensemble", "runs that decode together (with the run)", value="DIR,DIR2"),
    Flag("combine", "mean of an ensemble", value="|".join(COMBINE), argument="combine"),
    start.NO_USER_CODE,
)
CHECKPOINT = Flag(
    "checkpoint",
    "best, last or a step",
    "best",
    value="best|last|N",
    argument="checkpoint",
)
SPLIT = Flag(
    "split",
    "train, valid (or dev, val) or test",
    "test",
    value="NAME",
    argument="split",
)


def paths(values: SimpleNamespace) -> list[str]:
    """The directories that `--workdir` and `--ensemble` name, each once.

    Raises:
      UsageError: none, or an ensemble's mean for a single run.
    """
    listed = [values.workdir] if values.workdir else []
    if values.ensemble is not None:
        listed += directories("ensemble", values.ensemble)
    if not listed:
        raise UsageError("--workdir=DIR is needed")
    if values.combine is not None:
        if values.combine not in COMBINE:
            raise unknown("--combine", values.combine, COMBINE)
        if len(set(listed)) == 1:
            raise UsageError(f"--combine={values.combine} needs --ensemble=DIR,DIR2")
    return list(dict.fromkeys(listed))


def directories(flag: str, text: str) -> list[str]:
    """The directories of `DIR,DIR2`, each once.

    Raises:
      UsageError: one has no name.
    """
    listed = [path.strip() for path in text.split(",")]
    if not all(listed):
        raise UsageError(f"--{flag}={text} names an empty directory; write DIR,DIR2")
    return list(dict.fromkeys(listed))


def split(values: SimpleNamespace) -> str:
    """The split that `--split` names.

    Raises:
      UsageError: there is none of that name.
    """
    from s2sjax.tasks.task import split_name

    return split_name(values.split)


def open_all(parsed: Parsed, paths: list[str], seed: int | None = None) -> "Run":
    """Opens the runs with `--strategy` and `--checkpoint`, where there are such."""
    values = parsed.values
    from s2sjax.commands.run import load
    from s2sjax.reporting.progress_line import ProgressLine

    return load(
        paths,
        checkpoint(getattr(values, "checkpoint", "best")),
        combine=values.combine,
        strategy=getattr(values, "strategy", None),
        seed=seed,
        no_user_code=values.no_user_code,
        say=parsed.say,
        watch=ProgressLine,
    )


def checkpoint(text: str) -> "Which":
    """Which checkpoint `--checkpoint` names: "best", "last" or a step."""
    if text == "best" or text == "last":
        return "best" if text == "best" else "last"
    if text.isascii() and text.isdigit() and len(text) <= 10:
        return int(text)
    raise UsageError(f"--checkpoint={text} is not best, last or a step")
