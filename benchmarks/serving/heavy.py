"""A model that accepts the taxi model's requests and uses 10 ms of a core per call.

    python -m benchmarks.serving.heavy FOLDER

For overload: the taxi model computes a request faster than the next one of that size arrives.
"""

import sys
from typing import Any

import tensorflow as tf

_SIZE, _TIMES = 300, 40


class _Heavy(tf.Module):  # type: ignore[misc]
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])  # type: ignore[untyped-decorator]
    def predict(self, examples: Any) -> dict[str, Any]:
        """The same number for each example: `[rows, 1]`."""
        # Depends on the examples, otherwise TensorFlow would fold it into a constant.
        bytes_ = tf.cast(tf.reduce_sum(tf.strings.length(examples)), tf.float32)
        matrix = tf.random.stateless_uniform([_SIZE, _SIZE], [1, 2]) * bytes_ / 1e6
        for _ in range(_TIMES):
            matrix = tf.tanh(tf.linalg.matmul(matrix, matrix))
        return {"outputs": tf.fill([tf.shape(examples)[0], 1], tf.reduce_mean(matrix))}


if __name__ == "__main__":
    heavy = _Heavy()
    tf.saved_model.save(heavy, sys.argv[1], signatures={"serving_default": heavy.predict})
