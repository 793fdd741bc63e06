"""Trackers by name: they show a run elsewhere, beside its own journal.

`--tracker=mlflow,wandb` names some of them, `none` none; `FILE.py:name` is one of the
user's own. None of them can stop a run.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from s2sjax import user_code
from s2sjax.config import is_user_code
from s2sjax.errors import UsageError, unknown
from s2sjax.reporting.trackers.base import Guarded, TrackedRun, Tracker, replay
from s2sjax.reporting.trackers.mlflow import MLflow
from s2sjax.reporting.trackers.tensorboard import TensorBoard
from s2sjax.reporting.trackers.wandb import WeightsAndBiases
from s2sjax.training.observer import Observer

__all__ = [
    "DEFAULT",
    "TRACKERS",
    "Guarded",
    "TrackedRun",
    "create",
    "names",
    "prepare",
    "remembered",
    "replay",
]

TRACKERS: dict[str, Callable[[TrackedRun], Observer]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WeightsAndBiases,
}
PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
DEFAULT, NONE = "tensorboard", "none"


def names(text: str) -> list[str]:
    """The trackers of a list, each checked; executes nothing.

    >>> names("tensorboard,mine.py:Mine"), names("none")
    (['tensorboard', 'mine.py:Mine'], [])

    Raises:
      UsageError: one is unknown or twice there, or its package is not installed.
    """
    listed = [] if text == NONE else [name.strip() for name in text.split(",")]
    for place, name in enumerate(listed):
        if name in listed[:place]:
            raise UsageError(f"tracker={text}: {name} is twice there")
        if is_user_code(name):
            continue
        if name not in TRACKERS:
            raise unknown("tracker", name, [*TRACKERS, NONE, "FILE.py:name"])
        if find_spec(PACKAGES[name]) is None:
            raise UsageError(
                f"tracker={name}: the package {PACKAGES[name]} is not installed; "
                f"pip install 's2sjax[{name}]'"
            )
    return listed


def remembered(path: Path) -> str:
    """The trackers of a run for which none are named: the default one, and those that
    have a record of it already."""
    recorded = [name for name in TRACKERS if TrackedRun.record_of(path, name).is_file()]
    return ",".join([DEFAULT, *recorded])


def create(text: str, run: TrackedRun) -> list[Guarded]:
    """The trackers of a run, none of which has begun; writes nothing.

    Args:
      text: their names, e.g. "tensorboard,mlflow" or "mine.py:Mine".
      run: what they are told of it.

    Raises:
      UsageError: see `names`; a file of the user's that is absent, raises, or has no
        function or class of that name which makes an `Observer` of a `TrackedRun`.
    """
    return [
        _of_user(name, run)
        if is_user_code(name)
        else Guarded(TRACKERS[name](run), name)
        for name in names(text)
    ]


def prepare(text: str, run: TrackedRun, say: Callable[[str], None]) -> None:
    """Makes what the trials of a sweep share, once, for trials that begin at once.

    Args:
      text: names of trackers.
      run: one of the trials.
      say: takes a line for a person, where it cannot be made.
    """
    for name in names(text):
        kind = TRACKERS.get(name)
        if isinstance(kind, type) and issubclass(kind, Tracker):
            try:
                kind(run).prepare()
            except Exception as error:  # whatever it is, the sweep goes on
                say(f"the tracker {name}: {' '.join(str(error).split())}")


def _of_user(text: str, run: TrackedRun) -> Guarded:
    file, _, name = text.rpartition(":")
    try:
        content = Path(file).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"tracker={text}: {file}: {error.strerror}") from None
    module = user_code.execute(content, file, "user_tracker")

    def make() -> Observer:
        made = getattr(module, name, None)
        if not callable(made):
            known = [n for n, value in vars(module).items() if _is_own(value, module)]
            listed = ", ".join(known) or "none"
            raise UsageError(
                f"there is no '{name}' to make a tracker (it has: {listed})"
            )
        observer = made(run)
        if not isinstance(observer, Observer):
            raise UsageError(
                f"{name}(run) made an object of the type {type(observer).__name__}, "
                f"not an s2s.Observer"
            )
        return observer

    def call(action: Callable[[], object]) -> object:
        return user_code.call(file, action)

    return Guarded(user_code.call(file, make, f"{name}(run)"), text, call)


def _is_own(value: object, module: object) -> bool:
    """Whether the module defines it, and has not imported it."""
    name = getattr(module, "__name__", None)
    return callable(value) and getattr(value, "__module__", None) == name
