"""A model, its loss, a training loop of one's own and a beam search, on `s2sjax` alone.

    python docs/examples/minimal.py

learns to reverse short sequences in some seconds and prints what it writes.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import s2sjax as s2s

SYMBOLS, LENGTH = 8, 4  # ids 4 to 11; 0 to 3 are PAD, BOS, EOS and UNK


def examples(random, count):
    """Sequences of one to `LENGTH` symbols, and each in reverse."""
    sources = [
        random.integers(4, 4 + SYMBOLS, random.integers(1, LENGTH + 1)).tolist()
        for _ in range(count)
    ]
    return sources, [source[::-1] for source in sources]


def main(steps=400, attention=None):
    """Trains, and returns the share of new sequences that a beam reverses.

    `attention` is a kind of one's own in place of the config's.
    """
    model = s2s.Seq2Seq(
        s2s.ModelConfig(cell="gru", units=48, attention="bahdanau"),
        source=4 + SYMBOLS,
        target=4 + SYMBOLS,
        attention=attention,
    )
    params = model.init(jax.random.key(0))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(5e-3))
    state = optimizer.init(params)

    @jax.jit
    def train(params, state, batch):
        loss, grads = jax.value_and_grad(s2s.nll)(params, model, batch)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    @jax.jit
    def decode(params, source, lengths):
        step, carry = model.decoder(params, source, lengths)
        return s2s.beam(step, carry, limit=LENGTH + 2, size=4, n=2)

    random = np.random.default_rng(0)
    full = [4] * LENGTH  # a row of full length, so that all batches have one shape
    for number in range(steps):
        sources, targets = examples(random, 63)
        batch = s2s.batch([*sources, full], [*targets, full], model=model)
        params, state, loss = train(params, state, batch)
        if number % 100 == 0:
            print(f"step {number}: {loss:.3f} nats per token")

    sources, targets = examples(random, 100)
    new = s2s.batch(sources, targets, model=model)
    found = decode(params, new.source, new.source_lengths)
    best = found.tokens[:, 0]  # [B, T], EOS included
    wanted = jnp.zeros_like(best).at[:, : new.target.shape[1]].set(new.target)
    right = jnp.all(best == wanted, axis=1)
    print(f"{sources[0]} -> {best[0].tolist()}; {right.mean():.0%} right")
    return float(right.mean())


if __name__ == "__main__":
    main()
