"""The small experiments that every kind of fault is tried on."""

from collections.abc import Callable, Sequence
from pathlib import Path

from faults.case import Fault, Workshop, check
from faults.commands import Commands, Done

COMMON = """
from s2sjax.config import base_config
from s2sjax.sweeps import choice, grid, product, seeds


def get_config(arg=None):
    config = base_config()
    config.model.units, config.model.embedding = 4, 4
    config.train.batch_size, config.train.steps = 4, 12
    config.train.log_every, config.train.eval_every, config.train.save_every = 2, 3, 3
    config.train.metric, config.train.threads = "nll", 1
    config.decode.batch_size, config.decode.length_ratio = 8, 1.0
    config.decode.length_extra = 3
"""
EXPERIMENTS = {
    "integers": """
    config.task.length, config.task.min_length, config.task.cardinality = 5, 1, 4
    config.task.num_train, config.task.num_valid, config.task.num_test = 64, 8, 8
    config.model.dropout_output = 0.1
    return config


def sweep(config):
    return product(grid({"train.learning_rate": (1e-2, 3e-2)}), seeds(2))[:2]


def sweep_all(config):
    return product(grid({"train.learning_rate": (1e-2, 3e-2)}), seeds(2))


def search(config):
    return {"train.learning_rate": choice(1e-2, 3e-2), "seed": choice(0, 1)}
""",
    "attention": """
    config.task.name = "FOLDER/pattern.py:twice"
    config.task.length, config.task.min_length, config.task.cardinality = 4, 1, 3
    config.task.num_train, config.task.num_valid, config.task.num_test = 40, 8, 8
    config.model.cell, config.model.attention = "gru", "bahdanau"
    config.train.feeding, config.train.feeding_probability = "argmax", 0.5
    config.train.objective = "FOLDER/objective.py:mine"
    return config
""",
    "words": """
    config.task.name, config.task.level = "text", "word"
    config.task.path = "FOLDER/pairs.tsv"
    config.model.cell, config.train.buckets = "gru", 2
    return config
""",
}
PATTERN = """
def twice(numbers):
    return [number for number in numbers for _ in range(2)]
"""
OBJECTIVE = """
from s2sjax.training.objectives.likelihood import nll


def mine():
    return nll
"""
WORDS = ("the", "old", "cat", "sees", "a", "bird", "élan", "naïve", "日本", "<b>")


def config(work: Path, name: str) -> Path:
    """The config file of an experiment, with the files that it needs."""
    folder = work / "examples"
    path = folder / f"{name}.py"
    if not path.is_file():
        folder.mkdir(exist_ok=True)
        (folder / "pattern.py").write_text(PATTERN, encoding="utf-8")
        (folder / "objective.py").write_text(OBJECTIVE, encoding="utf-8")
        lines = []
        for number in range(60):
            words = [WORDS[(number * k + k) % len(WORDS)] for k in range(2, 5)]
            lines.append(f"{' '.join(words)}\t{' '.join(reversed(words))}\n")
        (folder / "pairs.tsv").write_text("".join(lines), encoding="utf-8")
        text = COMMON + EXPERIMENTS[name].replace("FOLDER", str(folder))
        path.write_text(text, encoding="utf-8")
    return path


def train(work: Path, name: str) -> list[str]:
    """The command that trains an experiment in `run`."""
    return ["train", f"--config={config(work, name)}", "--workdir=run"]


SWEEPS: dict[str, tuple[str, ...]] = {
    "batched": ("--backend=batched",),
    "processes": ("--backend=processes", "--workers=2"),
    "search": ("--search=tpe:seed=1", "--max_trials=2", "--backend=batched"),
    "searched": (
        *("--search=random:seed=1", "--max_trials=2"),
        *("--backend=processes", "--workers=1"),
    ),
}


def sweep(work: Path, name: str) -> list[str]:
    """The command that runs a sweep of `SWEEPS` in `run`."""
    start = ["sweep", f"--config={config(work, 'integers')}", "--workdir=run"]
    return [*start, *SWEEPS[name]]


def searched(work: Path, name: str) -> list[str]:
    """The command that trains all that a search of `SWEEPS` can propose."""
    backend = [word for word in SWEEPS[name] if not word.startswith("--search")]
    backend = [word for word in backend if not word.startswith("--max_trials")]
    start = ["sweep", f"--config={config(work, 'integers')}", "--workdir=run"]
    return [*start, "--sweep=all", *backend]


def by_process(commands: Commands, argv: Sequence[str]) -> Callable[[Path], None]:
    """Makes a folder by a command in a process, as the campaign's cases run it."""
    return lambda folder: _ended_well(commands.alone(argv, folder, keeps=True))


def by_worker(commands: Commands, argv: Sequence[str]) -> Callable[[Path], None]:
    """Makes a folder by a command inside the worker."""
    return lambda folder: _ended_well(commands.inside(argv, folder))


def trained(shop: Workshop, name: str) -> tuple[str, Callable[[Path], None]]:
    """Name and maker of a finished run, for `Workshop.made`."""
    return f"trained-{name}", by_worker(shop.commands, train(shop.work, name))


def swept(shop: Workshop, name: str) -> tuple[str, Callable[[Path], None]]:
    """Name and maker of a finished sweep; a backend of processes needs one."""
    argv = sweep(shop.work, name)
    alone = "processes" in " ".join(argv)
    maker = by_process if alone or "search" in name else by_worker
    return f"swept-{name}", maker(shop.commands, argv)


def cut(shop: Workshop, name: str) -> tuple[str, Callable[[Path], None]]:
    """Name and maker of a run that was killed halfway."""

    def make(folder: Path) -> None:
        argv = train(shop.work, name)
        done = shop.commands.alone(
            argv, folder, failpoint="checkpoint.before_save:kill:3", keeps=True
        )
        if done.code != -9:
            raise Fault("it was not killed at its third checkpoint", done)

    return f"cut-{name}", make


def _ended_well(done: Done) -> None:
    check(done)
    if done.code:
        raise Fault(f"an undisturbed command ended with code {done.code}", done)
