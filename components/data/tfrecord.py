"""TFRecord files without TensorFlow, whose import takes longer than reading most files.

The format (tensorflow/core/lib/io/record_writer.h): a little-endian uint64 length, the masked CRC-32C of these 8 bytes,
the data, and the data's masked CRC-32C.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TypeVar

import google_crc32c

from components.contract.errors import DataError

_T = TypeVar("_T")

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8
_GZIP_MAGIC = b"\x1f\x8b"


def read_records(path: Path) -> Iterator[bytes]:
    """The records of a TFRecord file, gzipped or plain.

    Raises:
        DataError: The file is truncated, or a checksum is wrong; gives the record's number.
    """
    with _opened(path) as file:
        number = 0
        try:
            while header := file.read(_HEADER.size):
                number += 1
                yield _record(file, header)
        except (EOFError, zlib.error, gzip.BadGzipFile, ValueError, struct.error) as error:
            raise DataError(f"{path} is damaged at record {number}: {error}", fix="write the file again") from error


def write_records(file: IO[bytes] | gzip.GzipFile, records: Iterable[bytes]) -> None:
    """Appends records to an open file."""
    for data in records:
        length = struct.pack("<Q", len(data))
        file.write(length + _FOOTER.pack(_masked_crc(length)) + data + _FOOTER.pack(_masked_crc(data)))


def chunks(items: Iterable[_T], most: int, most_bytes: int, *, size: Callable[[_T], int]) -> Iterator[list[_T]]:
    """Groups items into lists of at most `most` items; a list also ends with the item that exceeds `most_bytes`."""
    chunk: list[_T] = []
    held = 0
    for item in items:
        chunk.append(item)
        held += size(item)
        if len(chunk) == most or held > most_bytes:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        magic = file.read(2)
    return gzip.open(path) if magic == _GZIP_MAGIC else path.open("rb")  # type: ignore[return-value]


def _record(file: IO[bytes], header: bytes) -> bytes:
    length, checksum = _HEADER.unpack(header)
    if checksum != _masked_crc(header[:8]):
        raise ValueError("the checksum of the length is wrong")
    data, footer = file.read(length), file.read(_FOOTER.size)
    if len(data) != length:
        raise ValueError("the file ends inside the record")
    if _FOOTER.unpack(footer)[0] != _masked_crc(data):
        raise ValueError("the checksum of the data is wrong")
    return data


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF
