"""Request logs (PredictionLog) and spans (Parquet, or tf.Examples), written again without some rows.

A file is replaced in one step, so a reader sees the old or the new one. A record of a log is a request: all of it goes
if one of its examples is the customer's. A file that another process has open for writing is left alone, because what
it appends would be lost; a server starts the next one at 64 MB, or when it restarts.
"""

from __future__ import annotations

import fcntl
import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.contract import digests, files
from components.contract.errors import DataError, UserError
from components.data import prediction_logs, tf_example, tfrecord
from components.inference.columns import INPUT
from components.inference.privacy import actions
from components.inference.privacy.keys import Keys
from components.monitoring.forgetting.keys import Key, candidates

Forms = Sequence[dict[str, frozenset[str]]]
"""For each key: the forms of its values by feature."""

_PARQUET = ".parquet"


@dataclass(frozen=True)
class Rewritten:
    """A file that lost rows.

    Attributes:
        rows: The rows or records that it lost.
        before: Its digest before.
        after: Its digest after; empty if it was removed.
    """

    rows: int
    before: str
    after: str


def forms(keys: Sequence[Key], ring: Keys | None) -> Forms:
    """What to look for in files, which have features without a prefix."""
    return [{c.removeprefix(INPUT): frozenset(candidates(v, ring)) for c, v in key.values} for key in keys]


def under(places: Sequence[str], suffixes: tuple[str, ...] = ()) -> list[Path]:
    """The files at paths: a file, all files in a folder, or those that begin with a prefix.

    Raises:
        UserError: There is none at a path.
    """
    found: list[Path] = []
    for place in places:
        path = Path(place)
        here = (
            [path] if path.is_file() else [*path.rglob("*")] if path.is_dir() else [*path.parent.glob(path.name + "*")]
        )
        here = [each for each in here if each.is_file() and not each.name.startswith((".", "_"))]
        here = [each for each in here if each.name.endswith(suffixes)] if suffixes else here
        if not here:
            raise UserError(f"there is no file at {place}", fix="give a file, a folder, or the beginning of file names")
        found += here
    return sorted(set(found))


def is_written(file: Path) -> bool:
    """Whether a process on this machine has a file open for writing: then the kernel gives no read lease."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:  # another user's file, or a file system without leases
        return False
    finally:
        os.close(descriptor)
    return False


def count(file: Path, sought: Forms) -> int:
    """The rows or records that a file would lose."""
    if file.name.endswith(_PARQUET):
        with pq.ParquetFile(file) as opened:
            return sum(int(pc.sum(_matches(batch, sought)).as_py() or 0) for batch in opened.iter_batches())
    return sum(_is_sought(record, sought) for record in tfrecord.read_records(file))


def rewrite(file: Path, sought: Forms, plan: Callable[[Rewritten], None]) -> None:
    """Writes a file again without the rows that are sought.

    Args:
        file: The file.
        sought: What to look for.
        plan: Called with the result just before the file is replaced, to remember it: a kill after that is safe.
    """
    if not (rows := count(file, sought)):
        return
    before = digests.file_digest(file)
    with files.whole(file, synced=True) as partial:
        (_write_parquet if file.name.endswith(_PARQUET) else _write_records)(file, partial, sought)
        if digests.file_digest(file) != before:
            raise DataError(f"{file} was changed meanwhile", fix="run it again when nobody writes to it")
        plan(Rewritten(rows, before, digests.file_digest(partial)))


def remove(file: Path, before: datetime, plan: Callable[[Rewritten], None]) -> None:
    """Removes a file of a log that was last written before a time."""
    if file.stat().st_mtime < before.timestamp():
        plan(Rewritten(sum(1 for _ in tfrecord.read_records(file)), digests.file_digest(file), ""))
        file.unlink()


def _write_parquet(file: Path, partial: Path, sought: Forms) -> None:
    with pq.ParquetFile(file) as opened, pq.ParquetWriter(partial, opened.schema_arrow, compression="zstd") as new:
        for group in range(opened.num_row_groups):
            rows = opened.read_row_group(group)
            batches = [batch.filter(pc.invert(_matches(batch, sought))) for batch in rows.to_batches()]
            new.write_table(pa.Table.from_batches(batches, opened.schema_arrow))


def _write_records(file: Path, partial: Path, sought: Forms) -> None:
    is_zipped = file.read_bytes()[:2] == b"\x1f\x8b"
    kept = (record for record in tfrecord.read_records(file) if not _is_sought(record, sought))
    with gzip.GzipFile(partial, "wb", mtime=0) if is_zipped else partial.open("wb") as new:
        tfrecord.write_records(new, kept)  # type: ignore[arg-type]


def _matches(batch: pa.RecordBatch, sought: Forms) -> pa.Array:
    """Whether each row is one that is sought."""
    found = pa.array([False] * batch.num_rows, pa.bool_())
    for key in sought:
        if set(key) <= set(batch.schema.names):
            holds = [_holds(batch.column(name), texts) for name, texts in key.items()]
            every = holds[0]
            for each in holds[1:]:
                every = pc.and_(every, each)
            found = pc.or_(found, every)
    return found


def _holds(column: pa.Array, texts: frozenset[str]) -> pa.Array:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        rows = pc.list_parent_indices(column).filter(_holds(column.flatten(), texts))
        return pc.is_in(pa.array(range(len(column)), rows.type), value_set=rows)
    coded = column.dictionary_encode()
    wanted = [
        index
        for index, each in enumerate(coded.dictionary.to_pylist())
        if each is not None and actions.text(each) in texts
    ]
    return pc.is_in(coded.indices, value_set=pa.array(wanted, coded.indices.type))


def _is_sought(record: bytes, sought: Forms) -> bool:
    try:
        return any(_has(example, key) for example in _examples(record) for key in sought)
    except ValueError:  # a request that the server refused: its bytes are looked at
        return any(all(any(text.encode() in record for text in texts) for texts in key.values()) for key in sought)


def _examples(record: bytes) -> Iterator[dict[str, frozenset[str]]]:
    """The texts of the features of each example in a record."""
    serialized = prediction_logs.examples(record) if prediction_logs.is_log(record) else [record]
    for each in serialized:
        yield {name: frozenset(map(actions.text, values)) for name, values in tf_example.values(each).items()}


def _has(example: dict[str, frozenset[str]], key: dict[str, frozenset[str]]) -> bool:
    return all(example.get(name, frozenset()) & texts for name, texts in key.items())


def gone(file: Path) -> None:
    """Removes the partial files that a killed process left beside a file."""
    for partial in file.parent.glob(f".{file.stem}.*.partial{file.suffix}"):
        with suppress(FileNotFoundError):
            partial.unlink()
