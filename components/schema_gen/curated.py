"""A schema that somebody wrote or edited, copied byte for byte."""

from __future__ import annotations

import shutil
from pathlib import Path

from tensorflow_metadata.proto.v0 import schema_pb2

from components.contract.artifacts import Artifact
from components.contract.errors import DataError
from components.data.protos import SCHEMA_FILE, parse_text


def take(file: Path, output: Artifact) -> None:
    """Copies a schema file as it is, with comments and environments, after checking that it is a schema.

    Raises:
        DataError: It is not a text proto of a Schema (names the line), or it has no features.
    """
    schema = parse_text(file, schema_pb2.Schema())
    if not schema.feature:
        raise DataError(f"{file} has no features", fix="name a schema file with features, or omit schema_file")
    output.path.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, output.path / SCHEMA_FILE)
    environments = ", ".join(schema.default_environment) or "none"
    print(f"schema: {len(schema.feature)} features from {file}, environments: {environments}", flush=True)
