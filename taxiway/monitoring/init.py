"""Writes a settings file with what is found of a model, every line explained."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from components.contract.commands import typed
from components.contract.errors import TaxiwayError
from components.inference import reading
from components.inference.columns import INPUT, OUTPUT
from components.monitoring.passes.references import first_score
from components.monitoring.passes.settings import Settings
from components.monitoring.passes.trained import Trained
from components.monitoring.passes.windows import EPOCH
from components.monitoring.store import INFERENCE
from taxiway.monitoring.monitor import Monitor

_WINDOW_ROWS = 1000
"""Rows in a window that are enough to find a shift of 0.15 standard deviations."""

_LENGTHS = (("5m", 300), ("15m", 900), ("1h", 3600), ("6h", 21_600), ("1d", 86_400), ("7d", 604_800))


def settings_file(monitor: Monitor) -> str:
    """The text of a settings file for a model.

    Raises:
        ServiceError: The tables cannot be read.
    """
    schema = _schema(monitor)
    inputs, outputs = ([n.removeprefix(each) for n in schema.names if n.startswith(each)] for each in (INPUT, OUTPUT))
    window, why = _window(monitor)
    found = _trained(monitor)
    labels = ", ".join(sorted(found.labels)) if found else ""
    specs = found.eval_config.get("slicing_specs", found.eval_config.get("slicingSpecs", [])) if found else []
    slices = ", ".join(sorted({key for each in specs for key in _keys(each)}))
    return _TEXT.format(
        model=monitor.model.name,
        use=typed("taxiway monitor", monitor.model.name, "--settings", "monitor.yaml"),
        mute=typed("taxiway alarms mute", monitor.model.name, "--column", "NAME"),
        inputs=_wrapped(inputs) or "none yet: no request has been recorded",
        outputs=", ".join(outputs) or "none yet",
        labels=labels or "none is known from the EvalConfig",
        default=Settings().window,
        window=window,
        why=why,
        slices=slices or "none",
        score=(first_score(schema) or "none yet").removeprefix(OUTPUT),
    )


def _keys(spec: dict) -> list[str]:
    values = spec.get("feature_values", spec.get("featureValues", {}))
    return [*spec.get("feature_keys", spec.get("featureKeys", [])), *values]


def _schema(monitor: Monitor) -> pa.Schema:
    """The columns of the inference table; none if there is none yet."""
    table = monitor.store.open(INFERENCE)
    return pa.schema(table.schema().to_arrow()) if table else pa.schema([])


def _wrapped(names: list[str]) -> str:
    lines, line = list[str](), ""
    for name in names:
        if len(line) + len(name) > 90:
            lines.append(line.rstrip())
            line = ""
        line += f"{name}, "
    return "\n#   ".join([*lines, line]).rstrip(", ")


def _times(monitor: Monitor) -> list[pa.Array]:
    version, ranges = reading.changed(monitor.store.root, None)
    if not ranges:
        return []
    first, last = ranges[0][0], ranges[-1][1]
    return [batch["time"] for batch in reading.batches(monitor.store.root, version, first, last, ["time"])]


def _window(monitor: Monitor) -> tuple[str, str]:
    """The shortest length with enough rows, by the traffic so far."""
    times = _times(monitor)
    rows = sum(map(len, times))
    if rows < 2:
        return "1h", "as too few rows are recorded to say more"
    first = min(pc.min(each).as_py() for each in times)
    last = max(pc.max(each).as_py() for each in times)
    per_second = rows / max((last - first) / timedelta(seconds=1), 1.0)
    for name, seconds in _LENGTHS:
        if per_second * seconds >= _WINDOW_ROWS:
            return name, f"which has about {per_second * seconds:,.0f} rows"
    return _LENGTHS[-1][0], "as few rows come in"


def _trained(monitor: Monitor) -> Trained | None:
    version, ranges = reading.changed(monitor.store.root, None)
    versions = set[int]()
    if ranges:
        for batch in reading.batches(monitor.store.root, version, EPOCH, ranges[-1][1], ["version"]):
            versions |= {each for each in pc.unique(batch["version"]).to_pylist() if each is not None}
    for each in sorted(versions, reverse=True):
        try:
            return monitor.watch.find(each)
        except TaxiwayError:
            continue
    return None


_TEXT = """\
# Settings of the monitor of {model}: {use}
# Every line may be left out: the values are the defaults.
#
# Found in the inference table:
# inputs:
#   {inputs}
# outputs: {outputs}
# label, by the EvalConfig: {labels}

# The length of a window: 15m, 1h, 1d, ... For the traffic so far: {window}, {why}.
window: {default}

# How long after its end a window is first computed; empty for a minute, or less if windows are shorter. Later rows
# compute it again.
late: ""

# Columns that are not watched, such as ids.
ignore: []

# Whether the slices of the EvalConfig are watched as well. Found: {slices}.
slices: true

# Other slices instead, in the EvalConfig's form: [{{feature_keys: [trip_start_hour]}}]
slicing_specs: []

# The output that tells how far a change of a column moves the model's answers; empty for the first one with numbers,
# here {score}.
score: ""

# The version that the others are compared with; null is the lowest in a window.
champion: null

# What an hour of serving costs, for the column `cost` of the profile; null for none.
price_per_hour: null

# How long after a request an outcome may happen that is joined by keys.
label_age: 30d

# The share of windows without a change in which anything at all may be a signal.
level: 0.05

# An alarm is raised once its evidence says that it comes by chance once in so many windows.
windows_between_false_alarms: 1000

# Windows without the signal after which an alarm closes by itself.
close_after: 3

# The least changes that count, whatever their p-value: of numbers in standard deviations (shift) or as the largest
# difference of cumulative shares (ks); of categories as total variation; of missing, unseen and wrong values as a share
# of rows; of errors as a share of requests; of latency and quality as a share of what they were.
floors: {{shift: 0.05, ks: 0.02, variation: 0.01, share: 0.002, errors: 0.01, latency: 0.25, quality: 0.01}}

# Alarms that are kept quiet, beside those muted with `{mute}`:
#   - {{column: trip_miles, until: 2026-12-31T00:00:00Z}}
mute: []

# Where alarms go; secrets are env:NAME or file:PATH. See docs/monitoring/alarms.md.
# alerts:
#   webhooks:
#     - {{url: env:SLACK_WEBHOOK, format: slack}}
#   mail: {{host: smtp.example.com, sender: taxiway@example.com, to: [team@example.com]}}
#   prometheus: {{port: 9464}}
#   alertmanager: {{url: "http://alertmanager:9093"}}
"""
