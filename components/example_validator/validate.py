"""Validates statistics against a schema, earlier statistics, serving statistics and custom checks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from components.contract.artifacts import Artifact, split_names, split_path
from components.contract.errors import UserError
from components.data.examples import require_splits
from components.data.protos import read_schema, read_statistics
from components.example_validator import custom

FILE_NAME = "SchemaDiff.pb"


@dataclass(frozen=True)
class Expectations:
    """What statistics are checked against.

    Attributes:
        schema: A Schema artifact.
        previous: Earlier statistics, with every split that is validated.
        serving: Statistics of another data set: the split of the same name, or its only split.
        environment: The schema environment; empty for none.
        custom_validations: A file of custom validations; empty for none.
    """

    schema: Artifact
    previous: Artifact | None = None
    serving: Artifact | None = None
    environment: str = ""
    custom_validations: str = ""


def validate(
    statistics: Artifact, expected: Expectations, output: Artifact, splits: list[str], fail_on_anomalies: bool
) -> None:
    """Writes `Split-<name>/SchemaDiff.pb` of the chosen splits, with `blessed` in the metadata.

    Raises:
        UserError: An anomaly was found and `fail_on_anomalies` is set (nothing is written then); or a split or an
            environment does not exist.
        DataError: A schema, statistics or a file of custom validations cannot be read.
    """
    wanted = require_splits(statistics, splits)
    schema = read_schema(expected.schema)
    _check_environment(schema, expected.environment)
    for line in _not_compared(schema, expected):
        print(line, flush=True)
    found = {split: _of_split(statistics, split, schema, expected) for split in wanted}
    distances = [line for split, anomalies in found.items() for line in _distances(split, anomalies)]
    lines = [line for split, anomalies in found.items() for line in _report(split, anomalies)]
    print("\n".join([*distances, *(lines or ["no anomalies"])]), flush=True)
    if fail_on_anomalies and (stopping := {s: a for s, a in found.items() if _stops(a)}):
        raise _failure(stopping)
    _write(output, statistics, found)


def _check_environment(schema: schema_pb2.Schema, environment: str) -> None:
    if environment and environment not in schema.default_environment:
        there = ", ".join(schema.default_environment)
        raise UserError(
            f"the schema has no environment {environment!r}",
            fix=f"it has {there}" if there else "add `default_environment` to the schema; it has none",
        )


def _not_compared(schema: schema_pb2.Schema, expected: Expectations) -> Iterator[str]:
    """Comparisons that a user may expect but that do not happen."""
    for kind, given in (("drift", expected.previous), ("skew", expected.serving)):
        name = {"drift": "previous_statistics", "skew": "serving_statistics"}[kind]
        compared = sorted(_compared(schema.feature, f"{kind}_comparator"))
        if compared and given is None:
            yield f"{kind} of {', '.join(compared)} is not checked: there are no {name}"
        if given is not None and not compared:
            yield f"{name} are not compared feature by feature: no feature in the schema has a {kind}_comparator"


def _compared(features: Iterable[schema_pb2.Feature], comparator: str) -> Iterator[str]:
    for feature in features:
        if feature.HasField(comparator):
            yield feature.name
        yield from _compared(feature.struct_domain.feature, comparator)


def _of_split(
    statistics: Artifact, split: str, schema: schema_pb2.Schema, expected: Expectations
) -> anomalies_pb2.Anomalies:
    current = read_statistics(statistics, split)
    previous = (
        read_statistics(expected.previous, _previous_split(expected.previous, split)) if expected.previous else None
    )
    serving = read_statistics(expected.serving, _serving_split(expected.serving, split)) if expected.serving else None
    anomalies = tfdv.validate_statistics(current, schema, expected.environment or None, previous, serving)
    if expected.custom_validations:
        base = previous if previous is not None else serving
        custom.validate(Path(expected.custom_validations), current, base, expected.environment, anomalies)
    return anomalies


def _previous_split(previous: Artifact, split: str) -> str:
    there = split_names(previous)
    if split not in there:
        raise UserError(
            f"previous_statistics ({previous.path}) have no split {split!r} to compare with",
            fix=f"validate only the splits that they have ({', '.join(there)}), or give statistics with {split!r}",
        )
    return split


def _serving_split(serving: Artifact, split: str) -> str:
    there = split_names(serving)
    if split not in there and len(there) != 1:
        raise UserError(
            f"serving_statistics ({serving.path}) have no split {split!r} to compare with",
            fix=f"give statistics with {split!r} or with a single split (these have {', '.join(there)})",
        )
    return split if split in there else there[0]


def _distances(split: str, anomalies: anomalies_pb2.Anomalies) -> Iterator[str]:
    """All measured drift and skew, below and above the threshold."""
    for info in anomalies.drift_skew_info:
        for kind, measured in (("drift", info.drift_measurements), ("skew", info.skew_measurements)):
            for one in measured:
                name = anomalies_pb2.DriftSkewInfo.Measurement.Type.Name(one.type)
                yield f"{split}: {'.'.join(info.path.step)}: {kind} {name} {one.value:g}, threshold {one.threshold:g}"


def _report(split: str, anomalies: anomalies_pb2.Anomalies) -> Iterator[str]:
    """One line for each anomaly: split, feature, reason, values."""
    if anomalies.data_missing:
        yield f"{split}: there are no rows"
    if anomalies.HasField("dataset_anomaly_info"):
        yield _line(split, "the whole data set", anomalies.dataset_anomaly_info)
    for feature, info in sorted(anomalies.anomaly_info.items()):
        yield _line(split, feature, info)


def _line(split: str, what: str, info: anomalies_pb2.AnomalyInfo) -> str:
    said = "; ".join(": ".join(filter(None, map(str.strip, (r.short_description, r.description)))) for r in info.reason)
    warning = " (warning)" if info.severity == anomalies_pb2.AnomalyInfo.WARNING else ""
    return f"{split}: {what}{warning}: {said}"


def _infos(anomalies: anomalies_pb2.Anomalies) -> list[anomalies_pb2.AnomalyInfo]:
    of_data = [anomalies.dataset_anomaly_info] if anomalies.HasField("dataset_anomaly_info") else []
    return [*of_data, *anomalies.anomaly_info.values()]


def _stops(anomalies: anomalies_pb2.Anomalies) -> bool:
    """Whether an anomaly is more than a warning, by the schema or the custom validation."""
    warning = anomalies_pb2.AnomalyInfo.WARNING
    return anomalies.data_missing or any(info.severity != warning for info in _infos(anomalies))


def _failure(found: dict[str, anomalies_pb2.Anomalies]) -> UserError:
    lines = [line for split, anomalies in found.items() for line in _report(split, anomalies)]
    return UserError(
        "\n  ".join([f"{len(lines)} {'anomaly' if len(lines) == 1 else 'anomalies'} in the data:", *lines]),
        fix="correct the data, or widen the schema; with fail_on_anomalies=False the run continues and records them",
    )


def _write(output: Artifact, statistics: Artifact, found: dict[str, anomalies_pb2.Anomalies]) -> None:
    for split, anomalies in found.items():
        folder = split_path(output, split)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE_NAME).write_bytes(anomalies.SerializeToString(deterministic=True))
    output.metadata["split_names"] = json.dumps(list(found))
    output.metadata["blessed"] = {
        split: int(not anomalies.data_missing and not _infos(anomalies)) for split, anomalies in found.items()
    }
    if "span" in statistics.metadata:
        output.metadata["span"] = statistics.metadata["span"]
