"""Writes the labelled rows of a window as Examples, after those of a history, with where they come from."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pandas.util import hash_array

from components.contract.artifacts import Examples, Schema, split_names
from components.contract.errors import DataError, UserError
from components.contract.files import whole_folder
from components.data.examples import SplitWriter, describe, read_batches
from components.inference_example_gen import features
from components.inference_example_gen.features import Features
from components.inference_example_gen.read import Asked, Found, read


def generate(
    examples: Examples,
    asked: Asked,
    schema: Schema | None,
    history: Examples | None,
    *,
    without: Collection[str],
    shares: Mapping[str, Any],
    payload_format: str,
) -> None:
    """Writes the artifact and its metadata; see the stage."""
    _require_shares(shares)
    known = features.read(schema)
    features.require_known(without, known)
    found = read(asked, list(known.types) if known else None)
    rows = features.of_rows(found, known, without, history)
    added = _split(rows, found.rows["request_id"], shares)
    names = list(dict.fromkeys([*(split_names(history) if history else []), *shares]))
    fields = known.fields if known else list(rows.schema)
    with whole_folder(examples.path) as folder:
        counts = {}
        for name in names:
            with SplitWriter(Examples(folder), name, payload_format) as writer:
                for batch in _before(history, name, known):
                    writer.write(features.same_form(batch, fields))
                if name in added:
                    writer.write(added[name])
            counts[name] = writer.rows
    describe(examples, names, payload_format)
    examples.metadata |= {
        "rows": json.dumps(counts),
        "new_rows": json.dumps({name: own.num_rows for name, own in added.items()}),
        "data_version": json.dumps(_record(asked, found, rows)),
        **{f"rows_{name}": count for name, count in found.counts.items()},
    }
    _describe(examples, asked, found)


def _split(rows: pa.RecordBatch, ids: pa.ChunkedArray, shares: Mapping[str, Any]) -> dict[str, pa.RecordBatch]:
    """The rows of each split.

    Raises:
        DataError: A split has none.
    """
    numbers = assigned(ids, shares)
    found = {name: rows.filter(pa.array(numbers == number)) for number, name in enumerate(shares)}
    for name, own in found.items():
        if not own.num_rows:
            raise DataError(
                f"the split {name!r} has no rows: the window has {rows.num_rows} with a label",
                fix="take a longer window, or change the splits' shares",
            )
    return found


def assigned(ids: pa.ChunkedArray, shares: Mapping[str, Any]) -> NDArray[np.int64]:
    """The number of each row's split, by the hash of its request's id."""
    ends = list(itertools.accumulate(int(float(each)) for each in shares.values()))
    hashes = hash_array(ids.to_numpy().astype(object), categorize=False)
    found: NDArray[np.int64] = np.array(ends).searchsorted(hashes % np.uint64(ends[-1]), side="right")
    return found


def _require_shares(shares: Mapping[str, Any]) -> None:
    for name in shares:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise UserError(f"{name!r} is not a valid name for a split", fix="use letters, digits, _, - and .")
    if not shares or not all(_is_share(each) for each in shares.values()):
        raise UserError(f"splits is {dict(shares)}", fix="use positive integers as shares: {'train': 2, 'eval': 1}")


def _is_share(value: Any) -> bool:
    """Kubeflow passes a pipeline parameter inside a map as a string, and a number as a double."""
    try:
        return float(value).is_integer() and float(value) >= 1
    except (TypeError, ValueError):
        return False


def _before(history: Examples | None, name: str, known: Features | None) -> Iterator[pa.RecordBatch]:
    if history is not None and name in split_names(history):
        yield from read_batches(history, name, schema=known.serialized if known else None)


def _describe(examples: Examples, asked: Asked, found: Found) -> None:
    share = found.rows["share"].fill_null(1.0)
    low, high = pc.min(share).as_py(), pc.max(share).as_py()
    examples.metadata |= {"share_low": low, "share_high": high}
    examples.summarize(
        "requests", f"{found.rows.num_rows:,} of {found.counts['requests']:,} rows have a label, {asked.window}"
    )
    if low != high:
        examples.note(f"the rows were recorded with shares from {low:g} to {high:g}; each counts once here")


def _record(asked: Asked, found: Found, rows: pa.RecordBatch) -> dict[str, Any]:
    """The version of the data, as `components.versioning.data_versions` has it for files."""
    return {
        "path": f"{asked.tables.rstrip('/')}/{asked.model_name}",
        "revision": f"inference-{found.inference_version},labels-{found.labels_version}",
        "commit": "",
        "dvc_file": "",
        "dvc_hash": "",
        "versioned": True,
        "content": _digest(rows),
        "window": [asked.start.isoformat(), asked.end.isoformat()],
        "pinned": {"inference_version": found.inference_version, "labels_version": found.labels_version},
    }


def _digest(rows: pa.RecordBatch) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    return f"sha256:{hashlib.sha256(sink.getvalue()).hexdigest()}"
