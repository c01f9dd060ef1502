"""What an evaluation's plots show: ROC, precision and recall, calibration, residuals, confusion matrices."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from markupsafe import Markup

from components.reports import axes
from components.reports.charts import Distribution, Frame, Series, histogram, lines
from components.reports.figures import number, percent
from components.reports.markup import Content, tag
from components.reports.parts import fold, heading, side_by_side, stack
from components.reports.tables import Cell, Column, table

if TYPE_CHECKING:
    from components.reports.readers.evaluations import Matrix, Plot, Slice

_CURVE = 10  # thresholds; fewer make no curve
_MOST_CLASSES = 25
_UNIT = (0.0, 1.0)
_SQUARE = Frame(380, 320)
_LOW = Frame(width=380, height=200, left=8, right=8, top=6, bottom=18)
_THRESHOLDS = [step / 100 for step in range(0, 101)]


def part(whole: Slice) -> Content:
    """The curves of all rows, for each output and class; nothing if there are no plots."""
    names = list(dict.fromkeys(plot.name for plot in whole.plots))
    pictures = [
        picture for name in names for picture in _of_name(name, [plot for plot in whole.plots if plot.name == name])
    ]
    return stack(heading("Curves over all rows"), *pictures) if pictures else None


def _of_name(name: str, plots: Sequence[Plot]) -> Iterator[Content]:
    after = f" of {name}" if name else ""
    curved = [plot for plot in plots if len(plot.matrices) >= _CURVE]
    drawn = [_roc(curved, after), _precision_recall(curved, after)] if curved else []
    bucketed = [plot for plot in plots if plot.buckets]
    drawn += _of_buckets(bucketed, after) if bucketed else []
    yield side_by_side(*drawn) if drawn else None
    for plot in plots:
        if plot.matrices and not plot.of_baseline:
            yield _matrices(plot, after)
        if plot.classes and not plot.of_baseline:
            yield _classes(plot, after)


def _series(plots: Sequence[Plot], points: Callable[[Plot], Sequence[tuple[float, float]]]) -> list[Series]:
    ordered = sorted(plots, key=lambda plot: plot.of_baseline)
    return [Series("baseline" if plot.of_baseline else "candidate", points(plot)) for plot in ordered]


def _of_rates(series: Sequence[Series], across: str, up: str, title: str) -> Markup:
    return lines(series, across, up, title=title, x_range=_UNIT, y_range=_UNIT, frame=_SQUARE)


def _roc(plots: Sequence[Plot], after: str) -> Markup:
    chance = Series("chance", [(0, 0), (1, 1)], is_dashed=True)
    series = [*_series(plots, _roc_points), chance]
    return _of_rates(series, "false positive rate", "true positive rate", f"ROC curve{after}")


def _roc_points(plot: Plot) -> list[tuple[float, float]]:
    found = {
        (each.false_positive_rate, each.recall)
        for each in plot.matrices
        if each.false_positive_rate is not None and each.recall is not None
    }
    return sorted(found)


def _precision_recall(plots: Sequence[Plot], after: str) -> Markup:
    return _of_rates(_series(plots, _precision_recall_points), "recall", "precision", f"Precision and recall{after}")


def _precision_recall_points(plot: Plot) -> list[tuple[float, float]]:
    ordered = sorted(plot.matrices, key=lambda each: -each.threshold)
    return [(each.recall, each.precision) for each in ordered if each.recall is not None and each.precision is not None]


def _of_buckets(plots: Sequence[Plot], after: str) -> list[Markup]:
    """Calibration, and for a regression the residuals; and how many rows have which prediction."""
    edges = [edge for plot in plots for bucket in plot.buckets for edge in (bucket.prediction, bucket.label)]
    low, high = min(edges), max(edges)
    is_probability = low >= 0 and high <= 1
    across = _UNIT if is_probability else axes.extent([low, high])
    ideal = Series("perfectly calibrated", [(end, end) for end in across], is_dashed=True)
    pictures = [
        lines(
            [*_series(plots, lambda plot: [(bucket.prediction, bucket.label) for bucket in plot.buckets]), ideal],
            "mean prediction",
            "mean label",
            title=f"Calibration{after}",
            x_range=across,
            y_range=across,
            frame=_SQUARE,
            note="Rows are put together by their prediction.",
        )
    ]
    if not is_probability:
        pictures.append(_residuals(plots, after, across))
    return [*pictures, *_predictions(plots, after)]


def _residuals(plots: Sequence[Plot], after: str, across: tuple[float, float]) -> Markup:
    return lines(
        [
            *_series(
                plots, lambda plot: [(bucket.prediction, bucket.label - bucket.prediction) for bucket in plot.buckets]
            ),
            Series("no error", [(across[0], 0.0), (across[1], 0.0)], is_dashed=True),
        ],
        "mean prediction",
        "mean label − mean prediction",
        title=f"Residuals{after}",
        frame=_SQUARE,
        note="Above the dashed line the model predicts too little, below it too much.",
    )


def _predictions(plots: Sequence[Plot], after: str) -> Iterator[Markup]:
    for plot in plots:
        if not plot.of_baseline:
            buckets = [(each.left, each.right, each.weight) for each in plot.buckets]
            finite = [each for each in buckets if all(map(math.isfinite, each))]
            if finite:
                distribution = Distribution("candidate", finite)
                yield histogram([distribution], title=f"Predictions{after}", frame=_LOW, has_caption=True)


def _matrices(plot: Plot, after: str) -> Markup:
    """The confusion matrix at 0.5, and below it those at other thresholds."""
    ordered = sorted(plot.matrices, key=lambda each: each.threshold)
    middle = min(ordered, key=_from_middle)
    wanted = ordered if len(ordered) <= len(_THRESHOLDS) else _at(ordered, _THRESHOLDS)
    columns = [Column(name, is_number=True) for name in _COLUMNS]
    rows = [_matrix_row(each) for each in wanted]
    others = table(f"Confusion matrices by threshold{after}", columns, rows, is_searchable=False)
    parts = [_square(middle, after), fold("Other thresholds", others) if len(wanted) > 1 else None]
    # The script makes a slider of the rows of the second table, which moves the figures in the first.
    return tag("div", *parts, data_thresholds=len(wanted) > 2, data_at=wanted.index(min(wanted, key=_from_middle)))


def _from_middle(each: Matrix) -> float:
    return abs(each.threshold - 0.5)


_COLUMNS = (
    "threshold",
    "true positives",
    "false positives",
    "true negatives",
    "false negatives",
    "precision",
    "recall",
    "accuracy",
)


def _at(ordered: Sequence[Matrix], thresholds: Sequence[float]) -> list[Matrix]:
    """The nearest to each threshold, each once."""
    known = [each.threshold for each in ordered]
    nearest = []
    for wanted in thresholds:
        place = bisect.bisect(known, wanted)
        nearest.append(min(ordered[max(place - 1, 0) : place + 1], key=lambda each: abs(each.threshold - wanted)))
    return list(dict.fromkeys(nearest))


def _matrix_row(each: Matrix) -> list[Content]:
    counts = [each.true_positives, each.false_positives, each.true_negatives, each.false_negatives]
    right, total = each.true_positives + each.true_negatives, sum(counts)
    return [each.threshold, *counts, each.precision, each.recall, right / total if total else None]


def _square(each: Matrix, after: str) -> Markup:
    total = each.true_positives + each.false_positives + each.true_negatives + each.false_negatives
    columns = [Column(""), Column("predicted positive", is_number=True), Column("predicted negative", is_number=True)]
    rows = [
        ["positive", _part(each.true_positives, total, "good"), _part(each.false_negatives, total, "bad")],
        ["negative", _part(each.false_positives, total, "bad"), _part(each.true_negatives, total, "good")],
    ]
    title = f"Confusion matrix{after} at the threshold {number(each.threshold)}"
    return table(title, columns, rows, is_sortable=False, is_searchable=False)


def _part(count: float, total: float, kind: Literal["good", "bad"]) -> Cell:
    return Cell(f"{number(count)} · {percent(count / total if total else None)}", count, kind if count else "")


def _classes(plot: Plot, after: str) -> Markup:
    """How many rows of each class were taken for which."""
    found = sorted({class_ for pair in plot.classes for class_ in pair})
    shown = found[:_MOST_CLASSES]
    columns = [Column("class"), *(Column(f"as {_class(class_)}", is_number=True) for class_ in shown)]
    rows = [[_class(actual), *(_confusion(plot, actual, predicted) for predicted in shown)] for actual in shown]
    more = f", the first {_MOST_CLASSES} of {len(found)}" if len(found) > _MOST_CLASSES else ""
    return table(
        f"Rows of each class{after}, by the class that was predicted{more}", columns, rows, is_searchable=False
    )


def _class(class_: int) -> str:
    return "none" if class_ < 0 else str(class_)


def _confusion(plot: Plot, actual: int, predicted: int) -> Content:
    count = plot.classes.get((actual, predicted), 0.0)
    return Cell(number(count), count, ("good" if actual == predicted else "bad") if count else "")
