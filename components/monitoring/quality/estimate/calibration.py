"""Rows with labels, from which the quality of rows without labels is estimated."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.monitoring.quality.estimate.isotonic import Curve, fit
from components.monitoring.quality.estimate.ranges import Ranges
from components.monitoring.quality.terms import Numbers

Kind = Literal["binary", "classes", "number"]


@dataclass(frozen=True)
class Calibrated:
    """What a version answered to rows whose labels are known.

    Attributes:
        kind: What is predicted: the probability of one class, those of several, or a number.
        labels: (rows,): 0 or 1, class numbers, or numbers.
        predictions: (rows, predictions).
        features: The inputs of the same rows, for numbers: how wrong a prediction is may depend on them.
        ranges: The ranges of the columns of these rows, beyond which nothing is known.
    """

    kind: Kind
    labels: Numbers
    predictions: Numbers
    features: Mapping[str, NDArray] = field(default_factory=dict)
    ranges: Ranges = field(default_factory=dict)

    def limited(self, names: Collection[str]) -> Calibrated:
        """Without the columns that have none of these names."""
        features = {name: values for name, values in self.features.items() if name in names}
        return replace(
            self, features=features, ranges={name: ends for name, ends in self.ranges.items() if name in names}
        )

    def resampled(self, random: np.random.Generator) -> Calibrated:
        """As many rows, drawn from these."""
        rows = random.integers(0, len(self.labels), len(self.labels))
        features = {name: values[rows] for name, values in self.features.items()}
        return replace(self, labels=self.labels[rows], predictions=self.predictions[rows], features=features)

    def curves(self) -> list[Curve]:
        """The calibration of each class's score."""
        truth = self.labels if self.kind == "binary" else None
        return [
            fit(score, truth if truth is not None else (self.labels == number).astype(np.float64))
            for number, score in enumerate(self.predictions.T)
        ]

    def save(self, path: Path) -> None:
        """Writes it as Parquet."""
        columns = {f"prediction_{i}": part for i, part in enumerate(self.predictions.T)}
        columns |= {"label": self.labels, **{f"feature_{name}": v for name, v in self.features.items()}}
        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        pq.write_table(table.replace_schema_metadata({"kind": self.kind, "ranges": json.dumps(self.ranges)}), path)


def load(path: Path) -> Calibrated:
    """Reads what `save` wrote."""
    table = pq.read_table(path)
    arrays = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    width = sum(name.startswith("prediction_") for name in arrays)
    kind: Kind = table.schema.metadata[b"kind"].decode()
    return Calibrated(
        kind,
        arrays["label"],
        np.stack([arrays[f"prediction_{i}"] for i in range(width)], axis=1),
        {name.removeprefix("feature_"): values for name, values in arrays.items() if name.startswith("feature_")},
        {name: (low, high) for name, (low, high) in json.loads(table.schema.metadata[b"ranges"]).items()},
    )


def probabilities(curves: list[Curve], predictions: Numbers) -> Numbers:
    """The calibrated probabilities of each class, (rows, classes); of a single one, (rows, 1)."""
    found = np.stack([curve(score) for curve, score in zip(curves, predictions.T, strict=True)], axis=1)
    if len(curves) == 1:
        return found
    total = found.sum(axis=1, keepdims=True)
    return np.where(total > 0, found / np.where(total > 0, total, 1), 1 / len(curves))
