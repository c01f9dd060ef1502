"""Protos that stages exchange as files: schemas and statistics, read with errors that name the file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import DecodeError, Message
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.contract.artifacts import Artifact, split_path
from components.contract.errors import DataError

SCHEMA_FILE = "schema.pbtxt"
STATISTICS_FILE = "FeatureStats.pb"

_Proto = TypeVar("_Proto", bound=Message)


def parse_text(path: Path, message: _Proto) -> _Proto:
    """Fills a message from a text proto file.

    Raises:
        DataError: There is no such file, it is not UTF-8, or it is not a text proto of this message; names the line.
    """
    kind = message.DESCRIPTOR.name
    try:
        text_format.Parse(path.read_text("utf-8"), message)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", fix=f"use a file with a {kind}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8", fix="save the file as UTF-8") from error
    except text_format.ParseError as error:
        # If the position is known, the message starts with "line:column : ".
        said = str(error).split(" : ", 1)[-1]
        place = f", line {error.GetLine()}, column {error.GetColumn()}" if error.GetLine() else ""
        raise DataError(f"{path}{place}: {said}", fix=f"write it as a text proto of {kind}") from error
    return message


def read_schema(schema: Artifact) -> schema_pb2.Schema:
    """The schema of a Schema artifact."""
    return parse_text(schema.path / SCHEMA_FILE, schema_pb2.Schema())


def read_statistics(statistics: Artifact, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """The statistics of a split of an ExampleStatistics artifact.

    Raises:
        DataError: The file is missing or damaged.
    """
    path = split_path(statistics, split) / STATISTICS_FILE
    try:
        return statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise DataError(f"{path} has no readable statistics: {error}", fix="run statistics_gen again") from error
