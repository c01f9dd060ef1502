"""Anomalies with feature, reason and severity; drift and skew with their thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from google.protobuf.message import DecodeError
from markupsafe import Markup
from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies, AnomalyInfo, DriftSkewInfo

from components.contract.artifacts import Artifact, split_names, split_path
from components.contract.errors import DataError
from components.reports.figures import counted, number
from components.reports.page import Section
from components.reports.parts import badge, notice, stack
from components.reports.tables import Cell, Column, table

FILE_NAME = "SchemaDiff.pb"
_Measured = tuple[str, str, str, str, float, float]


def of_artifact(anomalies: Artifact) -> Section:
    """The section about an ExampleAnomalies artifact."""
    return section({name: _read(split_path(anomalies, name) / FILE_NAME) for name in split_names(anomalies)})


def _read(file: Path) -> Anomalies:
    try:
        return Anomalies.FromString(file.read_bytes())
    except (OSError, DecodeError) as error:
        raise DataError(f"{file} has no readable anomalies: {error}", fix="run the pipeline again") from error


def section(splits: Mapping[str, Anomalies], id_: str = "anomalies", title: str = "Validation of the data") -> Section:
    """The section about anomalies by split."""
    rows = [row for split, found in splits.items() for row in _anomalies(split, found)]
    measured = [row for split, found in splits.items() for row in _measured(split, found)]
    where = f"in {', '.join(splits)}" if splits else "because no split was validated"
    body = _table(rows) if rows else notice(f"No anomalies {where}: the data are as the schema says.", "good")
    over = sum(value > threshold for *_, value, threshold in measured if threshold)
    summary = f"{counted(len(rows), 'anomaly', 'anomalies')} {where}." if rows else ""
    distances = f"{number(over)} of {number(len(measured))} distances above their threshold." if measured else ""
    whole = stack(body, *([_distances(measured)] if measured else []))
    return Section(id_, title, whole, " ".join(filter(None, (summary, distances))))


def _table(rows: list[list[object]]) -> Markup:
    return table(f"Anomalies ({number(len(rows))})", ["Feature", "Split", "Severity", "Reason", "What was found"], rows)


def _anomalies(split: str, found: Anomalies) -> Iterator[list[object]]:
    if found.data_missing:
        yield ["the whole data set", split, badge("error", "bad"), "no data", "There are no rows."]
    infos = [("the whole data set", found.dataset_anomaly_info)] if found.HasField("dataset_anomaly_info") else []
    for feature, info in [*infos, *sorted(found.anomaly_info.items())]:
        severity = badge("warning", "warn") if info.severity == AnomalyInfo.WARNING else badge("error", "bad")
        for reason in info.reason or [AnomalyInfo.Reason(short_description=info.short_description)]:
            yield [feature, split, severity, reason.short_description or _kind(reason), reason.description]


def _kind(reason: AnomalyInfo.Reason) -> str:
    return str(AnomalyInfo.Type.Name(reason.type)).lower().replace("_", " ")


def _measured(split: str, found: Anomalies) -> Iterator[_Measured]:
    for info in found.drift_skew_info:
        for kind, measures in (("drift", info.drift_measurements), ("skew", info.skew_measurements)):
            for one in measures:
                name = DriftSkewInfo.Measurement.Type.Name(one.type).lower().replace("_", " ")
                yield ".".join(info.path.step), split, kind, name, one.value, one.threshold


def _distances(measured: list[_Measured]) -> Markup:
    columns: list[str | Column] = [
        "Feature",
        "Split",
        "Kind",
        "Measure",
        Column("Distance", True),
        Column("Threshold", True),
    ]
    rows = [
        [feature, split, kind, name, Cell(number(value), value, "bad" if value > threshold else "good"), threshold]
        for feature, split, kind, name, value, threshold in measured
    ]
    return table(f"Drift and skew ({number(len(rows))})", columns, rows)
