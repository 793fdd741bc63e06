"""`s2sjax train`: starts a run, or continues it."""

import contextlib
import re
import shlex
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from s2sjax.cli import printing, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.config import code_files
from s2sjax.errors import UsageError
from s2sjax.experiment import is_json, locate
from s2sjax.schema import written

if TYPE_CHECKING:
    from s2sjax.config import Config
    from s2sjax.runs.directory import OtherRun, RunDirectory
    from s2sjax.tasks import Task
    from s2sjax.training.hosts import Hosts
    from s2sjax.training.loop import Ended

FLAGS = (
    Flag(
        "multihost",
        "this is one of several processes that train the run; --workdir is shared",
        False,
        type=bool,
        argument="multihost",
    ),
    Flag(
        "coordinator",
        "process 0, where the cluster's environment does not say it",
        value="HOST:PORT",
        argument="coordinator",
    ),
    Flag(
        "process_id", "which process this is", type=int, least=0, argument="process_id"
    ),
    Flag("processes", "how many there are", type=int, least=1, argument="processes"),
    Flag(
        "heartbeat",
        "seconds without a sign of life after which a process is lost and the others "
        "end, the same for all; unset: 30",
        type=int,
        least=5,
        argument="heartbeat",
    ),
)


def check(values: SimpleNamespace) -> None:
    """Whether the flags fit one another; imports no jax.

    Raises:
      UsageError: they do not.
    """
    given = {flag.name: getattr(values, flag.name) for flag in FLAGS[1:]}
    flags = [f"--{name}={value}" for name, value in given.items() if value is not None]
    if flags and not values.multihost:
        raise UsageError(f"{' '.join(flags)}: give --multihost with it")
    places = ("coordinator", "process_id", "processes")
    flags = [f"--{name}={given[name]}" for name in places if given[name] is not None]
    if flags and len(flags) < len(places):
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


def joined(parsed: Parsed) -> contextlib.AbstractContextManager["Hosts"]:
    """The processes of the run; this one alone without `--multihost`."""
    from s2sjax.runs import run_files
    from s2sjax.training import hosts

    values = parsed.values
    if not values.multihost:
        return contextlib.nullcontext(hosts.Hosts())
    path = run_files.checked_path(values.workdir)
    given = (values.coordinator, values.process_id, values.processes)
    return hosts.joined(path, parsed.say, *given, values.heartbeat)


COMMAND = Command(
    "train",
    "Trains a model; on a directory that holds a run, continues it.\n"
    "With --config on such a directory the config is only compared.",
    flags=(
        Flag(
            "workdir",
            "where the run is kept",
            value="DIR",
            required=True,
            argument="path",
        ),
        Flag(
            "init_from",
            "begin with the parameters of a run or of an exported file",
            value="DIR|FILE.safetensors",
            argument="init_from",
        ),
        start.TRACKER,
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


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    from s2sjax.runs import directory

    check(parsed.values)
    path = parsed.values.workdir
    try:
        config, record = directory.agreed_config(path, parsed.config)
    except directory.OtherRun as error:
        raise UsageError(f"{error.what}: {_another(error)}") from None
    if parsed.values.no_user_code:
        start.refuse_user_code(config, f"--workdir={path}")
    start.check_tracker(parsed.values)
    start.prepare(config.train, start.recorded_flags(record), quiet=False)

    from s2sjax.commands import train
    from s2sjax.reporting.progress_line import ProgressLine
    from s2sjax.runs import code, run_files
    from s2sjax.training.check import check as check_config

    init_from = train.beginning(path, parsed.values.init_from, record)
    with contextlib.ExitStack() as stack:
        with joined(parsed) as hosts, hosts.together():
            if hosts.leads:
                there = run_files.checked_path(path)
                asked = run_files.read_config(there) if record else config
                file = parsed.config_file
                code.announce(
                    there,
                    code.pattern(asked) | code_files(asked),
                    parsed.say,
                    named=bool(file) and not is_json(locate(file)[0]),
                )
            check_config(config, is_new=not record, draws=init_from is None)
            tracker = parsed.values.tracker
            observers = train.tracking(path, config, tracker) if hosts.leads else []
            # Of all hosts: each waits here until the others are there.
            about = train.described(["s2sjax", *sys.argv[1:]], init_from)
            run = stack.enter_context(
                train.opened(path, parsed.config, about, hosts, parsed.say)
            )
            for each in observers:
                stack.enter_context(contextlib.closing(each))
            with train.observing(run, observers, verbose=hosts.leads) as observer:
                task, ended = train.begin(
                    run, init_from, observer, hosts, parsed.say, is_new=not record
                )
            if hosts.signal and hosts.leads:
                printing.line(f"  s2sjax train --workdir={run.path}")
        if hosts.leads and not hosts.signal:
            result = train.conclude(run, ended, observers, parsed.say, ProgressLine)
            _summarise(run, task, ended, result)
        return hosts.exit_code


def _another(error: "OtherRun") -> str:
    """The command that begins the other run."""
    words = ["s2sjax", "train", f"--config={error.path}"]
    words += [f"--config.{field}={written(v)}" for field, v in error.changes.items()]
    words += [f"--init_from={error.path}"] * error.begins
    return shlex.join([*words, f"--workdir={error.new}"])


def _summarise(
    run: "RunDirectory", task: "Task", ended: "Ended", result: dict[str, Any]
) -> None:
    """The end of a run: its best checkpoint on test data, and what to do next."""
    from s2sjax.commands.train import CURVES
    from s2sjax.metrics import headlines
    from s2sjax.reporting import table
    from s2sjax.reporting.screen import Screen

    if not ended.trained:
        why = {"patience": "no improvement was left", "done": "all steps are done"}
        printing.line(
            f"{run.path} is finished at step {ended.step}: {why[ended.reason]}"
        )
    printing.line()
    table.show_evaluation(
        headlines(result, run.config.train.metric_name),
        Screen(),
        f"best checkpoint (step {result['step']}) on {result['examples']:,} test "
        f"examples",
        chosen=run.config.train.metric,
        whole=True,
    )
    where = run.path
    curves = [f"curves: {where / CURVES}"] if (where / CURVES).is_file() else []
    printing.lines(
        [
            *curves,
            "next:",
            f"  s2sjax eval   --workdir={where}",
            f"  s2sjax decode --workdir={where} {_example(run.config, task)}",
        ]
    )


def _example(config: "Config", task: "Task") -> str:
    """A test source as it is typed after `decode`, with its features."""
    if config.task.of_numbers:
        file = config.task.path
        return f"--from_file={file}" if file else "--split=test --examples=3"
    from s2sjax.inference.evaluate import some_source
    from s2sjax.tasks.levels import Feature
    from s2sjax.tasks.task import decode_source

    symbols = decode_source(task, some_source(task.buckets["test"]))
    tags = [symbol.name for symbol in symbols if isinstance(symbol, Feature)]
    text = task.source_vocabulary.join(symbols[len(tags) :])
    if task.source_vocabulary.kind == "integer":
        return f"-- {text}"
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'--features="{";".join(tags)}" ' * bool(tags) + f'-- "{text}"'
