"""What an artifact was made from: a record that travels with it, with no database.

The artifact's own record is in its metadata (`provenance`, JSON); the records of all its ancestors lie beside it in
`provenance.json`, own record first. A record:

    {"digest": content digest, "type": TFX type, "output": name, "stage": name, "stage_version": digest of its code,
     "parameters": {...}, "code": {"commit": ..., "modified": bool, "modules": {parameter: {name, function, digest}}},
     "image": ..., "data": data version or null, "inputs": {name: digest}, "created": ISO 8601}
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components import user_modules
from components.artifacts import Artifact, Role
from components.digests import PROVENANCE_FILE, text_digest, tree_digest

Record = dict[str, Any]

COMMIT_VARIABLE = "TAXIWAY_COMMIT"
IMAGE_VARIABLE = "TAXIWAY_IMAGE"
_LONG = 1000  # characters: metadata ride on command lines, which Linux bounds at 128 KiB an argument


@functools.cache
def stage_version(stage: str) -> str:
    """Digest of the code of a stage: its own folder, and what all stages share."""
    here = Path(__file__).parent
    files = sorted([*here.glob("*.py"), *(here / stage).rglob("*.py")])
    return text_digest("".join(f"{file.relative_to(here)}\0{file.read_text()}\0" for file in files))


@functools.cache
def code_commit() -> dict[str, Any]:
    """The Git commit of the working folder: `commit` (empty where there is none) and `modified`."""
    known = os.environ.get(COMMIT_VARIABLE)
    if known is not None:
        return {"commit": known.removesuffix("+"), "modified": known.endswith("+")}
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "modified": bool(commit and _git("status", "--porcelain", "--untracked-files=no"))}


def activity(
    stage: str, parameters: Mapping[str, Any], roles: Mapping[str, Role], inputs: Mapping[str, Artifact]
) -> Record:
    """What all outputs of one call of a stage have in common in their records."""
    modules = {
        name: user_modules.describe(parameters[name], role.function)
        for name, role in roles.items()
        if role.name == "Module" and parameters[name]
    }
    files = {
        name: tree_digest(Path(parameters[name]))
        for name, role in roles.items()
        if role.name == "File" and parameters[name] and Path(parameters[name]).exists()
    }
    return {
        "stage": stage,
        "stage_version": stage_version(stage),
        "parameters": dict(parameters),
        "code": {**code_commit(), "modules": modules, "files": files},
        "image": os.environ.get(IMAGE_VARIABLE, ""),
        "inputs": {
            name: artifact.metadata.get("digest") or tree_digest(artifact.path) for name, artifact in inputs.items()
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def stamp(artifact: Artifact, output: str, made_by: Record, inputs: Mapping[str, Artifact]) -> None:
    """Gives an artifact its digest and its record, and writes the chain beside it."""
    digest = tree_digest(artifact.path)
    data = json.loads(artifact.metadata.pop("data_version", "null"))
    record = {"digest": digest, "type": artifact.type_name, "output": output, **made_by, "data": data}
    artifact.metadata["digest"] = digest
    artifact.metadata["provenance"] = json.dumps(_shortened(record))
    if artifact.path.is_dir():
        write_chain(artifact.path, [record, *ancestors(inputs.values())])


def write_chain(folder: Path, records: list[Record]) -> None:
    """Writes `provenance.json` into a folder."""
    (folder / PROVENANCE_FILE).write_text(json.dumps(records, indent=1) + "\n")


def chain(artifact: Artifact) -> list[Record]:
    """The records of an artifact and of its ancestors, its own first; empty for one that no stage made."""
    file = artifact.path / PROVENANCE_FILE
    if file.is_file():
        return list(json.loads(file.read_text()))
    own = artifact.metadata.get("provenance")
    return [json.loads(own)] if own else []


def ancestors(artifacts: Iterable[Artifact]) -> list[Record]:
    """The records of several artifacts and of all their ancestors, each digest and output once."""
    found: dict[tuple[str, str, str], Record] = {}
    for artifact in artifacts:
        for record in chain(artifact):
            found.setdefault((record["digest"], record["stage"], record["output"]), record)
    return list(found.values())


def _shortened(record: Record) -> Record:
    parameters = {
        name: value if len(text := json.dumps(value)) <= _LONG else text_digest(text)
        for name, value in record["parameters"].items()
    }
    return {**record, "parameters": parameters}


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
