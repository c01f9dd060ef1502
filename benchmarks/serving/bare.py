"""A lower bound: `signature(**inputs)` of `tf.saved_model.load`, without a server.

python -m benchmarks.serving.bare VERSION_FOLDER BATCHES SECONDS OUTPUT

BATCHES is a pickled list of lists of serialized tf.Examples. Writes to the folder OUTPUT the samples of calls with
tensors created in advance (`ready.npz`) and with tensors created in the call (`made.npz`), its peak memory (`peak_mb`),
and the responses to the batches (`answers.npy`).
"""

from __future__ import annotations

import itertools
import pickle
import resource
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.serving.figures import OK, Samples


def _samples(call: Callable[[Any], Any], inputs: Sequence[Any], seconds: float) -> Samples:
    """Calls the signature with one input after another; the first second is not counted."""
    for begin, given in zip(itertools.repeat(time.perf_counter()), itertools.cycle(inputs), strict=False):
        if time.perf_counter() - begin > 1:
            break
        call(given)
    at, ms = array("d"), array("d")
    end = time.perf_counter() + seconds
    for given in itertools.cycle(inputs):
        began = time.perf_counter()
        if began >= end:
            break
        call(given)
        at.append(began)
        ms.append((time.perf_counter() - began) * 1000)
    return Samples(np.array(at), np.array(ms), np.full(len(at), OK))


def main(version: str, batches_file: str, seconds: float, output: Path) -> None:
    """Measures and writes the results."""
    batches = pickle.loads(Path(batches_file).read_bytes())
    signature = tf.saved_model.load(version).signatures["serving_default"]
    output.mkdir(exist_ok=True)
    ready = [tf.constant(batch) for batch in batches]
    _samples(lambda tensor: signature(examples=tensor), ready, seconds).save(output / "ready.npz")
    _samples(lambda batch: signature(examples=tf.constant(batch)), batches, seconds).save(output / "made.npz")
    answers = [next(iter(signature(examples=tensor).values())).numpy() for tensor in ready]
    np.save(output / "answers.npy", np.stack(answers))
    (output / "peak_mb").write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), Path(sys.argv[4]))
