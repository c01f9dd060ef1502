"""What windows are compared with, built once a version: training data, their slices, what answers were worth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.contract.digests import text_digest
from components.contract.errors import DataError, TaxiwayError
from components.contract.files import locked, whole_folder
from components.data.examples import read_batches
from components.inference.arrays import of_feature
from components.inference.columns import INPUT, OUTPUT, is_output
from components.inference.privacy.privacy import Privacy
from components.monitoring.labels.columns import LABEL
from components.monitoring.passes.answers import answered
from components.monitoring.passes.settings import Settings
from components.monitoring.passes.trained import Trained
from components.monitoring.profile.batches import gathered
from components.monitoring.profile.summarize import Slicer, summarize_slices
from components.monitoring.quality import slicing
from components.monitoring.quality.calibrate import calibrate
from components.monitoring.quality.estimate.calibration import Calibrated
from components.monitoring.quality.estimate.calibration import load as load_calibrated
from components.monitoring.quality.facts import Version
from components.monitoring.reference.build import build
from components.monitoring.reference.store import load, save
from components.monitoring.summaries import Reference

MOST_ROWS = 200_000
"""Of more training data, a part of each batch is taken: their own accidents are small enough then."""

MOST_SLICES, LEAST_ROWS = 20, 100
"""The largest slices are watched, if the training data have enough rows of them."""

_FORMAT = 2


@dataclass(frozen=True)
class Known:
    """A version that windows can be compared with.

    Attributes:
        trained: Where it comes from.
        references: The training data by slice; empty for all rows.
        version: What the quality is measured with.
    """

    trained: Trained
    references: Mapping[str, Reference]
    version: Version

    @property
    def whole(self) -> Reference:
        """All training data."""
        return self.references[""]

    def limited(self, columns: set[str]) -> Known:
        """With the columns that the inference table has, and no labels."""
        kept = {INPUT + name for name in self.trained.labels}
        wanted = columns - kept
        references = {name: _limited(each, wanted) for name, each in self.references.items()}
        calibrated = self.version.calibrated
        limited = calibrated.limited({name.removeprefix(INPUT) for name in wanted}) if calibrated else None
        return replace(self, references=references, version=replace(self.version, calibrated=limited))


def _limited(reference: Reference, wanted: set[str]) -> Reference:
    names = [name for name in reference.columns if (name if is_output(name) else INPUT + name) in wanted]
    places = [list(reference.columns).index(name) for name in names]
    codes = reference.codes[:, places] if reference.codes.size else reference.codes[:, :0]
    return replace(reference, columns={name: reference.columns[name] for name in names}, codes=codes)


def slicer(eval_config: Mapping[str, Any], prefix: str = "") -> Slicer | None:
    """Tells the rows of the EvalConfig's slices; None if it has none.

    Args:
        eval_config: The EvalConfig.
        prefix: What the names of the inputs lack in the batches.
    """
    specs = eval_config.get("slicing_specs") or eval_config.get("slicingSpecs") or []
    if not any(specs):
        return None

    def masks(batch: pa.RecordBatch) -> dict[str, NDArray[np.bool_]]:
        table = pa.Table.from_batches([batch])
        table = table.rename_columns([prefix + name for name in table.column_names]) if prefix else table
        found = {}
        for name, rows in slicing.slices(eval_config, table).items():
            if name:
                found[name] = np.zeros(batch.num_rows, bool)
                found[name][rows] = True
        return found

    return masks


def known(trained: Trained, settings: Settings, cache: Path, privacy: Privacy | None = None) -> Known:
    """A version's references: from the cache, or else built.

    Args:
        trained: The version.
        settings: The monitor's settings.
        cache: The folder that keeps references.
        privacy: The rules by which rows were protected before they were written.

    Raises:
        DataError: The training data are damaged.
    """
    config = config_of(trained, settings)
    parts = [_FORMAT, trained.digest, trained.model_digest, trained.split, config, settings.score, repr(privacy)]
    key = text_digest(json.dumps(parts, sort_keys=True))
    folder = cache / f"{trained.version}-{key[7:19]}"
    if not (folder / "names.json").is_file():
        cache.mkdir(parents=True, exist_ok=True)
        # Two monitors that both build them would get in each other's way.
        with locked(cache / f".{folder.name}.lock"):
            if not (folder / "names.json").is_file():
                _build(trained, settings, config, folder, privacy)
    names = json.loads((folder / "names.json").read_text())
    references = {name: load(folder / f"{number}.parquet") for number, name in enumerate(names)}
    file = folder / "calibrated.parquet"
    return Known(trained, references, _version(trained, config, load_calibrated(file) if file.exists() else None))


def config_of(trained: Trained, settings: Settings) -> dict[str, Any]:
    """The EvalConfig with the settings' slices."""
    config = dict(trained.eval_config)
    if settings.slicing_specs or not settings.slices:
        config.pop("slicingSpecs", None)
        config["slicing_specs"] = [{}, *settings.slicing_specs]
    return config


def _version(trained: Trained, config: Mapping[str, Any], calibrated: Calibrated | None) -> Version:
    return Version(
        version=trained.version,
        eval_config=config,
        model=trained.model,
        schema=trained.schema,
        expected=trained.expected,
        calibrated=calibrated,
    )


def _build(
    trained: Trained, settings: Settings, config: Mapping[str, Any], folder: Path, privacy: Privacy | None
) -> None:
    rows = [privacy.training(batch) if privacy else batch for batch in _answered(trained, trained.split)]
    if not any(batch.num_rows for batch in rows):
        raise DataError(
            f"the training data {trained.examples.path} have no rows in the split {trained.split!r}",
            fix="run the pipeline again, which makes them anew",
        )
    score = f"{OUTPUT}{settings.score}" if settings.score else first_score(rows[0].schema)
    whole = build(trained.version, trained.digest, rows, score, trained.categories)
    references = {"": whole, **_slices(whole, rows, slicer(config, INPUT))}
    with whole_folder(folder) as partial:
        for number, each in enumerate(references.values()):
            save(each, partial / f"{number}.parquet")
        if calibrated := _calibrated(trained, config):
            calibrated.save(partial / "calibrated.parquet")
        (partial / "names.json").write_text(json.dumps(list(references)))


def _slices(whole: Reference, rows: list[pa.RecordBatch], masks: Slicer | None) -> dict[str, Reference]:
    if masks is None:
        return {}
    found = summarize_slices(rows, whole, masks)
    sizes = {name: max(each.rows for each in columns.values()) for name, columns in found.items() if name and columns}
    largest = sorted((name for name in sizes if sizes[name] >= LEAST_ROWS), key=lambda name: (-sizes[name], name))
    return {name: replace(whole, columns=found[name]) for name in largest[:MOST_SLICES]}


def _answered(trained: Trained, split: str) -> Iterator[pa.RecordBatch]:
    rows = _sampled(trained, split)
    return answered(trained.model, rows) if trained.model else rows


def _sampled(trained: Trained, split: str) -> Iterator[pa.RecordBatch]:
    """Rows of a split, or evenly chosen ones of many."""
    total = sum(batch.num_rows for batch in read_batches(trained.examples, split))
    share, random = MOST_ROWS / max(total, 1), np.random.default_rng(0)
    for batch in read_batches(trained.examples, split):
        yield batch if share >= 1 else batch.filter(pa.array(random.random(batch.num_rows) < share))


def first_score(schema: pa.Schema) -> str | None:
    """The first output with numbers, one or several a row."""
    return next((field.name for field in schema if is_output(field.name) and _is_number(field.type)), None)


def _is_number(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_list(kind) else kind
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _calibrated(trained: Trained, config: Mapping[str, Any]) -> Calibrated | None:
    """What the version's answers were worth on the rows that it was evaluated on."""
    if not trained.eval_split or not trained.labels or trained.model is None:
        return None
    rows = gathered(_answered(trained, trained.eval_split))
    batches = [_as_served(trained, number, batch) for number, batch in enumerate(rows)]
    try:
        labels = _labels(trained, batches)
        return calibrate(_version(trained, config, None), batches, labels)
    except TaxiwayError as error:
        print(f"monitor: quality is not estimated before labels are there: {error}", flush=True)
        return None


def _labels(trained: Trained, batches: list[pa.RecordBatch]) -> pa.Table | None:
    """The labels of the rows; None if preprocessing computes them from other columns, as the evaluator has them."""
    names = [name for name in sorted(trained.labels) if all(INPUT + name in each.schema.names for each in batches)]
    if len(names) < len(trained.labels):
        return None
    columns = ["request_id", "row", *(INPUT + name for name in names)]
    table = pa.concat_tables(
        [pa.table(each.select(columns).columns, columns) for each in batches], promote_options="permissive"
    )
    return table.rename_columns(["request_id", "row", *(LABEL + name for name in names)])


def _as_served(trained: Trained, number: int, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows in the form of the inference table, one request each."""
    columns = {name if is_output(name) else INPUT + name: _scalars(batch.column(name)) for name in batch.schema.names}
    rows = batch.num_rows
    facts = {
        "request_id": pa.array([f"{number}-{each}" for each in range(rows)]),
        "row": pa.array(np.zeros(rows, np.int32)),
        "version": pa.array(np.full(rows, trained.version, np.int64)),
    }
    return pa.RecordBatch.from_arrays([*facts.values(), *columns.values()], names=[*facts, *columns])


def _scalars(column: pa.Array) -> pa.Array:
    """A column of the inference table: single values if no row has more."""
    return of_feature(column) if pa.types.is_large_list(column.type) else column
