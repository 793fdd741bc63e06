"""Which models reverse sequences longer than those they were trained on.

    s2sjax sweep  --config=experiments/length_generalisation.py --workdir=sweeps/longer
    s2sjax report --workdir=sweeps/longer --group_by=model.cell,model.attention

Trained on lengths 1 to 10 and tested on 1 to 40; each cell, with and without
attention, 3 seeds: 18 trials. The best checkpoint is chosen on lengths up to 10.
`report` draws exact match by length; `by_length` in a trial's `test.json` has it too.
`:small` is what `docs/sweeps.md` shows: 1,500 steps instead of 4,000.
"""

from ml_collections import ConfigDict

from s2sjax.config import Config, base_config, parse_arg
from s2sjax.sweeps import Overrides, grid, product, seeds


def get_config(arg: str | None = None) -> ConfigDict:
    variant = parse_arg(arg, smoke=False, small=False)

    config = base_config()
    config.task.name = "reversed"
    config.task.length = 10
    config.task.min_length = 1
    config.task.test_length = 40
    config.task.cardinality = 10
    config.task.num_test = 4000

    config.model.cell = "lstm"
    config.model.units = 64
    config.model.embedding = 20
    config.model.attention = "bahdanau"

    config.train.batch_size = 64
    config.train.steps = 4000
    config.train.learning_rate = 4e-3
    config.train.schedule = "cosine:warmup=200"
    config.train.clip_norm = 1.0
    config.train.eval_every = config.train.save_every = 500
    config.train.threads = 1

    if variant.small:
        config.train.steps = 1500
    if variant.smoke:
        config.task.num_valid = config.task.num_test = 32
        config.model.units = 8
        config.train.steps = 10
        config.train.eval_every = config.train.save_every = 5
    return config


def sweep(config: Config) -> list[Overrides]:
    return product(
        grid(
            {
                "model.cell": ("lstm", "gru", "rnn"),
                "model.attention": ("none", "bahdanau"),
            }
        ),
        seeds(3),
    )
