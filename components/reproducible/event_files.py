"""Makes TensorBoard's event files independent of the process that wrote them.

Their names contain the time, the host and the process; each event has a timestamp; a graph contains numbered function
names. TensorBoard reads the files in a folder in the order of their names, which is kept. An event's timestamp becomes
its index in the file, in seconds; the steps still show the progress of training.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow.core.util import event_pb2

from components.contract import files
from components.contract.errors import DataError
from components.data import tfrecord
from components.reproducible.saved_model import settled_graph

_NAME = re.compile(r"events\.out\.tfevents\.(?P<time>\d+)\.(?P<process>.*?)(?P<version>\.v\d+)?")


def make_reproducible(folder: Path) -> list[Path]:
    """Rewrites the event files at or below a folder.

    Returns:
        The files that are left unchanged: damaged ones, and those that are not event files.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    events = [path for path in files if _NAME.fullmatch(path.name)]
    left = [path for path in files if path not in events]
    for parent in sorted({path.parent for path in events}):
        for number, path in enumerate(sorted((each for each in events if each.parent == parent), key=_order)):
            left += [] if _rewrite(path, number) else [path]
    return left


def _order(path: Path) -> tuple[int, list[tuple[int, str]]]:
    """The order of creation: by second, then by the numbers in the names, of which the last one counts files."""
    name = _NAME.fullmatch(path.name)
    assert name
    return int(name["time"]), [(int(part) if part.isdigit() else -1, part) for part in name["process"].split(".")]


def _rewrite(path: Path, number: int) -> bool:
    name = _NAME.fullmatch(path.name)
    assert name
    target = path.with_name(f"events.out.tfevents.{number:010d}.taxiway{name['version'] or ''}")
    try:
        with files.whole(target) as partial, partial.open("wb") as file:
            tfrecord.write_records(file, _settled(path))
    except (DataError, DecodeError):
        return False
    if path != target:
        path.unlink()
    return True


def _settled(path: Path) -> Iterator[bytes]:
    for place, record in enumerate(tfrecord.read_records(path)):
        event = event_pb2.Event.FromString(record)
        event.wall_time = place
        if event.HasField("graph_def"):
            event.graph_def = settled_graph(event.graph_def)
        yield event.SerializeToString(deterministic=True)
