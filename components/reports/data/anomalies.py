"""Anomalies with feature, reason and severity; drift and skew with their thresholds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from google.protobuf.message import DecodeError
from markupsafe import Markup
from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies, AnomalyInfo, DriftSkewInfo

from components.contract.artifacts import Artifact, split_names, split_path
from components.contract.errors import DataError
from components.data.protos import read_statistics
from components.reports import charts
from components.reports.data import statistics
from components.reports.figures import counted, number
from components.reports.markup import Content
from components.reports.page import Section
from components.reports.parts import badge, notice, stack
from components.reports.tables import Cell, Column, table

FILE_NAME = "SchemaDiff.pb"
_Measured = tuple[str, str, str, str, float, float]


_COMPARED = {"drift": "previous_statistics", "skew": "serving_statistics"}
"""The statistics that a distance was measured to, by the validator's input."""

Pictures = Mapping[tuple[str, str, str], Content]
"""Distributions by split, by `drift`, `skew` or nothing, and by feature."""


def of_artifact(anomalies: Artifact, inputs: Mapping[str, Artifact] = {}) -> Section:
    """The section about an ExampleAnomalies artifact, with pictures from the validator's inputs."""
    splits = {name: _read(split_path(anomalies, name) / FILE_NAME) for name in split_names(anomalies)}
    return section(splits, pictures=_pictures(splits, inputs))


def _pictures(splits: Mapping[str, Anomalies], inputs: Mapping[str, Artifact]) -> Pictures:
    if "statistics" not in inputs:
        return {}
    found: dict[tuple[str, str, str], Content] = {}
    for split, anomalies in splits.items():
        for kind, port in {"": "", **_COMPARED}.items():
            names = _concerned(anomalies, kind)
            if names and (not port or port in inputs):
                drawn = _drawn(inputs, split, port, names)
                found |= {(split, kind, name): picture for name, picture in drawn.items()}
    return found


def _concerned(anomalies: Anomalies, kind: str) -> set[str]:
    """The features with anomalies, or with a distance of a kind."""
    if not kind:
        return set(anomalies.anomaly_info)
    infos = anomalies.drift_skew_info
    return {".".join(info.path.step) for info in infos if getattr(info, f"{kind}_measurements")}


def _drawn(inputs: Mapping[str, Artifact], split: str, port: str, names: Collection[str]) -> dict[str, Content]:
    """The distributions of some features in a split, laid over those that it is compared with."""
    compared = {split: read_statistics(inputs["statistics"], split)}
    if port and (other := _other_split(inputs[port], split)):
        compared[port.replace("_", " ")] = read_statistics(inputs[port], other)
    features = statistics.features_of(compared)
    return {name: statistics.picture(features[name]) for name in names if name in features}


def _other_split(compared: Artifact, split: str) -> str:
    """The split of the same name, or the only one; empty if there is neither."""
    there = split_names(compared)
    return split if split in there else there[0] if len(there) == 1 else ""


def _read(file: Path) -> Anomalies:
    try:
        return Anomalies.FromString(file.read_bytes())
    except (OSError, DecodeError) as error:
        raise DataError(f"{file} has no readable anomalies: {error}", fix="run the pipeline again") from error


def section(
    splits: Mapping[str, Anomalies],
    id_: str = "anomalies",
    title: str = "Validation of the data",
    pictures: Pictures = MappingProxyType({}),
) -> Section:
    """The section about anomalies by split."""
    rows = [row for split, found in splits.items() for row in _anomalies(split, found)]
    measured = [row for split, found in splits.items() for row in _measured(split, found)]
    where = f"in {', '.join(splits)}" if splits else "because no split was validated"
    body = _table(rows, pictures) if rows else notice(f"No anomalies {where}: the data are as the schema says.", "good")
    over = sum(value > threshold for *_, value, threshold in measured if threshold)
    summary = f"{counted(len(rows), 'anomaly', 'anomalies')} {where}." if rows else ""
    distances = f"{number(over)} of {number(len(measured))} distances above their threshold." if measured else ""
    whole = stack(body, *([_distances(measured, pictures)] if measured else []))
    return Section(id_, title, whole, " ".join(filter(None, (summary, distances))))


def _table(rows: list[list[object]], pictures: Pictures) -> Markup:
    columns = ["Feature", "Split", "Severity", "Reason", "What was found"]
    drawn = [pictures.get((str(row[1]), "", str(row[0]))) for row in rows]
    if any(drawn):
        columns = [*columns, "Distribution"]
        rows = [[*row, each] for row, each in zip(rows, drawn, strict=True)]
    return table(f"Anomalies ({number(len(rows))})", columns, rows)


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


def _distances(measured: list[_Measured], pictures: Pictures) -> Markup:
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
    drawn = [pictures.get((split, kind, feature)) for feature, split, kind, *_ in measured]
    if any(drawn):
        columns = [*columns, "Distributions"]
        rows = [[*row, each] for row, each in zip(rows, drawn, strict=True)]
    key = charts.legend([("the split", False), ("what it is compared with", False)]) if any(drawn) else None
    return stack(key, table(f"Drift and skew ({number(len(rows))})", columns, rows))
