"""Some predictions of an evaluation, in words for a person."""

from collections.abc import Sequence

import numpy as np

from s2sjax.metrics import Outcomes
from s2sjax.tasks.task import Task, decode_source
from s2sjax.training.observer import Sample


def spread(
    task: Task, count: int, results: Outcomes, sources: Sequence[list[int]]
) -> list[Sample]:
    """So many of them, spread over the examples, which may be sorted by length."""
    source, target = task.source_vocabulary, task.target_vocabulary
    wanted = min(count, len(sources))
    places = np.linspace(0, len(sources) - 1, wanted, dtype=int)
    outputs, targets = results.output.tolist(), results.target.tolist()
    return [
        Sample(
            source.join(decode_source(task, sources[i])),
            target.join(target.decode(outputs[i])),
            target.join(target.decode(targets[i])),
        )
        for i in places
    ]
