"""What a command does before it imports jax: flags of XLA, precision, notices."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from types import SimpleNamespace

from s2sjax import environment, program_cache
from s2sjax.cli.command import Flag
from s2sjax.cli.printing import warn
from s2sjax.config import Config, TrainConfig, code_files, is_user_code
from s2sjax.errors import UsageError, unknown

NO_USER_CODE = Flag(
    "no_user_code",
    "refuse to execute a Python file that is a task, or a part of a model or training",
    False,
    type=bool,
    argument="no_user_code",
)
TRACKER = Flag(
    "tracker",
    "who is shown metrics, samples and pictures: tensorboard, mlflow, wandb, "
    "FILE.py:name, or several; none; unset: tensorboard, and those of before",
    value="NAME,..",
    argument="tracker",
)
PICTURES = (".png", ".pdf", ".svg")  # what pictures are written as
FORMAT = Flag("format", "how pictures are written", "png", value="png|pdf|svg")


def prepare(config: TrainConfig, recorded: str | None, *, quiet: bool) -> None:
    """Sets the flags of a run before jax is imported, and its precision after.

    Args:
      config: of the run.
      recorded: the flags that a continued or trained run began with; None: none yet.
      quiet: whether to keep what was added to oneself.
    """
    warn(program_cache.keep(os.environ))
    if recorded is None:
        lines = environment.prepare(
            os.environ, threads=config.threads, deterministic=config.deterministic
        )
    else:
        warn(environment.left_out(os.environ, recorded))
        lines = environment.restore(os.environ, recorded)
    if not quiet:
        warn(lines)
    if config.precision != "default":
        import jax

        jax.config.update("jax_default_matmul_precision", config.precision)


def check_names(config: Config, wrong: Collection[str] = ()) -> None:
    """Raises what is wrong with what a config names, as `train` finds it."""
    from s2sjax.training import check

    check.check_names(config, wrong)


def check_format(name: str) -> str:
    """What `--format` says.

    Raises:
      UsageError: there is no such format.
    """
    known = [ending.removeprefix(".") for ending in PICTURES]
    if name not in known:
        raise unknown("--format", name, known)
    return name


def check_output(flag: str, path: str | None, endings: Sequence[str]) -> None:
    """Makes sure that a file can be written, before anything is computed for it.

    Raises:
      UsageError: another ending, no such folder, or one that cannot be written to.
    """
    if path is None:
        return
    if not path.lower().endswith(tuple(endings)):
        raise UsageError(f"--{flag}={path} does not end with {' or '.join(endings)}")
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise UsageError(f"--{flag}={path}: there is no such folder")
    if Path(path).is_dir():
        raise UsageError(f"--{flag}={path}: this is a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"--{flag}={path}: its folder cannot be written to")


def check_style() -> None:
    """Raises UsageError where the style of a user's own is no file."""
    path = os.environ.get("S2SJAX_STYLE")
    if path and not os.path.isfile(path):
        raise UsageError(
            f"S2SJAX_STYLE={path} in the environment: there is no such file"
        )


def reading(workdir: str) -> Config:
    """Prepares for a run that is only read; its config."""
    from s2sjax.runs import directory

    run = directory.open_for_reading(workdir)
    # Batches are read side by side, a core each (see `inference.batches`): their
    # products on one thread give 1.1 to 1.2 times the sequences per second.
    environment.prepare(os.environ, threads=1)
    prepare(run.config.train, recorded_flags(run.record), quiet=True)
    return run.config


def recorded_flags(record: dict[str, object]) -> str | None:
    """The flags that a run began with; None where it has not begun."""
    flags = record.get("flags")
    return str(flags.get("XLA_FLAGS", "")) if isinstance(flags, dict) else None


def refuse_user_code(config: Config, what: str) -> None:
    """What `--no_user_code` does, before anything is executed.

    Raises:
      UsageError: the task of `what`, or a kind that it names, is a Python file of a
        user's own.
    """
    named = code_files(config)
    if is_user_code(config.task.name):
        named = {"task.name": config.task.name, **named}
    for field, value in named.items():
        raise UsageError(
            f"--no_user_code: {what} would execute a Python file, of {field}={value}"
        )


def check_tracker(values: SimpleNamespace) -> None:
    """Refuses a tracker of the user's own under `--no_user_code`; executes nothing."""
    named = (values.tracker or "").split(",")
    own = [name for name in named if is_user_code(name.strip())]
    if own and values.no_user_code:
        raise UsageError(f"--no_user_code and --tracker={own[0]}: choose one")
