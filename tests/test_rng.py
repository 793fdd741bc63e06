"""Keys by name and number."""

import jax
import numpy as np

from s2sjax import rng


def bits(key):
    return np.asarray(jax.random.key_data(key)).tolist()


def test_a_stream_is_a_function_of_its_name_and_all_its_numbers_in_order():
    root = rng.root(0)
    keys = [
        root,
        rng.root(1),
        rng.stream(root, "a"),
        rng.stream(root, "b"),
        rng.stream(rng.root(1), "a"),
        rng.stream(root, "a", 0),
        rng.stream(root, "a", 1),
        rng.stream(root, "a", 1, 0),
        rng.stream(root, "a", 0, 1),
    ]
    assert len({tuple(bits(key)) for key in keys}) == len(keys)
    assert bits(rng.stream(root, "a", 1, 2)) == bits(rng.stream(root, "a", 1, 2))


def test_seed_and_numbers_may_be_traced():
    traced = jax.jit(lambda seed, step: rng.stream(rng.root(seed), "data", step))
    for seed, step in ((0, 0), (5, 70_000), (2**31 - 1, 1)):
        expected = rng.stream(rng.root(seed), "data", step)
        assert bits(traced(seed, step)) == bits(expected)


def test_the_key_of_an_example_does_not_depend_on_its_neighbours():
    key = rng.stream(rng.root(3), "step", 9)
    batch = rng.per_example(key, np.array([5, 0, 2, 5], np.int32))
    assert batch.shape == (4,)
    for index, number in enumerate((5, 0, 2, 5)):
        assert bits(batch[index]) == bits(jax.random.fold_in(key, number))
    assert bits(batch[0]) == bits(batch[3]) != bits(batch[1])


def test_a_stream_has_the_bits_of_its_definition():
    # The name's CRC-32 is part of a run's result: another hash is another run.
    expected = jax.random.fold_in(jax.random.key(7), crc(b"dropout"))
    assert bits(rng.stream(rng.root(7), "dropout")) == bits(expected)


def crc(data):
    """CRC-32 (IEEE 802.3), bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0xEDB88320 if value & 1 else 0)
    return value ^ 0xFFFFFFFF
