"""`s2sjax train`: starts a run, or continues it."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from s2sjax import experiment, places
from s2sjax.cli import printing, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import RunError, UsageError

if TYPE_CHECKING:
    from s2sjax.training.hosts import Hosts

FLAGS = (
    Flag(
        "multihost",
        "this is one of several processes that train the run; --workdir is shared",
        False,
        type=bool,
    ),
    Flag(
        "coordinator",
        "process 0, where the cluster's environment does not say it",
        value="HOST:PORT",
    ),
    Flag("process_id", "which process this is", type=int, least=0),
    Flag("processes", "how many there are", type=int, least=1),
)


def check(values: SimpleNamespace) -> None:
    """Whether the flags fit one another; imports no jax.

    Raises:
      UsageError: they do not.
    """
    names = [flag.name for flag in FLAGS[1:]]
    given = {name: getattr(values, name) for name in names}
    flags = [f"--{name}={value}" for name, value in given.items() if value is not None]
    if flags and not values.multihost:
        raise UsageError(f"{' '.join(flags)}: give --multihost with it")
    if flags and len(flags) < len(names):
        raise UsageError(
            f"{' '.join(flags)} is not enough; give --coordinator=HOST:PORT "
            f"--process_id=I --processes=N, or none where the cluster says them"
        )
    if not flags:
        return
    host, _, port = values.coordinator.rpartition(":")
    if not (host and re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise UsageError(f"--coordinator={values.coordinator} is not HOST:PORT")
    if values.process_id >= values.processes:
        raise UsageError(
            f"--process_id={values.process_id} is not below "
            f"--processes={values.processes}"
        )


def joined(values: SimpleNamespace) -> contextlib.AbstractContextManager["Hosts"]:
    """The processes of the run; this one alone without `--multihost`."""
    from s2sjax.training import hosts

    if not values.multihost:
        return contextlib.nullcontext(hosts.Hosts())
    return hosts.joined(values.coordinator, values.process_id, values.processes)


if TYPE_CHECKING:
    from s2sjax.runs.directory import RunDirectory
    from s2sjax.tasks import Task
    from s2sjax.training.hosts import Hosts

COMMAND = Command(
    "train",
    "Trains a model; on a directory that holds a run, continues it.\n"
    "With --config on such a directory the config is only compared.",
    flags=(
        Flag("workdir", "where the run is kept", value="DIR", required=True),
        Flag(
            "init_from",
            "begin with the parameters of a run or of an exported file",
            value="DIR|FILE.safetensors",
        ),
        start.NO_USER_CODE,
        *FLAGS,
    ),
    config="optional",
    check=start.check_names,
    memory="train.batch_size, task.length (of text: task.max_length) or model.units",
    examples=(
        "s2sjax train --config=experiments/reversed_prefix.py "
        "--workdir=runs/reversed_prefix",
        "s2sjax train --workdir=runs/reversed_prefix",
    ),
)

CURVES = "curves.png"


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    from s2sjax.runs import directory

    check(parsed.values)
    path, init_from = parsed.values.workdir, parsed.values.init_from
    config, record = directory.agreed_config(path, parsed.config)
    if parsed.values.no_user_code:
        start.refuse_user_code(config, f"--workdir={path}")
    if record:
        init_from = _same_beginning(path, init_from, record)
    start.prepare(config.train, start.recorded_flags(record), quiet=False)

    from s2sjax.runs import run_files

    with contextlib.ExitStack() as stack:
        with joined(parsed.values) as hosts, hosts.together():
            start.check_config(config, is_new=not record)
            if hosts.leads:
                data = run_files.checked_path(path) / run_files.DATA
                file = parsed.config_file
                named = bool(file) and not experiment.is_json(
                    experiment.locate(file)[0]
                )
                start.tell_user_code(config, data, named=named)
            run = stack.enter_context(_opened(parsed, hosts))
            task, ended = _train(run, init_from, hosts, is_new=not record)
        if hosts.leads and not hosts.signal:
            _conclude(run, task, ended)
        return hosts.exit_code


@contextlib.contextmanager
def _opened(parsed: Parsed, hosts: "Hosts") -> Iterator["RunDirectory"]:
    """The run; process 0 makes it or continues it, the others read it."""
    from s2sjax import tasks
    from s2sjax.runs import directory, provenance

    # Of all hosts: each waits here until the others are there.
    environment = provenance.describe(["s2sjax", *sys.argv[1:]])
    path = parsed.values.workdir
    if not hosts.leads:
        hosts.of_first(0)
        yield directory.open_for_reading(path)
        return
    with directory.open_for_training(
        path,
        parsed.config,
        environment=environment,
        check_data=tasks.check_sources,
        say=lambda line: start.warn([line]),
    ) as run:
        yield run


def _same_beginning(
    path: str, init_from: str | None, record: dict[str, Any]
) -> str | None:
    """What a run began with; a run that goes on can be given nothing else."""
    given = [word.partition("=") for word in record.get("command", [])]
    began = next((value for name, _, value in given if name == "--init_from"), None)
    if init_from not in (None, began):
        raise UsageError(
            f"--init_from={init_from}: --workdir={path} began with "
            f"{began or 'nothing'}; begin another in a new --workdir, e.g. "
            f"--workdir={places.unused(Path(path))}"
        )
    return began


def _train(
    run: "RunDirectory", init_from: str | None, hosts: "Hosts", *, is_new: bool
) -> tuple["Task", Any]:
    from s2sjax import tasks
    from s2sjax.runs import directory
    from s2sjax.training import cadence, interruption, loop, memory
    from s2sjax.training.order import Order

    try:
        task = tasks.create(run.config, run.data)
        cadence.total_steps(run.config, Order.of(run.config, task))
        memory.check(run.config, task)
        params = _first_params(run, task, init_from)
        if hosts.leads:
            start.warn(task.notes)
            hosts.of_first(0)  # the run and its data are there to be read
        with contextlib.ExitStack() as stack:
            observers = stack.enter_context(_observers(run, hosts))
            signals = stack.enter_context(interruption.watch())
            ended = loop.train(run, task, observers, signals, params, hosts)
    except BaseException:  # an interruption too
        if is_new and hosts.leads:
            directory.discard_unless_begun(run)
        raise
    if hosts.signal and hosts.leads:
        printing.line(f"  s2sjax train --workdir={run.path}")
    return task, ended


@contextlib.contextmanager
def _observers(run: "RunDirectory", hosts: "Hosts") -> Iterator[Any]:
    from s2sjax.reporting.console import Console
    from s2sjax.reporting.tensorboard import TensorBoard
    from s2sjax.training.observer import Observer, Observers

    if not hosts.leads:
        yield Observer()
        return
    with contextlib.ExitStack() as stack:
        console = stack.enter_context(Console(metric=run.config.train.metric))
        board = TensorBoard(run.path / "tensorboard", console.said)
        stack.enter_context(contextlib.closing(board))
        yield Observers([console, board])


def _conclude(run: "RunDirectory", task: "Task", ended: Any) -> None:
    if ended.trained or not (run.path / CURVES).is_file():
        _draw(run, ended.progress.best_step)
    _summarise(run, task, ended)


def _first_params(run: "RunDirectory", task: Any, init_from: str | None) -> Any:
    import jax

    from s2sjax import rng
    from s2sjax.inference import weights
    from s2sjax.models.seq2seq import build_model, initialise
    from s2sjax.runs.checkpoint import CheckpointReader

    begun = CheckpointReader(run.checkpoints, metric_better="max").steps()
    if init_from is None or begun:
        return None
    model = build_model(
        run.config, len(task.source_vocabulary), len(task.target_vocabulary)
    )
    wanted = jax.eval_shape(lambda: initialise(model, rng.root(0)))
    return weights.read_params(init_from, wanted)


def _draw(run: "RunDirectory", best_step: int) -> None:
    """Draws the curves, where the journal has a line and a picture can be written."""
    from s2sjax.reporting.curves import draw_curves
    from s2sjax.runs import journal

    try:
        entries = journal.read(run.metrics)  # what is damaged, training has said
        if entries:
            best = best_step if best_step >= 0 else None
            draw_curves(entries, run.path / CURVES, run.path.name, best)
    except RunError as error:  # the run itself is done and saved
        start.warn([str(error)])


def _summarise(run: "RunDirectory", task: "Task", ended: Any) -> None:
    """The end of a run: its best checkpoint on test data, and what to do next."""
    from s2sjax.inference import summary
    from s2sjax.inference.evaluate import evaluate
    from s2sjax.inference.load import open_trained
    from s2sjax.metrics import headlines
    from s2sjax.reporting import table
    from s2sjax.reporting.progress_line import ProgressLine
    from s2sjax.reporting.screen import Screen
    from s2sjax.runs import run_files

    if not ended.trained:
        why = {"patience": "no improvement was left", "done": "all steps are done"}
        printing.line(
            f"{run.path} is finished at step {ended.step}: {why[ended.reason]}"
        )
    try:
        result = run_files.read_test(run.path)
    except UsageError as error:
        start.warn([f"{error}; the best checkpoint is evaluated again"])
        result = {}
    if result.get("step") != ended.progress.best_step:
        trained = open_trained(run.path, "best")
        with ProgressLine("evaluation on test") as passed:
            result = evaluate(
                trained, warn=lambda line: start.warn([line]), passed=passed
            )
        summary.write(run.path, result)
    printing.line()
    table.show_evaluation(
        headlines(result, run.config.train.metric),
        Screen(),
        f"best checkpoint (step {result['step']}) on {result['examples']:,} test "
        f"examples",
    )
    where = run.path
    curves = [f"curves: {where / CURVES}"] if (where / CURVES).is_file() else []
    printing.lines(
        [
            "",
            *curves,
            "next:",
            f"  s2sjax eval   --workdir={where}",
            f"  s2sjax decode --workdir={where} -- {_example(task)}",
        ]
    )


def _example(task: "Task") -> str:
    """A test source as it is typed after `decode --`."""
    from s2sjax.inference.evaluate import some_source
    from s2sjax.tasks.task import decode_source

    symbols = decode_source(task, some_source(task.buckets["test"]))
    text = task.source_vocabulary.join(symbols)
    if task.source_vocabulary.kind == "integer":
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
