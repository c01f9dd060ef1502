"""What an artifact was made from: a record that travels with it, with no database.

The artifact's own record is in its metadata (`provenance`, JSON); the records of all its ancestors, and of what the
same call made with it, lie beside it in `provenance.json`, own record first; where no file may lie beside it, in its
metadata (`provenance_chain`). A record:

    {"digest": content digest, "type": TFX type, "output": name, "stage": name, "stage_version": digest of its code,
     "parameters": {...}, "code": {"commit": ..., "modified": bool, "modules": {parameter: {name, function, digest}}},
     "image": ..., "environment": see `components.execution.environment`, "data": data version or null,
     "inputs": {name: digest}, "created": ISO 8601,
     "deterministic": 1, or 0 and "not_deterministic": why, where the stage tells; "metrics": of an evaluation}
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.contract.artifacts import Artifact, Metrics, Role
from components.contract.digests import PROVENANCE_FILE, text_digest, tree_digest
from components.execution import environment
from components.user_code import custom_ops, user_modules

Record = dict[str, Any]
Commit = dict[str, Any]

COMMIT_VARIABLE = "TAXIWAY_COMMIT"
IMAGE_VARIABLE = "TAXIWAY_IMAGE"
CHAIN_PROPERTY = "provenance_chain"
_KEYS = {"digest", "type", "output", "stage", "parameters", "inputs", "created"}
_DETERMINISM = ("deterministic", "not_deterministic")
_COMPONENTS = Path(__file__).parents[1]
_LONG = 1000  # characters: metadata ride on command lines, which Linux bounds at 128 KiB an argument


@functools.cache
def stage_version(stage: str) -> str:
    """Digest of the code of a stage: its own folder, those of the stages that it calls, and what all stages share."""
    return text_digest(
        "".join(f"{file.relative_to(_COMPONENTS)}\0{file.read_text()}\0" for file in _stage_files(stage))
    )


def _stage_files(stage: str) -> list[Path]:
    own = (file for name in _called(_COMPONENTS, stage) for file in (_COMPONENTS / name).rglob("*.py"))
    return sorted([*_COMPONENTS.glob("*.py"), *own])


def _called(here: Path, stage: str) -> set[str]:
    """A stage and the stages whose modules its own import, as their text names them."""
    called, waiting = set[str](), {stage, "execution"}
    while waiting:
        name = waiting.pop()
        called.add(name)
        text = "".join(file.read_text() for file in (here / name).rglob("*.py"))
        waiting |= {found for found in re.findall(r"\bcomponents\.(\w+)", text) if (here / found).is_dir()} - called
    return called


def code_commit() -> Commit:
    """The Git commit of the working folder: `commit` (empty where there is none) and `modified`."""
    known = os.environ.get(COMMIT_VARIABLE)
    if known is not None:
        return {"commit": known.removesuffix("+"), "modified": known.endswith("+")}
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "modified": bool(commit and _git("status", "--porcelain", "--untracked-files=no"))}


def commit_with(files: Iterable[Path], commit: Commit | None = None) -> Commit:
    """A commit, by default that of the working folder; it counts as modified where it lacks one of these files."""
    commit = commit or code_commit()
    # Whoever names the commit has looked at the files.
    if COMMIT_VARIABLE in os.environ or commit["modified"] or not commit["commit"]:
        return commit
    return {**commit, "modified": not _has_committed(_repository(Path.cwd() / "any"), set(files))}


def commit_text(commit: Commit) -> str:
    """A commit as COMMIT_VARIABLE holds it: with a `+` behind it where it was modified."""
    return f"{commit['commit']}{'+' * commit['modified']}"


def covered(stage: str, parameters: Mapping[str, Any], roles: Mapping[str, Role]) -> Iterator[Path]:
    """The files that a record's digests cover and a commit should have: the user's, and in a checkout the stage's."""
    for name, role in roles.items():
        if role.name == "Module" and parameters.get(name):
            yield from user_modules.files(parameters[name])
        elif role.name == "File" and parameters.get(name):
            path = Path(parameters[name]).absolute()
            yield from (file for file in (path.rglob("*") if path.is_dir() else (path,)) if file.is_file())
    if _is_checked_out():
        yield from _stage_files(stage)


def _is_checked_out() -> bool:
    """Whether the stages' code is part of the working folder's repository, and not installed there."""
    return _repository(_COMPONENTS) == _repository(Path.cwd() / "any") and not user_modules.is_installed(_COMPONENTS)


def _has_committed(root: Path, files: set[Path]) -> bool:
    """Whether the last commit of a repository has these files, itself or in its submodules."""
    inside: dict[Path, set[Path]] = {}
    for file in files:
        inside.setdefault(_repository(file), set()).add(file)
    if not all(own.is_relative_to(root) and found <= _committed(own, found) for own, found in inside.items()):
        return False
    # What a submodule has is committed where the commit around it has the submodule.
    submodules = inside.keys() - {root}
    return not submodules or _has_committed(root, submodules)


def _committed(repository: Path, files: set[Path]) -> set[Path]:
    """Of some files of a repository, those that its last commit has."""
    names = [file.relative_to(repository).as_posix() for file in files]
    listed = _git("-C", str(repository), "ls-tree", "-z", "--name-only", "HEAD", "--", *names)
    return {repository / name for name in listed.split("\0")}


def _repository(path: Path) -> Path:
    """The repository or submodule that a path lies in; the file system's root where there is none."""
    return next((place for place in path.parents if (place / ".git").exists()), Path(path.anchor))


def activity(
    stage: str,
    parameters: Mapping[str, Any],
    roles: Mapping[str, Role],
    inputs: Mapping[str, Artifact],
    commit: Commit | None = None,
) -> Record:
    """What all outputs of one call of a stage have in common in their records.

    Args:
        stage: The stage's name.
        parameters: What it was called with.
        roles: What its parameters name.
        inputs: Its input artifacts.
        commit: The commit of the code; by default that of the working folder, with all that the digests cover.
    """
    commit = commit or commit_with(covered(stage, parameters, roles))
    modules = {
        name: user_modules.describe(parameters[name], role.detail)
        for name, role in roles.items()
        if role.name == "Module" and parameters[name]
    }
    files = {
        name: tree_digest(Path(parameters[name]))
        for name, role in roles.items()
        if role.name == "File" and parameters[name] and Path(parameters[name]).exists()
    }
    for name, role in roles.items():
        if role.name == "Operations":
            files |= custom_ops.digests(parameters[name], tree_digest)
    return {
        "stage": stage,
        "stage_version": stage_version(stage),
        "parameters": dict(parameters),
        "code": {**commit, "modules": modules, "files": files},
        "image": os.environ.get(IMAGE_VARIABLE, ""),
        "environment": environment.described(),
        "inputs": {
            name: artifact.metadata.get("digest") or tree_digest(artifact.path) for name, artifact in inputs.items()
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def stamp(
    artifact: Artifact, output: str, made_by: Record, inputs: Mapping[str, Artifact], *, beside: bool = True
) -> None:
    """Gives one artifact its digest and record; see `stamp_all`."""
    stamp_all({output: artifact}, made_by, inputs, beside=beside)


def stamp_all(
    outputs: Mapping[str, Artifact], made_by: Record, inputs: Mapping[str, Artifact], *, beside: bool = True
) -> None:
    """Gives what one call of a stage made its digests and records, and writes its chain beside each artifact.

    A chain holds the own record, those of the other outputs of the call (a blessing names its evaluation), those of
    all inputs, and those that the stage itself left in the artifact's `provenance.json`: what it fetched from
    elsewhere has a history there. The first of these is the record's input `source`.

    Args:
        outputs: The artifacts by output name.
        made_by: What made them, from `activity`.
        inputs: The artifacts that it was given.
        beside: Whether a chain may lie beside its artifact; it is in the metadata otherwise.
    """
    brought = {name: _written_chain(artifact) for name, artifact in outputs.items()}
    records = {name: _output_record(name, artifact, made_by, brought[name]) for name, artifact in outputs.items()}
    older = ancestors(inputs.values())
    for name, artifact in outputs.items():
        artifact.metadata["digest"] = records[name]["digest"]
        artifact.metadata["provenance"] = json.dumps(_shortened(records[name]))
        chained = distinct([records[name], *records.values(), *older, *brought[name]])
        if beside and artifact.takes_files and artifact.path.is_dir():
            write_chain(artifact.path, chained)
        else:
            artifact.metadata[CHAIN_PROPERTY] = json.dumps(chained)


def record(digest: str, kind: str, output: str, made_by: Record, **more: Any) -> Record:
    """The record of one output of a call of a stage, `made_by` from `activity`."""
    return {"digest": digest, "type": kind, "output": output, **made_by, "data": None, **more}


def _output_record(name: str, artifact: Artifact, made_by: Record, brought: list[Record]) -> Record:
    data = json.loads(artifact.metadata.pop("data_version", "null"))
    sources = {"source": brought[0]["digest"]} if brought else {}
    inputs = {**made_by["inputs"], **sources}
    facts = {key: artifact.metadata[key] for key in _DETERMINISM if key in artifact.metadata}
    if isinstance(artifact, Metrics):
        facts["metrics"] = artifact.metrics
    return record(tree_digest(artifact.path), artifact.type_name, name, made_by, data=data, inputs=inputs, **facts)


def write_chain(folder: Path, records: list[Record]) -> None:
    """Writes `provenance.json` into a folder."""
    (folder / PROVENANCE_FILE).write_text(json.dumps(records, indent=1) + "\n")


def chain(artifact: Artifact) -> list[Record]:
    """The records of an artifact and of its ancestors, its own first; empty for one that no stage made."""
    own = artifact.metadata.get("provenance")
    return _written_chain(artifact) or ([json.loads(own)] if own else [])


def ancestors(artifacts: Iterable[Artifact]) -> list[Record]:
    """The records of several artifacts and of all their ancestors, each once."""
    return distinct(record for artifact in artifacts for record in chain(artifact))


def distinct(records: Iterable[Record]) -> list[Record]:
    """Each record once, whenever it was made; the first of equal ones stays.

    A digest alone does not tell two records apart: every blessing is the same empty file.
    """
    found: dict[str, Record] = {}
    for each in records:
        found.setdefault(json.dumps({**each, "created": ""}, sort_keys=True), each)
    return list(found.values())


def without_sources(records: list[Record]) -> list[Record]:
    """The records that the first one leads back to, but not those behind a `source`.

    What was fetched keeps its own history where it was fetched from; without this cut every push would carry those
    of all pushes before it.
    """
    nearest = {each["digest"]: each for each in reversed(records)}
    kept: list[Record] = []
    waiting = records[:1]
    while waiting:
        each = waiting.pop()
        if each not in kept:
            kept.append(each)
            behind = [digest for name, digest in each["inputs"].items() if name != "source"]
            waiting += [nearest[digest] for digest in behind if digest in nearest]
            waiting += [other for other in records if _are_of_one_call(other, each)]
    return [each for each in records if each in kept]


def _are_of_one_call(one: Record, other: Record) -> bool:
    same = all(one[key] == other[key] for key in ("stage", "inputs", "parameters", "created"))
    return same and one["output"] != other["output"]


def parse_chain(text: str | bytes) -> list[Record]:
    """The records that a `provenance.json` holds; none where the file is another program's."""
    try:
        records = json.loads(text)
    except ValueError:
        return []
    ours = isinstance(records, list) and all(isinstance(each, dict) and each.keys() >= _KEYS for each in records)
    return records if ours else []


def _written_chain(artifact: Artifact) -> list[Record]:
    file = artifact.path / PROVENANCE_FILE
    return parse_chain(file.read_bytes() if file.is_file() else artifact.metadata.get(CHAIN_PROPERTY, "[]"))


def _shortened(record: Record) -> Record:
    parameters = {
        name: value if len(text := json.dumps(value)) <= _LONG else text_digest(text)
        for name, value in record["parameters"].items()
    }
    return {**record, "parameters": parameters}


def _git(*arguments: str) -> str:
    # A process that is killed is to leave no lock in the user's repository.
    try:
        done = subprocess.run(["git", "--no-optional-locks", *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return ""
    return os.fsdecode(done.stdout).strip() if done.returncode == 0 else ""
