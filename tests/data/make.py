"""Makes what `test_kept_formats.py` reads: `python tests/data/make.py` in a checkout.

A run of a text with code of the user's, and a sweep of two trials in one program, in
folders named after the format version. Once a version is released what it made stays as
it is, and the test goes on reading it. What names this machine is taken out.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from s2sjax import json_objects  # noqa: E402

FORMAT = json_objects.FORMAT_VERSION
PLACE = "/kept"  # stands for the folder in which all of it was made
LEFT_OUT = ("lock", "log", "tensorboard", "trackers", "code/*.diff", "*.png")


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        for name in ("config.py", "mine.py"):
            shutil.copy(HERE / name, folder)
        numbers = [f"{n:03d}" for n in range(0, 1000, 41)]
        lines = [f"{number}\t{number[::-1]}\n" for number in numbers]
        for place in (folder, HERE):
            (place / "pairs.tsv").write_text("".join(lines))
        command(folder, "train", "--config=config.py:text", "--workdir=run")
        batched = ("--config=config.py", "--workdir=sweep", "--backend=batched")
        command(folder, "sweep", *batched)
        expected = {
            "eval": answer(folder, "eval", "--workdir=run"),
            "decode": answer(folder, "decode", "--workdir=run", "123", "77"),
            "trials": [
                answer(folder, "eval", f"--workdir={trial.relative_to(folder)}")
                for trial in sorted((folder / "sweep" / "trials").iterdir())
            ],
        }
        for name in ("run", "sweep"):
            kept = HERE / f"{name}_v{FORMAT}"
            clean(folder / name, made)
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder / name, kept)
        more = ("--config=config.py:text", "--config.train.steps=12")
        command(folder, "train", *more, "--workdir=run")
        expected["continued"] = answer(folder, "eval", "--workdir=run")
        text = json.dumps(expected, indent=1, sort_keys=True)
        (HERE / f"expected_v{FORMAT}.json").write_text(f"{text}\n")


def command(folder: pathlib.Path, *words: str) -> str:
    """Runs a command in a folder; what it writes to standard output."""
    environ = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "JAX_PLATFORMS": "cpu"}
    environ["XLA_FLAGS"] = ""
    argv = [sys.executable, "-m", "s2sjax", *words]
    done = subprocess.run(argv, cwd=folder, env=environ, stdout=subprocess.PIPE)
    done.check_returncode()
    return done.stdout.decode()


def answer(folder: pathlib.Path, *words: str) -> object:
    """What a command says with `--json`."""
    lines = command(folder, words[0], "--json", *words[1:]).splitlines()
    found = [json.loads(line) for line in lines]
    return found if len(found) > 1 else found[0]


def clean(kept: pathlib.Path, place: str) -> None:
    """Takes out what nobody reads, and the names of places of this machine."""
    for pattern in LEFT_OUT:
        for path in list(kept.rglob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for checkpoints in kept.rglob("checkpoints"):
        for step in sorted(checkpoints.iterdir(), key=lambda p: int(p.name))[:-1]:
            shutil.rmtree(step)  # the last is the best
    for path in [*kept.rglob("*.json"), *kept.rglob("*.jsonl")]:
        text = path.read_text()
        if place not in text:
            continue
        indent = None if path.suffix == ".jsonl" else 1
        values = text.splitlines() if indent is None else [text]
        rows = [json.loads(value.replace(place, PLACE)) for value in values]
        path.write_text("".join(sealed(row, indent) for row in rows))


def sealed(row: dict[str, object], indent: int | None) -> str:
    """The JSON of an object, with its checksum where it had one."""
    if row.pop(json_objects.CHECKSUM, None) is None:
        return json.dumps(row, indent=indent, sort_keys=True) + "\n"
    return json_objects.encode(row, indent=indent)


if __name__ == "__main__":
    main()
