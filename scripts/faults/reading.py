"""Commands that read a directory which is not as it was made, and what they answer."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from faults import examples
from faults.case import (
    Fault,
    Workshop,
    check,
    check_json,
    check_untouched,
    ending,
    new_lines,
    state,
)
from faults.commands import Done


class Reading:
    """Compares what commands say of a changed directory with what they usually say.

    `bases` are the directories: what is shown, and name and maker for `Workshop.made`.
    """

    def __init__(self, shop: Workshop):
        self.shop = shop
        self._usual_answers: dict[tuple[str, ...], tuple[Done, Any]] = {}
        self.bases = {
            "a trained run": examples.trained(shop, "integers"),
            "a run of a user's pattern": examples.trained(shop, "attention"),
            "a run on text": examples.trained(shop, "words"),
            "a run that was killed": examples.cut(shop, "integers"),
            "a sweep": examples.swept(shop, "batched"),
            "a sweep of processes": examples.swept(shop, "processes"),
            "a search": examples.swept(shop, "search"),
        }

    def made(self, chosen: str) -> Path:
        """The folder that holds a base, as `run`."""
        return self.shop.made(*self.bases[chosen])

    def commands(self, chosen: str) -> list[list[str]]:
        """What reads a base, or goes on with it; the frequent ones more than once."""
        base = self.made(chosen)
        run = base / "run"
        trials = sorted((run / "trials").glob("*"))
        one = f"--workdir={(trials[-1] if trials else run).relative_to(base)}"
        symbols = ["the old cat"] if chosen == "a run on text" else ["1"]
        found = [
            ["eval", one, "--json"],
            ["decode", one, "--json", "--checkpoint=last", *symbols],
            ["export", one, "--out=out.safetensors"],
        ]
        if trials:
            again = ["report", "--workdir=run", "--json"]
            return [*found, again, again, *[["sweep", "--workdir=run"]] * 3]
        return [*found, *[["train", "--workdir=run"]] * 3]

    def compare(
        self,
        chosen: str,
        words: Sequence[str],
        change: Callable[[Path], None],
        folder: Path,
        *,
        alone: bool = False,
        is_another: bool = False,
        also: Callable[[Done, list[str]], None] = lambda done, told: None,
    ) -> str:
        """Runs a command twice on a changed copy, and holds its answer to the usual.

        Args:
          chosen: the base.
          words: the command.
          change: takes the folder of the copy.
          folder: where the copy is made, as `copy`.
          alone: in a process of its own, for what is read before jax is imported.
          is_another: the directory is in order and another one, so that its answer
            may be another without a line.
          also: takes the command's end, and its unusual lines.

        Raises:
          Fault: a promise was not kept, or the answer is another in silence.
        """
        usual, wanted = self._usual(chosen, words, alone)
        place = self.shop.copied(*self.bases[chosen], folder / "copy")
        change(place)
        left = answer_of(words, place) if words[0] == "sweep" else {}
        told: list[str] = []
        outcomes = []
        for _ in range(1 if alone else 2):
            before = state(place)
            done = self._command(words, place, alone)
            outcomes.append(check(done))
            check_untouched(before, place, done)
            told += new_lines(done, usual)
            also(done, told)
            if done.code or is_another:
                continue
            answer = answer_of(words, place, done)
            if words[0] == "sweep":
                # What a sweep has no need to read is no answer of it.
                answer = {
                    n: wanted.get(n) if left.get(n) == v else v
                    for n, v in answer.items()
                }
                answer |= {
                    n: v for n, v in wanted.items() if n not in answer and n not in left
                }
            if answer != wanted and not told:
                what = _in_what(answer, wanted)
                raise Fault(f"another answer in silence: {what}", done)
            outcomes[-1] = "told" if answer != wanted else outcomes[-1]
        return outcomes[0]

    def _usual(
        self, chosen: str, words: Sequence[str], alone: bool
    ) -> tuple[Done, Any]:
        key = (chosen, str(alone), *words)
        if key not in self._usual_answers:
            place = self.shop.work / "cases" / "unchanged"
            shutil.rmtree(place, ignore_errors=True)
            self.shop.copied(*self.bases[chosen], place)
            done = self._command(words, place, alone)
            if check(done) != "done":
                raise Fault("an unchanged directory is not read", done)
            self._usual_answers[key] = done, answer_of(words, place, done)
        return self._usual_answers[key]

    def _command(self, words: Sequence[str], place: Path, alone: bool) -> Done:
        if alone:
            return self.shop.commands.alone(words, place, keeps=True)
        return self.shop.commands.inside(words, place)


def answer_of(words: Sequence[str], place: Path, done: Done | None = None) -> Any:
    """What a command says, or what it leaves: the same for the same run."""
    if "--json" in words and done is not None:
        return [_without_folder(each, place) for each in check_json(done)]
    if words[0] == "export":
        return _weights(place / "out.safetensors")
    return ending(place / ("new" if "--workdir=new" in words else "run"))


def _weights(path: Path) -> Any:
    """What a file of weights holds; the order of its metadata is by chance."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    return header, hashlib.sha256(data[8 + size :]).hexdigest()


def _without_folder(value: Any, place: Path) -> Any:
    return json.loads(json.dumps(value).replace(str(place), "FOLDER"))


def _in_what(answer: Any, wanted: Any) -> str:
    one, other = (
        json.dumps(each, sort_keys=True, indent=0) for each in (answer, wanted)
    )
    pairs = zip(one.splitlines(), other.splitlines(), strict=False)
    for line, usual in pairs:
        if line != usual:
            return f"{line[:300]} instead of {usual[:300]}"
    return f"{len(one)} characters instead of {len(other)}"
