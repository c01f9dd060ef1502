"""A column in a set of rows as counts: small, whatever the number of rows, and mergeable.

The training data decide how a column is counted (`Bins`). Every window is counted in the same bins, so summaries can be
compared. A number's bins lie between quantiles of the training data, or are its values where there are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["number", "category"]
Source = Literal["number", "integer", "text", "bytes"]


@dataclass(frozen=True)
class Bins:
    """How the values of a column are counted.

    Attributes:
        kind: What the values are.
        edges: Of numbers, ascending. Bin i has the values above edge i - 1, up to and including edge i. The first bin
            has no lower end; the last bin, which follows the last edge, has no upper end.
            has no lower end; the last bin, which follows the last edge, has no upper end. The bins within the training
            data's range are followed, to both sides, by bins of growing width for what lies outside.
        values: Of categories: those of the training data, the most frequent first.
        source: The type of the values in the training data: categories are of `text` or `integer`, numbers of `number`
            or, if they are the lengths of binary values, of `bytes`.
    """

    kind: Kind
    edges: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    values: tuple[str, ...] = ()
    source: Source = "number"

    @property
    def size(self) -> int:
        """The number of bins."""
        return len(self.edges) + 1 if self.kind == "number" else len(self.values)


@dataclass(frozen=True)
class Summary:
    """One column in a set of rows.

    Attributes:
        name: The column, without the prefix that it has in the inference table, or `output_...` for an output.
        bins: How the values are counted.
        rows: The number of rows.
        missing: Rows without a value.
        counts: Values by bin; int64, (bins.size,). Neither missing, NaN nor unseen values are in it.
        unseen: Values outside `bins.values`, at most 100 of them, the most frequent first, with their counts.
        unseen_count: All values outside `bins.values`.
        distinct: The number of different values; for numbers, of those seen, an estimate.
        nans: Values that are not a number.
        infinities: Infinite values; they count in the first and last bin, and in no moment.
        mean: The mean of finite numbers; of categories, of the lengths in bytes.
        variance: Their variance, divided by their number.
        low: The least finite number.
        high: The greatest finite number.
        shape_errors: Rows with another number of values than the training data allow.
        type_errors: Rows whose value has another type than the training data's.
        singletons: Values that occur once. Of categories only; exact unless more than 1,000,000 values differ.
        fewest: The least number of values in a row that has any.
        most: The greatest number of values in a row.
    """

    name: str
    bins: Bins
    rows: int
    missing: int
    counts: NDArray[np.int64]
    unseen: Mapping[str, int] = field(default_factory=dict)
    unseen_count: int = 0
    distinct: int = 0
    nans: int = 0
    infinities: int = 0
    mean: float = 0.0
    variance: float = 0.0
    low: float = 0.0
    high: float = 0.0
    shape_errors: int = 0
    type_errors: int = 0
    singletons: int = 0
    fewest: int = 1
    most: int = 1

    @property
    def values(self) -> int:
        """The number of values: those in bins, those never seen and those that are not a number."""
        return int(self.counts.sum()) + self.unseen_count + self.nans


@dataclass(frozen=True)
class Reference:
    """What a model's version was trained on, and what it answers to that.

    Attributes:
        version: The version.
        digest: The digest of the training data, from the model's provenance.
        columns: The summaries of inputs and outputs, by name.
        codes: A sample of the training rows, as the number of each value's bin: int32, (rows, columns in their order);
            -1 is missing, -2 not a number, -3 a category outside the bins. Of several values in a row, the first one
            counts. It tells how the columns depend on each other.
        scores: The model's main output for the rows of the sample, (rows,): float64, NaN where there is none.
    """

    version: int
    digest: str
    columns: Mapping[str, Summary]
    codes: NDArray[np.int32]
    scores: NDArray[np.float64]
