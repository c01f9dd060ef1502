"""Takes PredictionLogs, as TF Serving writes them, into the inference table.

A record tells neither when the request arrived, unless its server is recent, nor how long it took, nor its id: the time
of a record is its own, or else the file's, and the id is made of the file's name and the record's number.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from components.contract.errors import DataError, UserError
from components.data import tfrecord
from components.data.serving_stubs import prediction_log_pb2
from components.inference import messages, table
from components.inference.requests import Request
from components.inference.rows import Maker
from components.inference.table import Once

_APIS = {
    "predict_log": "Predict",
    "classify_log": "Classify",
    "regress_log": "Regress",
    "multi_inference_log": "MultiInference",
}
_CHUNK_RECORDS, _CHUNK_BYTES = 20_000, 64 << 20


@dataclass
class Taken:
    """What was taken from files.

    Attributes:
        files: The number of files that were new.
        known: The number of files that were in the table already.
        requests: The number of requests, by model.
        left_out: What is not in the table: requests without readable inputs, and records of session runs.
    """

    files: int = 0
    known: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def take(root: str, paths: Sequence[Path]) -> Taken:
    """Appends the requests in log files to the tables of their models; a file that was taken before adds nothing.

    A file is known by its name and content, so a file that has grown counts as another: take files that are complete.

    Args:
        root: The folder or URL with the folders of all models.
        paths: TFRecord files, or folders of them.

    Raises:
        UserError: A path does not exist.
        DataError: A file is damaged, or a record is not a PredictionLog; files before it are in the table.
    """
    taken = Taken()
    for file in _files(paths):
        writer = f"{file.name}-{_digest(file)}"
        is_new = _take(root, file, writer, taken)
        taken.files += is_new
        taken.known += not is_new
    return taken


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            raise UserError(f"there is no file or folder {path}", fix="give TFRecord files, or a folder with them")
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (each for each in found if each.is_file() and not each.name.startswith((".", "_")))


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:32]


def _take(root: str, file: Path, writer: str, taken: Taken) -> bool:
    """Takes a file; whether anything in it was new."""
    is_new = False
    chunks = tfrecord.chunks(_requests(file, taken), _CHUNK_RECORDS, _CHUNK_BYTES, size=_size)
    for number, chunk in enumerate(chunks, 1):
        for model in sorted({request.model for request in chunk}):
            own = [request for request in chunk if request.model == model]
            made = Maker().make(own)
            if table.append(f"{root.rstrip('/')}/{model}", made.rows, Once(writer, number)) is not None:
                is_new = True
                taken.requests[model] += len(own)
                taken.left_out += made.left_out
    return is_new


def _size(request: Request) -> int:
    return sum(array.nbytes for array in request.content.inputs.values())


def _requests(file: Path, taken: Taken) -> Iterator[Request]:
    written = file.stat().st_mtime
    for number, record in enumerate(tfrecord.read_records(file), 1):
        log = _parsed(file, number, record)
        kind = log.WhichOneof("log_type")
        if kind not in _APIS:
            taken.left_out[kind] += 1
            continue
        yield _request(log, _APIS[kind], f"{file.name}:{number}", written)


def _parsed(file: Path, number: int, record: bytes) -> Any:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError:
        log = None
    if log is None or log.WhichOneof("log_type") is None:
        raise DataError(
            f"{file}, record {number}: is not a PredictionLog", fix="remove the file from the logs, or write it again"
        )
    return log


def _request(log: Any, api: str, request_id: str, written: float) -> Request:
    part = getattr(log, log.WhichOneof("log_type"))
    metadata = log.log_metadata
    share = metadata.sampling_config.sampling_rate
    request = Request(
        request_id=request_id,
        time=float(metadata.timestamp_secs or written),
        model=metadata.model_spec.name or messages.first_spec(part.request).name,
        api=api,
        share=share if 0 < share <= 1 else 1.0,
    )
    with suppress(ValueError):  # a request that TF Serving has refused as well
        messages.fill(request, part.request, part.response if part.HasField("response") else None)
    return request
