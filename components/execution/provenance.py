"""What an artifact was made from: a record that is stored with the artifact, without a database.

The artifact's own record is in its metadata (`provenance`, JSON). Its chain is in `provenance.json` in its folder: its
own record first, then those of the other outputs of the same call and of all ancestors. If the folder cannot take that
file, the chain is in the metadata (`provenance_chain`). A record:

    {"digest": content digest, "type": TFX type, "output": name, "stage": name, "stage_version": digest of its code,
     "parameters": {...}, "code": {"commit": ..., "modified": bool, "modules": {parameter: {name, function, digest}}},
     "image": ..., "environment": see `components.execution.environment`, "data": data version or null,
     "inputs": {name: digest}, "created": ISO 8601,
     "deterministic": 1, or 0 with "not_deterministic": reason, if the stage says so; "metrics": of an evaluation;
     "verdict": what the stage decided about a model, and why}
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

from components.contract.artifacts import ELSEWHERE, NEXT_STEP, REUSED, SUMMARY, Artifact, Metrics, Role
from components.contract.digests import PROVENANCE_FILE, text_digest, tree_digest
from components.execution import environment
from components.user_code import custom_ops, user_modules

Record = dict[str, Any]
Commit = dict[str, Any]

COMMIT_VARIABLE = "TAXIWAY_COMMIT"
IMAGE_VARIABLE = "TAXIWAY_IMAGE"
CHAIN_PROPERTY = "provenance_chain"
CREATED_PROPERTY = "provenance_created"
"""Set by a stage that has written its record itself, so that both say the same time."""
# Metadata that say where an artifact came from, or are for runners, and not what it is; see also `locations`.
_NOT_CONTENT = {"digest", "provenance", CHAIN_PROPERTY, SUMMARY, NEXT_STEP, ELSEWHERE, REUSED, "store_session_info"}
_KEYS = {"digest", "type", "output", "stage", "parameters", "inputs", "created"}
VERDICT = "verdict"
"""Set by a stage that decides about a model: what it decided, and why, in a sentence."""
_FACTS = ("deterministic", "not_deterministic", VERDICT)
_COMPONENTS = Path(__file__).parents[1]
_LONG = 1000  # characters; metadata is passed on command lines, where Linux limits an argument to 128 KiB


@functools.cache
def stage_version(stage: str) -> str:
    """The digest of a stage's code: its own folder, those of the stages that it calls, and the shared code."""
    files = sorted(_stage_files(stage).items())
    return text_digest("".join(f"{file.relative_to(_COMPONENTS)}\0{text}\0" for file, text in files))


def _stage_files(stage: str) -> dict[Path, str]:
    """The files of a stage's code, each with its text."""
    files = _texts(_COMPONENTS, "*.py").copy()
    for name in _called(stage):
        files |= _texts(_COMPONENTS / name, "**/*.py")
    return files


def _called(stage: str) -> set[str]:
    """The folders whose modules a stage's code imports, directly or indirectly, found by name in the source text."""
    called, pending = set[str](), {stage, "execution"}
    while pending:
        name = pending.pop()
        called.add(name)
        pending |= _named(_COMPONENTS / name) - called
    return called


@functools.cache
def _named(folder: Path) -> frozenset[str]:
    """The folders of components that the code in a folder names."""
    found = set(re.findall(r"\bcomponents\.(\w+)", "".join(_texts(folder, "**/*.py").values())))
    return frozenset(name for name in found if (folder.parent / name).is_dir())


# A run asks for every stage, and the stages share most folders.
@functools.cache
def _texts(folder: Path, pattern: str) -> dict[Path, str]:
    return {file: file.read_text() for file in folder.glob(pattern)}


def code_commit() -> Commit:
    """The Git commit of the working folder: `commit` (empty if there is none) and `modified`."""
    known = os.environ.get(COMMIT_VARIABLE)
    if known is not None:
        return {"commit": known.removesuffix("+"), "modified": known.endswith("+")}
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "modified": bool(commit and _git("status", "--porcelain", "--untracked-files=no"))}


def commit_with(files: Iterable[Path], commit: Commit | None = None) -> Commit:
    """A commit (default: the working folder's); it counts as modified if it lacks one of these files."""
    commit = commit or code_commit()
    # Whoever sets the variable has checked the files already.
    if COMMIT_VARIABLE in os.environ or commit["modified"] or not commit["commit"]:
        return commit
    return {**commit, "modified": not _has_committed(_repository(Path.cwd() / "any"), set(files))}


def commit_text(commit: Commit) -> str:
    """A commit in the form of COMMIT_VARIABLE, with a trailing `+` if it was modified."""
    return f"{commit['commit']}{'+' * commit['modified']}"


def covered(stage: str, parameters: Mapping[str, Any], roles: Mapping[str, Role]) -> Iterator[Path]:
    """The files that a record's digests cover and the commit should have: the user's, and in a checkout the stage's."""
    for name, role in roles.items():
        if role.name == "Module" and parameters.get(name):
            yield from user_modules.files(parameters[name])
        elif role.name == "File" and parameters.get(name):
            path = Path(parameters[name]).absolute()
            yield from (file for file in (path.rglob("*") if path.is_dir() else (path,)) if file.is_file())
    if _is_checked_out():
        yield from _stage_files(stage)


def _is_checked_out() -> bool:
    """Whether the stages' code is part of the working folder's repository, and not an installed package."""
    return _repository(_COMPONENTS) == _repository(Path.cwd() / "any") and not user_modules.is_installed(_COMPONENTS)


def _has_committed(root: Path, files: set[Path]) -> bool:
    """Whether the last commit of a repository, including its submodules, has these files."""
    inside: dict[Path, set[Path]] = {}
    for file in files:
        inside.setdefault(_repository(file), set()).add(file)
    if not all(own.is_relative_to(root) and found <= _committed(own, found) for own, found in inside.items()):
        return False
    # A submodule's files count only if the outer commit has the submodule.
    submodules = inside.keys() - {root}
    return not submodules or _has_committed(root, submodules)


def _committed(repository: Path, files: set[Path]) -> set[Path]:
    """Those of the given files that a repository's last commit has."""
    names = [file.relative_to(repository).as_posix() for file in files]
    listed = _git("-C", str(repository), "ls-tree", "-z", "--name-only", "HEAD", "--", *names)
    return {repository / name for name in listed.split("\0")}


def _repository(path: Path) -> Path:
    """The repository or submodule that contains a path; the file system's root if there is none."""
    return next((place for place in path.parents if (place / ".git").exists()), Path(path.anchor))


def activity(
    stage: str,
    parameters: Mapping[str, Any],
    roles: Mapping[str, Role],
    inputs: Mapping[str, Artifact],
    commit: Commit | None = None,
) -> Record:
    """The part of the record that all outputs of a stage's call share.

    Args:
        stage: The stage's name.
        parameters: The parameters of the call.
        roles: What the parameters refer to.
        inputs: The input artifacts.
        commit: The commit of the code; default: the working folder's, checked for all files that the digests cover.
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


def attach(
    artifact: Artifact, output: str, made_by: Record, inputs: Mapping[str, Artifact], *, beside: bool = True
) -> None:
    """Gives one artifact its digest and record; see `attach_all`."""
    attach_all({output: artifact}, made_by, inputs, beside=beside)


def attach_all(
    outputs: Mapping[str, Artifact], made_by: Record, inputs: Mapping[str, Artifact], *, beside: bool = True
) -> None:
    """Gives the outputs of a stage's call their digests and records, and writes a chain for each of them.

    A chain holds the artifact's own record, those of the call's other outputs (a blessing names its evaluation), those
    of all inputs, and those that the stage itself wrote to the artifact's `provenance.json`: the history of something
    that it fetched. The first of the latter becomes the record's input `source`.

    Args:
        outputs: The artifacts by output name.
        made_by: The call's shared record, from `activity`.
        inputs: The input artifacts.
        beside: Whether the chain may be a file in the artifact's folder; otherwise it goes into the metadata.
    """
    fetched = {name: _written_chain(artifact) for name, artifact in outputs.items()}
    records = {name: _output_record(name, artifact, made_by, fetched[name]) for name, artifact in outputs.items()}
    older = ancestors(inputs.values())
    for name, artifact in outputs.items():
        artifact.metadata["digest"] = records[name]["digest"]
        artifact.metadata["provenance"] = json.dumps(_shortened(records[name]))
        chained = distinct([records[name], *records.values(), *older, *fetched[name]])
        if beside and artifact.takes_files and artifact.path.is_dir():
            write_chain(artifact.path, chained)
        else:
            artifact.metadata[CHAIN_PROPERTY] = json.dumps(chained)


def attach_own(artifact: Artifact, output: str, made_by: Record) -> None:
    """Gives an artifact that no chain has its digest and record, if there is anything to digest."""
    if artifact.path.exists():
        own = _output_record(output, artifact, made_by, [])
        artifact.metadata.update(digest=own["digest"], provenance=json.dumps(_shortened(own)))


def record(digest: str, kind: str, output: str, made_by: Record, **more: Any) -> Record:
    """The record of one output of a stage's call; `made_by` comes from `activity`."""
    return {"digest": digest, "type": kind, "output": output, **made_by, "data": None, **more}


def _output_record(name: str, artifact: Artifact, made_by: Record, fetched: list[Record]) -> Record:
    data = json.loads(artifact.metadata.pop("data_version", "null"))
    sources = {"source": fetched[0]["digest"]} if fetched else {}
    inputs = {**made_by["inputs"], **sources}
    facts = {key: artifact.metadata[key] for key in _FACTS if key in artifact.metadata}
    if written := artifact.metadata.pop(CREATED_PROPERTY, ""):
        facts["created"] = written
    if isinstance(artifact, Metrics):
        facts["metrics"] = artifact.metrics
    return record(tree_digest(artifact.path), artifact.type_name, name, made_by, data=data, inputs=inputs, **facts)


def write_chain(folder: Path, records: list[Record]) -> None:
    """Writes `provenance.json` into a folder."""
    (folder / PROVENANCE_FILE).write_text(json.dumps(records, indent=1) + "\n")


def telling(artifact: Artifact) -> dict[str, Any]:
    """The metadata by which a stage can tell an artifact from another with the same content."""
    excluded = _NOT_CONTENT | artifact.locations
    return {name: value for name, value in artifact.metadata.items() if name not in excluded}


def chain(artifact: Artifact) -> list[Record]:
    """The records of an artifact and its ancestors, its own first; empty if no stage made the artifact."""
    own = artifact.metadata.get("provenance")
    return _written_chain(artifact) or ([json.loads(own)] if own else [])


def ancestors(artifacts: Iterable[Artifact]) -> list[Record]:
    """The records of several artifacts and all their ancestors, each once."""
    return distinct(record for artifact in artifacts for record in chain(artifact))


def distinct(records: Iterable[Record]) -> list[Record]:
    """The records without duplicates, ignoring when they were created; the first of equal records is kept.

    The digest does not identify a record, because every blessing is the same empty file.
    """
    found: dict[str, Record] = {}
    for each in records:
        found.setdefault(json.dumps({**each, "created": ""}, sort_keys=True), each)
    return list(found.values())


def without_sources(records: list[Record]) -> list[Record]:
    """The records that the first one leads back to, except those behind a `source`.

    A fetched artifact has its history at the place that it was fetched from. Without this cut, every push would contain
    the histories of all earlier pushes.
    """
    nearest = {each["digest"]: each for each in reversed(records)}
    kept: list[Record] = []
    pending = records[:1]
    while pending:
        each = pending.pop()
        if each not in kept:
            kept.append(each)
            behind = [digest for name, digest in each["inputs"].items() if name != "source"]
            pending += [nearest[digest] for digest in behind if digest in nearest]
            pending += [other for other in records if _are_of_same_call(other, each)]
    return [each for each in records if each in kept]


def _are_of_same_call(one: Record, other: Record) -> bool:
    same = all(one[key] == other[key] for key in ("stage", "inputs", "parameters", "created"))
    return same and one["output"] != other["output"]


def parse_chain(text: str | bytes) -> list[Record]:
    """The records in a `provenance.json`; none if another program wrote the file."""
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
    # Without optional locks, a killed process leaves no lock in the user's repository.
    try:
        done = subprocess.run(["git", "--no-optional-locks", *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return ""
    return os.fsdecode(done.stdout).strip() if done.returncode == 0 else ""
