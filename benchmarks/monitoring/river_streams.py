"""Streams with a change, in an environment with river: `PYTHON river_streams.py BEFORE AFTER STREAMS OUTPUT`.

Writes an .npz file with (streams, BEFORE + AFTER, columns) for each kind: features, and the label as the last column.
"""

import sys
from itertools import islice

import numpy as np


def _kinds(seed: int):
    from river.datasets import synth

    yield "SEA", synth.SEA(variant=0, seed=seed), synth.SEA(variant=2, seed=seed + 1)
    yield (
        "AGRAWAL",
        synth.Agrawal(classification_function=0, seed=seed),
        synth.Agrawal(classification_function=4, seed=seed + 1),
    )
    yield (
        "hyperplane",
        synth.Hyperplane(seed=seed, n_features=10),
        synth.Hyperplane(seed=seed + 5000, n_features=10),
    )


def _rows(stream, count: int) -> np.ndarray:
    return np.array([[*(float(value) for value in x.values()), float(y)] for x, y in islice(stream, count)], np.float32)


def main() -> None:
    """Writes the streams."""
    (first, second, streams), output = map(int, sys.argv[1:4]), sys.argv[4]
    found: dict[str, list[np.ndarray]] = {}
    for seed in range(streams):
        for name, before, after in _kinds(10_000 * (seed + 1)):
            found.setdefault(name, []).append(np.concatenate([_rows(before, first), _rows(after, second)]))
    np.savez(output, **{name: np.stack(each) for name, each in found.items()})


if __name__ == "__main__":
    main()
