"""`inputs`: hostile numbers, texts, specs, configs, corpora and files, on each command.

Each ends as promised: a result, or one line; exit 2 leaves nothing.
"""

import inspect
import json
import random
import signal
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from faults import examples
from faults.case import Case, Fault, Workshop, check, check_json, check_untouched, state
from faults.commands import HERE, PATIENCE

# By what they are; a config of `configs` is what a file does where it should return
# one (CONFIG is a good one), and one of `functions` what a user's task does.
HOSTILE = json.loads((HERE / "hostile.json").read_text(encoding="utf-8"))
NINES = "9" * 5000
NUMBERS = (*HOSTILE["numbers"], NINES, "-" + NINES, "0." + NINES)
TEXTS = (*HOSTILE["texts"], "x" * 5000, "x " * 3000, "a" * 300)
BYTES = (
    *(text.encode("latin-1") for text in HOSTILE["bytes"]),
    *(b"a" * 100_000 + b"\tb\n", b"a " * 50_000 + b"\tb\n", b"\t".join([b"a"] * 9999)),
)
JSONS = (*HOSTILE["jsons"], "[" * 100_000, '{"input": "' + "1 " * 3000 + '"}')
CONFIGS = (*HOSTILE["configs"], "x" * 9999)
FUNCTIONS, SWEEPS = HOSTILE["functions"], HOSTILE["sweeps"]


# Flags that take specs, and the beginnings of specs, to which a value is added.
SPECS = {
    "config.train.optimizer": "adam:b1= adam:b2= adam:eps= sgd:momentum= adamw:b1= ",
    "config.train.schedule": "cosine:warmup= cosine:final= rsqrt:warmup= ",
    "search": "tpe:seed= random:seed= gp:seed=",
    "pruner": "asha: median:",
    "backend": "ray:cpus= slurm:minutes= processes:",
}


class Asked(NamedTuple):
    """A command, and the files that it needs in its folder."""

    said: str
    argv: list[str]
    files: Mapping[str, bytes] = {}
    may_last: bool = False  # what is asked for may take long; SIGTERM must end it


class Inputs:
    """The kind; see `case.Kind`."""

    def __init__(self, shop: Workshop):
        self.shop = shop

    def case(self, draw: random.Random, number: int) -> Case:
        """See `case.Kind`."""
        sort = list(SORTS)[number % len(SORTS)]
        asked = SORTS[sort](self, draw)

        def run(folder: Path) -> str:
            return self._run(asked, folder)

        return Case(sort, asked.said, run)

    def _run(self, asked: Asked, folder: Path) -> str:
        for name, data in asked.files.items():
            (folder / name).write_bytes(data)
        before = state(folder)
        patience = 15.0 if asked.may_last else PATIENCE
        done = self.shop.commands.inside(asked.argv, folder, patience=patience)
        # Before it listens to SIGTERM, that kills it.
        is_killed = asked.may_last and done.asked and done.code == -signal.SIGTERM
        outcome = "stopped" if is_killed else check(done)
        if done.asked and not asked.may_last:
            raise Fault(f"it did not end within {patience:.0f} s", done)
        check_untouched(before, folder, done)
        if "--json" in asked.argv and done.code == 0:
            check_json(done)
        if (folder / "made").exists():
            raise Fault("a text was executed", done)
        return outcome

    def run_of(self, name: str) -> Path:
        """A trained run, which no command of this kind changes."""
        return self.shop.made(*examples.trained(self.shop, name)) / "run"

    def config(self, name: str = "integers") -> str:
        """A config's path."""
        return str(examples.config(self.shop.work, name))

    # Each draws a command.

    def field(self, draw: random.Random) -> Asked:
        """A field of a config."""
        from s2sjax.schema import fields

        name = draw.choice(list(fields()))
        value = draw.choice(NUMBERS if draw.random() < 0.7 else TEXTS)
        which = draw.choice(("integers", "words"))
        start = [f"--config={self.config(which)}", f"--config.{name}={value}"]
        if draw.random() < 0.4:
            argv = ["config", "show", *start]
            return Asked(f"config show {name}={_short(value)}", argv)
        ends = name in ("train.steps", "train.epochs")
        steps = [] if ends else ["--config.train.steps=2"]
        argv = ["train", *start, *steps, "--workdir=run"]
        return Asked(f"train {which} {name}={_short(value)}", argv, may_last=True)

    def strategy(self, draw: random.Random) -> Asked:
        """A decoding strategy, its arguments and the rules of all."""
        from s2sjax.decoding.base import Rules
        from s2sjax.decoding.strategies import STRATEGIES, arguments_of

        name = draw.choice(list(STRATEGIES))
        own = [parameter.name for parameter in arguments_of(STRATEGIES[name])]
        known = own + list(inspect.signature(Rules).parameters)
        argument = draw.choice(known)
        value = draw.choice(NUMBERS if draw.random() < 0.8 else TEXTS)
        text = f"{name}:{argument}={value}"
        if draw.random() < 0.2:
            text = _garbled(text[:60], draw)
        run = self.run_of(draw.choice(("integers", "words")))
        command = draw.choice(("decode", "eval"))
        argv = [command, f"--workdir={run}", f"--strategy={text}", "--json"]
        argv += ["1"] if command == "decode" else ["--examples=2"]
        return Asked(f"{command} {run.parent.name} {_short(text)}", argv, may_last=True)

    def spec(self, draw: random.Random) -> Asked:
        """An optimiser, a schedule, a sampler, a pruner, a backend."""
        value = draw.choice(NUMBERS if draw.random() < 0.8 else TEXTS)
        flag = draw.choice(list(SPECS))
        argument = draw.choice(SPECS[flag].split(" "))
        words = f"--{flag}={argument}{value}"
        start = [f"--config={self.config()}", "--workdir=run"]
        said = f"{flag} {argument}{_short(value)}"
        if flag.startswith("config"):
            argv = ["train", *start, words, "--config.train.steps=2"]
            return Asked(said, argv, may_last=True)
        rest = ["--max_trials=1", words, *([] if flag == "search" else ["--dry_run"])]
        if flag == "pruner":
            rest = [words, "--search=random:seed=1", "--max_trials=1"]
        return Asked(said, ["sweep", *start, *rest], may_last=True)

    def flag(self, draw: random.Random) -> Asked:
        """A flag of any command."""
        from s2sjax.cli import COMMANDS

        command = draw.choice(
            [c for c in COMMANDS if c.name not in ("doctor", "bench")]
        )
        flag = draw.choice(command.flags) if command.flags else None
        value = draw.choice(NUMBERS if draw.random() < 0.5 else TEXTS)
        argv = [*command.name.split()]
        if command.name in ("eval", "decode", "score", "export"):
            argv.append(f"--workdir={self.run_of('integers')}")
        elif command.name in ("train", "sweep"):
            argv += [f"--config={self.config()}", "--workdir=run"]
            argv += ["--config.train.steps=2"]
        argv.append(f"--{flag.name if flag else 'x'}={value}")
        if command.name == "decode" and draw.random() < 0.8:
            argv.append("1")
        said = f"{command.name} --{flag.name if flag else 'x'}={_short(value)}"
        return Asked(said, argv, may_last=command.name in ("train", "sweep", "eval"))

    def text(self, draw: random.Random) -> Asked:
        """Symbols and texts on the command line."""
        which = draw.choice(("integers", "words", "attention"))
        texts = [draw.choice(TEXTS + NUMBERS) for _ in range(draw.choice((1, 1, 3)))]
        argv = ["decode", f"--workdir={self.run_of(which)}"]
        argv += ["--json"] * (draw.random() < 0.5) + ["--"] * (draw.random() < 0.7)
        return Asked(f"decode {which} {_short(str(texts))}", argv + texts)

    def file(self, draw: random.Random) -> Asked:
        """A file of inputs."""
        which = draw.choice(("integers", "words"))
        command = draw.choice(("decode", "decode", "score"))
        text = draw.choice(JSONS)
        if draw.random() < 0.3:
            text = json.dumps(
                {"input": draw.choice(TEXTS), "output": draw.choice(TEXTS)}
            )
        data = text.encode("utf-8", "surrogatepass")
        if draw.random() < 0.3:
            data = draw.choice(BYTES)
        argv = [command, f"--workdir={self.run_of(which)}", "--from_file=file"]
        argv += ["--json"] * (draw.random() < 0.6)
        return Asked(f"{command} {which} {_short(data)}", argv, {"file": data})

    def corpus(self, draw: random.Random) -> Asked:
        """A corpus."""
        data = draw.choice(BYTES)
        if draw.random() < 0.5:  # a few strange lines in a good one
            good = [
                f"a{n % 7} b{n % 5}\tb{n % 5} a{n % 7}\n".encode() for n in range(40)
            ]
            good.insert(draw.randrange(41), data[:200_000])
            data = b"".join(good)
        level = draw.choice(("char", "word"))
        argv = ["train", f"--config={self.config('words')}", "--workdir=run"]
        argv += ["--config.task.path=corpus.tsv", f"--config.task.level={level}"]
        argv += ["--config.train.steps=2"]
        said = f"train {level} {_short(data)}"
        return Asked(said, argv, {"corpus.tsv": data}, may_last=True)

    def config_file(self, draw: random.Random) -> Asked:
        """A config file."""
        text = draw.choice(CONFIGS)
        good = Path(self.config()).read_text(encoding="utf-8")
        command = draw.choice(
            ("config show", "train", "sweep --dry_run", "config diff")
        )
        argv = [*command.split(), "--config=file.py"]
        argv += ["--workdir=run"] if command[0] in "ts" else []
        argv += ["--config.train.steps=2"] if command == "train" else []
        if command == "config diff":
            argv = [*command.split(), "file.py", self.config()]
        data = text.replace("CONFIG", good).encode()
        return Asked(f"{command} {_short(text)}", argv, {"file.py": data})

    def function(self, draw: random.Random) -> Asked:
        """A user's task."""
        body = draw.choice(FUNCTIONS)
        argv = ["train", f"--config={self.config()}", "--workdir=run"]
        argv += ["--config.task.name=file.py:f", "--config.train.steps=2"]
        data = f"def f(numbers):\n    {body}\n".encode()
        return Asked(f"train {_short(body)}", argv, {"file.py": data}, may_last=True)

    def sweep(self, draw: random.Random) -> Asked:
        """What a config says of a sweep or a search."""
        body = draw.choice(SWEEPS)
        kind = draw.choice(("sweep", "sweep", "search"))
        good = Path(self.config()).read_text(encoding="utf-8")
        data = f"{good}\n\ndef {kind}(config):\n    {body}\n".encode()
        argv = ["sweep", "--config=file.py", "--workdir=run", "--config.train.steps=2"]
        if kind == "search":
            argv += ["--search=random:seed=1", "--max_trials=1"]
        elif draw.random() < 0.7:
            argv += ["--dry_run"] + ["--json"] * (draw.random() < 0.5)
        return Asked(f"{kind} {_short(body)}", argv, {"file.py": data}, may_last=True)

    def path(self, draw: random.Random) -> Asked:
        """A path."""
        text = draw.choice(TEXTS)
        run = self.run_of("integers")
        good = f"--config={self.config()}"
        argv = draw.choice(
            (
                *(["train", good, "--config.train.steps=2"], ["eval", "--examples=2"]),
                *(["decode", "1"], ["report", f"--html={text}"]),
                ["export", f"--workdir={run}", f"--out={text}"],
                ["decode", f"--workdir={run}", f"--states={text}.npz", "1"],
                ["train", f"--config={text}", "--workdir=run"],
                *(["train", good, f"--init_from={text}"], ["sweep", good, "--dry_run"]),
            )
        )
        if not any(word.startswith("--workdir") for word in argv):
            argv = [*argv, f"--workdir={text}"]
        inside = [word.replace("=/", "=./").replace("=~", "=./~") for word in argv]
        inside = [w.replace("=../../..", "=sub/../..") for w in inside]
        kept = [
            w if str(run) in w or self.config() in w else i
            for w, i in zip(argv, inside, strict=True)
        ]
        said = f"{argv[0]} {_short(text)}: {_short(argv[-2])}"
        return Asked(said, kept, may_last=True)

    def weights(self, draw: random.Random) -> Asked:
        """A file of weights."""
        kind = draw.choice(("header", "length", "bytes", "dtype", "shape", "empty"))
        size = draw.choice((0, 8, 2**20, 2**40, 2**63))
        header: Any = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
        if kind == "dtype":
            header["a"]["dtype"] = draw.choice(("F8_E4M3", "BF16", "U64", "X", 3, None))
        elif kind == "shape":
            header["a"]["shape"] = draw.choice(([-1], [2**62], 3, [1, 2, 3], ["2"]))
        elif kind == "header":
            header = draw.choice(
                ([], {"a": 1}, {"\x1b[31m": {}}, 3, {"__metadata__": 3})
            )
        text = json.dumps(header).encode()
        length = size if kind == "length" else len(text)
        data = struct.pack("<Q", length % 2**64) + text + b"\0" * 8
        data = {"bytes": draw.randbytes(64), "empty": b""}.get(kind, data)
        argv = ["train", f"--config={self.config()}", "--workdir=run"]
        argv += ["--init_from=file.safetensors", "--config.train.steps=2"]
        said = f"init_from {kind} {_short(data[:60])}"
        return Asked(said, argv, {"file.safetensors": data})

    def words(self, draw: random.Random) -> Asked:
        """A command line that is garbled."""
        run = self.run_of("integers")
        good = self.config()
        text = draw.choice(
            (
                f"train --config={good} --workdir=run --config.train.steps=2",
                f"decode --workdir={run} --strategy=beam:size=2 1 2",
                f"eval --workdir={run} --examples=2 --json --split=test",
                f"sweep --config={good} --dry_run --json",
                f"config diff {good} {self.config('words')}",
                "tasks",
            )
        )
        argv = text.split()
        for _ in range(draw.choice((1, 1, 2))):
            place = draw.randrange(len(argv))
            how = draw.randrange(5)
            if how == 0 and len(argv) > 1:
                del argv[place]
            elif how == 1:
                argv.insert(place, argv[place])
            elif how == 2:
                argv.insert(place, draw.choice(TEXTS))
            elif how == 3:
                other = draw.randrange(len(argv))
                argv[place], argv[other] = argv[other], argv[place]
            elif "/" not in argv[place]:
                argv[place] = _garbled(argv[place], draw)
        return Asked(_short(" ".join(argv)), argv, may_last=True)


def _garbled(text: str, draw: random.Random) -> str:
    letters = list(text)
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(letters) + 1)
        if draw.random() < 0.5 and letters:
            del letters[min(place, len(letters) - 1)]
        else:
            letters.insert(place, draw.choice(":=,.()-0 \t\x1b'x%"))
    return "".join(letters)


def _short(text: str | bytes) -> str:
    shown = ascii(text[:60]) + f"..({len(text)})" * (len(text) > 60)
    return shown.removeprefix("b")


SORTS: dict[str, Callable[[Inputs, random.Random], Asked]] = {
    "field": Inputs.field,
    "strategy": Inputs.strategy,
    "spec": Inputs.spec,
    "flag": Inputs.flag,
    "text": Inputs.text,
    "file": Inputs.file,
    "corpus": Inputs.corpus,
    "config": Inputs.config_file,
    "function": Inputs.function,
    "sweep": Inputs.sweep,
    "path": Inputs.path,
    "weights": Inputs.weights,
    "words": Inputs.words,
}
