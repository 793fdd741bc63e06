"""Sweep directories made up for tests: rows, journals and samples."""

import itertools
import json

from s2sjax import config as configs
from s2sjax import json_objects

HOSTILE = "</script><script>window.hostile = 1</script><img src=x onerror=alert(1)>"


def grid(**fields):
    """Overrides for every combination; `task__length` stands for task.length."""
    names = [name.replace("__", ".") for name in fields]
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*fields.values())
    ]


def row(index, overrides, status="done", best_step=100, test=None, **metrics):
    """A row whose test, unless it is given, is that of its validation metrics."""
    measured = metrics if test is None else test
    return {
        "index": index,
        "name": f"{index:04d}-trial",
        "overrides": overrides,
        "status": status,
        "valid": metrics,
        "test": measured if status == "done" else {},
        "best_step": best_step if metrics else None,
        "seed": overrides.get("seed", 0),
        "seconds": 1.5,
        "device": "cpu",
        "error": "diverged " + HOSTILE if status == "failed" else "",
        "command": f"s2sjax train --workdir={index}",
    }


def line(row):
    """A row as it is written."""
    return json_objects.encode(row, indent=None).rstrip()


def write(directory, rows, journals=None):
    """Writes the rows, texts as they are; `journals` has their journals by index."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = [one if isinstance(one, str) else line(one) for one in rows]
    (directory / "trials.jsonl").write_text("".join(f"{line}\n" for line in lines))
    for one in rows:
        entries = (journals or {}).get(one["index"]) if isinstance(one, dict) else None
        if entries is not None:
            folder = directory / "trials" / one["name"]
            folder.mkdir(parents=True, exist_ok=True)
            text = "".join(f"{json.dumps(entry)}\n" for entry in entries)
            (folder / "metrics.jsonl").write_text(text)
    return directory


def launched(directory, one, config):
    """Gives a row the config that its trial was launched with; the trial's folder."""
    resolved = configs.resolve({"train": {"steps": 9}, **config})
    config = json.loads(configs.canonical_json(resolved))
    folder = directory / "trials" / one["name"]
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"config": config, "overrides": one["overrides"]}
    (folder / "trial.json").write_text(json_objects.encode(kept))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def journal(final, steps=(100, 200, 300), samples=True):
    """A journal that rises to `final`."""
    entries = []
    for place, step in enumerate(steps, start=1):
        exact = final * place / len(steps)
        entries.append({"step": step, "kind": "train", "loss": 1.0})
        valid = {"examples": 10, "exact": exact, "nll": 3.0 - exact}
        entries.append({"step": step, "kind": "valid", **valid})
    if samples:
        shown = [["1 2 3", "3 2 1", "3 2 1"], [HOSTILE, "x & y", "<b>"]]
        entries.append({"step": steps[-1], "kind": "samples", "samples": shown})
    return entries


def exact_of(overrides):
    """A value for every trial, so that each cell has another mean."""
    length = overrides.get("task.length") or 7
    cardinality = overrides.get("task.cardinality", 13)
    seed = overrides.get("seed", 0)
    return round(1 / (1 + 0.013 * length * (1 + cardinality / 40)) - 0.017 * seed, 4)


def sweep(directory, overrides, statuses=()):
    """A sweep of `overrides`; `statuses` maps an index to one that is not done."""
    statuses = dict(statuses)
    rows, journals = [], {}
    for index, one in enumerate(overrides):
        status, exact = statuses.get(index, "done"), exact_of(one)
        numbers = (
            {"exact": exact, "nll": 3.0 - exact} if status in ("done", "pruned") else {}
        )
        rows.append(row(index, one, status, **numbers))
        if status != "pending":
            journals[index] = journal(exact)
    return write(directory, rows, journals)


LENGTHS_AND_CARDINALITIES = grid(
    task__length=[5, 10, 20], task__cardinality=[10, 50], seed=[0, 1, 2]
)
EVERY_KIND = {
    "one trial": ([{"task.length": 5, "seed": 1}], {}),
    "no overrides": ([{}], {}),
    "seeds alone": (grid(seed=[0, 1, 2]), {}),
    "one factor": (grid(train__learning_rate=[1e-4, 1e-3], seed=[0, 1]), {}),
    "texts": (grid(model__cell=["lstm", HOSTILE, ""], train__feeding=["gold"]), {}),
    "none done": (grid(task__length=[5, 10]), {0: "running", 1: "pending"}),
    "all failed": (grid(task__length=[5, 10]), {0: "failed", 1: "failed"}),
    "mixed": (
        LENGTHS_AND_CARDINALITIES,
        {0: "failed", 4: "running", 5: "pending", 6: "pruned", 7: "failed"},
    ),
    "five factors": (
        grid(
            task__length=[5, 10],
            task__cardinality=[10, 50],
            task__name=["reversed", "sorted"],
            model__attention=["none", "bahdanau"],
            model__layers=[1, 2],
        ),
        {},
    ),
    "unequal kinds": (
        [{"task.length": 5}, {"task.length": None}, {"model.bidirectional": True}],
        {},
    ),
}
