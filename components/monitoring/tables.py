"""The tables that the monitor writes, one Delta table each, and their columns.

A row belongs to a window: `window_start` up to but not including `window_end`. `version` is the version of the model
that answered, and `slice` a slicing of the EvalConfig as text, such as `trip_start_hour:3`; empty for all rows. The
rows of a window are replaced as a whole each time it is computed, so a window that is computed twice is there once.
The table `training` has the profile of the training data of each version, without a window, to show it beside windows.
"""

from __future__ import annotations

import pyarrow as pa

from components.inference.columns import field

_TIME = pa.timestamp("us", "UTC")
_COUNTS = pa.list_(pa.struct([("value", pa.string()), ("count", pa.int64())]))
_HISTOGRAM = pa.list_(pa.struct([("low", pa.float64()), ("high", pa.float64()), ("count", pa.float64())]))

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""The quantiles in a profile."""

TRAINING, PREVIOUS = "training", "previous"
"""What a window is compared with: the training data of its version, or the window before."""


def _schema(*fields: tuple[str, pa.DataType, str]) -> pa.Schema:
    return pa.schema([field(*each) for each in fields])


_WINDOW = (
    ("window_start", _TIME, "the window's start"),
    ("window_end", _TIME, "its end, which is not part of it"),
    ("window", pa.string(), "its length, such as 1h"),
    ("model", pa.string(), "the model's name"),
    ("version", pa.int64(), "the version that answered"),
    ("slice", pa.string(), "the slice; empty for all rows"),
)

PROFILE = _schema(
    *_WINDOW,
    ("column", pa.string(), "the column; empty for the model itself"),
    ("kind", pa.string(), "number, category or model"),
    ("rows", pa.int64(), "rows in the window and slice"),
    ("missing", pa.int64(), "rows without a value"),
    ("nans", pa.int64(), "values that are not a number"),
    ("infinities", pa.int64(), "infinite values"),
    ("mean", pa.float64(), "mean of the finite numbers; of strings, of their lengths in bytes"),
    ("deviation", pa.float64(), "standard deviation of the same"),
    ("minimum", pa.float64(), "least finite number"),
    ("maximum", pa.float64(), "greatest finite number"),
    ("quantiles", pa.list_(pa.float64()), f"quantiles {', '.join(map(str, QUANTILES))}"),
    ("distinct", pa.int64(), "number of different values"),
    ("top_values", _COUNTS, "the most frequent categories"),
    ("unseen", pa.int64(), "values never seen in training"),
    ("unseen_values", _COUNTS, "the most frequent of these"),
    ("shape_errors", pa.int64(), "rows with a number of values that training never had"),
    ("type_errors", pa.int64(), "rows with a value of another type than in training"),
    ("histogram", _HISTOGRAM, "numbers by bin: at most 40 with about equally many values, or few values without width"),
    ("requests", pa.int64(), "of the model: requests, scaled by their share"),
    ("errors", pa.int64(), "of the model: requests that failed, scaled by their share"),
    ("latency_quantiles", pa.list_(pa.float64()), "of the model: quantiles of the latency in ms, as of `quantiles`"),
    ("cost", pa.float64(), "of the model: the price of the window by the price per hour in the settings"),
    ("computed", _TIME, "when the row was computed"),
)
"""What the columns of a window look like."""

MEASURES = ("l_infinity", "jensen_shannon", "psi", "ks", "chi_square", "wasserstein")
"""The measures of drift. Wasserstein's is divided by the training data's standard deviation."""

DRIFT = _schema(
    *_WINDOW,
    ("against", pa.string(), "`training` or `previous`"),
    ("column", pa.string(), "the column; `*` for the measure over all columns together"),
    ("test", pa.string(), "what is tested: values, missing, unseen, types, or all columns together"),
    ("rows", pa.int64(), "rows of the window"),
    ("reference_rows", pa.int64(), "rows that it is compared with"),
    *((name, pa.float64(), f"the measure {name.replace('_', ' ')}; null where it does not apply") for name in MEASURES),
    *(
        (f"{name}_limit", pa.float64(), f"what {name.replace('_', ' ')} stays under in 95 % of windows of this size")
        for name in MEASURES
    ),
    ("effect", pa.float64(), "the size of the change, in the unit of `effect_unit`"),
    ("effect_unit", pa.string(), "standard deviations, share of rows, or AUC above 0.5"),
    ("p_value", pa.float64(), "how probable a difference like this is if nothing has changed, for this column alone"),
    ("p_adjusted", pa.float64(), "the same, for all that was looked at in this window together"),
    ("signal", pa.bool_(), "whether `p_adjusted` is under the level and the effect above its floor"),
    ("importance", pa.float64(), "how far the column's change moves the model's answers, in their deviations"),
    ("computed", _TIME, "when the row was computed"),
)
"""How far a window is from the training data and from the window before."""

QUALITY = _schema(
    *_WINDOW,
    ("metric", pa.string(), "the metric's name in the EvalConfig"),
    ("basis", pa.string(), "`labels`, or `estimate` before labels are there"),
    ("value", pa.float64(), "the metric"),
    ("low", pa.float64(), "lower end of its 95 % interval"),
    ("high", pa.float64(), "upper end of its 95 % interval"),
    ("rows", pa.int64(), "rows in the window and slice"),
    ("labelled", pa.int64(), "rows of these that have a label"),
    (
        "expected",
        pa.float64(),
        "the metric in the evaluation of this version before it was pushed; null if it has none",
    ),
    ("compared_with", pa.string(), "the slice or version that `difference` is from; null for none"),
    ("difference", pa.float64(), "value minus the other's value"),
    ("difference_low", pa.float64(), "lower end of the difference's 95 % interval"),
    ("difference_high", pa.float64(), "upper end of the difference's 95 % interval"),
    ("p_value", pa.float64(), "how probable a value this far from `expected` is if nothing has changed"),
    (
        "beyond",
        pa.float64(),
        "of an estimate: the share of rows with a value of `beyond_column` that is beyond all values it learned from",
    ),
    ("beyond_column", pa.string(), "of an estimate: the column with the most such rows; empty if none has any"),
    ("trusted", pa.bool_(), "of an estimate: whether it is to be trusted, by `beyond`; null with labels"),
    ("computed", _TIME, "when the row was computed"),
)
"""How good the answers were."""

ALARMS = _schema(
    ("alarm", pa.string(), "the alarm's id"),
    ("model", pa.string(), "the model's name"),
    ("version", pa.int64(), "the version that answered"),
    ("kind", pa.string(), "drift, missing, unseen, types, schema, errors, latency, quality or silence"),
    ("column", pa.string(), "the column or metric; `*` for all together"),
    ("slice", pa.string(), "the slice; empty for all rows"),
    ("state", pa.string(), "suspected, open, acknowledged, closed or muted"),
    ("sentence", pa.string(), "what moved, by how much, since when, where, and how the answers moved with it"),
    ("since", _TIME, "start of the first window with the signal"),
    ("opened", _TIME, "when the alarm was raised"),
    ("last", _TIME, "end of the last window with the signal"),
    ("closed", _TIME, "when it closed; null while it is open"),
    ("changed", _TIME, "when the row was last changed"),
    ("acknowledged_by", pa.string(), "who acknowledged it"),
    ("effect", pa.float64(), "the size of the change in the last window"),
    ("effect_unit", pa.string(), "its unit"),
    ("p_adjusted", pa.float64(), "of the last window"),
    ("evidence", pa.float64(), "the evidence so far; see docs/monitoring"),
    ("importance", pa.float64(), "how far the change moves the model's answers, in their deviations"),
    ("picture", pa.string(), "both distributions as JSON"),
    ("window", pa.string(), "the length of the windows that are counted"),
    ("rows", pa.int64(), "rows of the last window with the signal"),
    ("acknowledged", _TIME, "when it was acknowledged; null if it was not"),
    ("floor", pa.float64(), "the least effect that counts, in its unit; null where there is none"),
    ("level", pa.float64(), "the greatest `p_adjusted` of a signal"),
    ("evidence_needed", pa.float64(), "the evidence from which it is open"),
)
"""The alarms, one row each."""

SIGNALS = _schema(
    *_WINDOW,
    ("kind", pa.string(), "the alarm's kind; `window` for the window itself, `model` for all versions in it"),
    ("column", pa.string(), "the column or metric"),
    ("rows", pa.int64(), "rows in the window and slice"),
    ("p_adjusted", pa.float64(), "how probable it is if nothing has changed, for all that was looked at together"),
    ("p_value", pa.float64(), "the same for this test alone; null where only `p_adjusted` counts"),
    ("tests", pa.float64(), "the number of tests that were made together"),
    ("shared", pa.float64(), "the part of the variance that all windows share, because it is the training data's"),
    ("signal", pa.bool_(), "whether that is under the level and the effect above its floor"),
    ("effect", pa.float64(), "the size of the change"),
    ("effect_unit", pa.string(), "its unit"),
    ("floor", pa.float64(), "the least effect that counts, in its unit; null where there is none"),
    ("level", pa.float64(), "the greatest `p_adjusted` of a signal"),
    ("importance", pa.float64(), "how far the change moves the model's answers, in their deviations"),
    ("what", pa.string(), "what moved, and by how much"),
    ("picture", pa.string(), "both distributions as JSON"),
    ("requests", pa.int64(), "of the window itself: requests recorded"),
    ("errors", pa.int64(), "of the window itself: requests that failed"),
    ("latency", pa.list_(pa.int64()), "of the window itself: requests by latency"),
)
"""What alarms are made of: what was found in each window. Decisions far from any signal are left out."""

MUTES = _schema(
    ("mute", pa.string(), "its id"),
    ("model", pa.string(), "the model's name"),
    ("column", pa.string(), "the columns or metrics; `*` stands for any text"),
    ("slice", pa.string(), "the slice; null for all"),
    ("kind", pa.string(), "the kind of alarms; null for all"),
    ("since", _TIME, "from when"),
    ("until", _TIME, "until when; null for good"),
    ("by", pa.string(), "who muted it"),
    ("reason", pa.string(), "why"),
)
"""The alarms that are kept quiet by command; those in the settings are not in it."""

DELIVERIES = _schema(
    ("delivery", pa.string(), "its id: the way and the change"),
    ("way", pa.string(), "the way out, by its name in the settings"),
    ("change", pa.string(), "the id of the alarm's change"),
    ("message", pa.string(), "the id of the message that told it"),
    ("tries", pa.int64(), "how often it was tried"),
    ("sent", _TIME, "when the receiver took it; null if it has not yet, or refused it"),
    ("next", _TIME, "when it is tried again; null if it was sent or given up"),
    ("error", pa.string(), "why the last try failed"),
    ("changed", _TIME, "when the row was last changed"),
)
"""What was told of the alarms to whom."""

WINDOWS = _schema(
    *_WINDOW[:5],
    ("rows", pa.int64(), "rows that were computed"),
    ("table_version", pa.int64(), "the version of the inference table that they were read from"),
    ("labels_version", pa.int64(), "the version of the labels' table; null if there is none"),
    ("reference", pa.string(), "the digest of the training data"),
    ("computed", _TIME, "when the window was computed"),
)
"""Which windows are computed; written last, so a window that is not in it is computed again."""

PASSES = _schema(
    ("time", _TIME, "when the pass began"),
    ("model", pa.string(), "the model's name"),
    ("window", pa.string(), "the length of its windows"),
    ("table_version", pa.int64(), "the version of the inference table whose rows are computed, or pending"),
    ("labels_version", pa.int64(), "the same of the labels' table; null if there is none"),
    ("pending", pa.list_(_TIME), "starts of windows with rows that were not over"),
    ("windows", pa.int64(), "the number of windows that were computed"),
    ("seconds", pa.float64(), "how long the pass took"),
)
"""The passes of the monitor; each is written when all of its windows are."""

FORGOTTEN = _schema(
    ("request", pa.string(), "the id of the request to forget"),
    ("time", _TIME, "when it was finished"),
    ("model", pa.string(), "the model's name"),
    ("what", pa.string(), "what was forgotten: columns with keyed hashes of the values, or an age, as JSON"),
    ("reason", pa.string(), "the reason given"),
    ("place", pa.string(), "a table or a file"),
    ("rows", pa.int64(), "rows or records that it lost"),
    ("before", pa.string(), "its digest before"),
    ("after", pa.string(), "its digest after; empty if it was removed"),
)
"""What was forgotten: never the values themselves."""

SCHEMAS = {
    "profile": PROFILE,
    TRAINING: PROFILE,
    "drift": DRIFT,
    "quality": QUALITY,
    "alarms": ALARMS,
    "signals": SIGNALS,
    "mutes": MUTES,
    "deliveries": DELIVERIES,
    "windows": WINDOWS,
    "passes": PASSES,
    "forgotten": FORGOTTEN,
}
"""The tables by name."""
