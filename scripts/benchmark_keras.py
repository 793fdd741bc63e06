"""The benchmarks' model in Keras 3, as its own seq2seq tutorial writes it.

One-hot vectors go into an LSTM whose state starts a second LSTM, and a softmax over
its outputs; `fit` gets whole numpy arrays. Everything that is not part of the model is
Keras' default: `jit_compile="auto"`, one step per execution, shuffling.
"""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from benchmark_worker import SIZE, JaxDevice
from benchmark_workload import LEARNING_RATE, Workload
from keras import layers

BOS, EOS = 1, 2


class KerasTraining:
    """Training by `fit`, on the backend that KERAS_BACKEND names."""

    def __init__(self, workload: Workload, steps: int, device: str):
        keras.utils.set_random_seed(0)
        self.steps = steps
        self.batch = workload.batch
        source = keras.Input((workload.source, workload.vocabulary))
        inputs = keras.Input((workload.target, workload.vocabulary))
        _, *state = layers.LSTM(workload.units, return_state=True)(source)
        outputs = layers.LSTM(workload.units, return_sequences=True)(
            inputs, initial_state=state
        )
        probabilities = layers.Dense(workload.vocabulary, activation="softmax")(outputs)
        self.model = keras.Model([source, inputs], probabilities)
        self.model.compile(
            optimizer=keras.optimizers.Adam(LEARNING_RATE),
            loss="sparse_categorical_crossentropy",
        )
        self.data = self._data(workload, steps * workload.batch)

    def _data(self, workload: Workload, size: int) -> tuple[list[np.ndarray], Any]:
        """Reversed prefixes: one-hot sources and inputs, ids of the targets."""
        draw = np.random.default_rng(0)
        source = draw.integers(4, workload.vocabulary, (size, workload.source))
        symbols = source[:, : workload.target - 1][:, ::-1]
        edge = np.ones((size, 1), np.int64)
        inputs = np.concatenate([edge * BOS, symbols], axis=1)
        targets = np.concatenate([symbols, edge * EOS], axis=1)
        one_hot = np.eye(workload.vocabulary, dtype=np.float32)
        return [one_hot[source], one_hot[inputs]], targets

    def about(self) -> dict[str, Any]:
        """See `benchmark_worker.Measured`."""
        about = {
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "jit_compile": bool(self.model.jit_compile),
            "parameters": self.model.count_params(),
        }
        if keras.backend.backend() == "jax":
            return {**about, **JaxDevice().describe()}
        import tensorflow as tf

        devices = [each.device_type for each in tf.config.list_physical_devices()]
        return {**about, "tensorflow": tf.__version__, "device": ", ".join(devices)}

    def first(self) -> None:
        """Two batches."""
        (source, inputs), targets = self.data
        some = slice(0, 2 * self.batch)
        self._fit([source[some], inputs[some]], targets[some])

    def round(self) -> dict[str, Any]:
        """See `benchmark_worker.Measured`."""
        start = time.perf_counter()
        loss = self._fit(*self.data)
        seconds = time.perf_counter() - start
        return {"steps": self.steps, "seconds": seconds, "loss": loss}

    def _fit(self, inputs: list[np.ndarray], targets: np.ndarray) -> float:
        history = self.model.fit(
            inputs, targets, batch_size=self.batch, epochs=1, verbose=0
        )
        return float(history.history["loss"][-1])

    def product(self) -> Callable[[], None]:
        """See `benchmark_worker.Measured`."""
        if keras.backend.backend() == "jax":
            return JaxDevice().product()
        import tensorflow as tf

        one = tf.random.normal((SIZE, SIZE))
        other = tf.random.normal((SIZE, SIZE))

        def multiply() -> None:
            tf.linalg.matmul(one, other).numpy()

        return multiply

    def device_peak_mib(self) -> float | None:
        """See `benchmark_worker.Measured`."""
        if keras.backend.backend() == "jax":
            return JaxDevice().device_peak_mib()
        return None
