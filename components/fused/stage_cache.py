"""What the members of fused pods made, to be found by later pods: by key, under the pipeline root.

An entry is complete or absent, and everything in it is compared with its digests before it is used. It holds the files
themselves: Kubeflow keeps the outputs of a pod only when all of its members have succeeded.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from components.contract import files
from components.contract.artifacts import REUSED
from components.contract.digests import file_digest, file_digests, text_digest, tree_digest
from components.contract.errors import UserError
from components.execution import elsewhere, executor
from components.fused.stores import Store, store

Json = dict[str, Any]

VARIABLE = "TAXIWAY_STAGE_CACHE"
"""The environment variable with the cache's folder or URL; empty for none. By default it is below the pipeline root."""

DAYS_VARIABLE = "TAXIWAY_STAGE_CACHE_DAYS"
"""The environment variable with the days after which an entry that no pod used is removed; 0 for never."""
VARIABLES = frozenset({VARIABLE, DAYS_VARIABLE})

FOLDER = ".taxiway-cache"
_DAYS = 30.0
# The folder of a run below the pipeline root: Kubeflow's is a UUID, that of kfp.local ends in a time.
_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|.+-\d{4}(-\d\d){5}-\d{6}")
_S3_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@dataclass(frozen=True)
class Entry:
    """What a member made.

    Attributes:
        parts: What its key was computed from.
        output: Its ExecutorOutput.
        files: The digests of the files of each output by relative name; that of an output that is a file, under "".
    """

    parts: Json
    output: Json
    files: dict[str, dict[str, str]]


def place(executor_input: Json) -> str:
    """The folder or URL of the cache; empty if there is none that this container can reach."""
    if VARIABLE in os.environ:
        return os.environ[VARIABLE]
    declared = executor_input["outputs"].get("artifacts", {}).values()
    roots = {_root(each["artifacts"][0]["uri"]) for each in declared}
    root = roots.pop() if len(roots) == 1 else ""
    return f"{root}/{FOLDER}" if root and _is_reachable(root) else ""


def key(parts: Json) -> str:
    """The name of an entry."""
    return text_digest(json.dumps(parts, sort_keys=True)).removeprefix("sha256:")


def find(where: str, parts: Json, executor_input: Json) -> bool:
    """Gives a member the outputs that an entry has: writes them, and its ExecutorOutput. An invalid entry is removed.

    Returns:
        Whether there was a valid entry.
    """
    cache, name = store(where), key(parts)
    if (text := cache.read(name)) is None:
        return False
    # Before its files are read, so that no pod that cleans up meanwhile takes it for unused.
    cache.use(name)
    if (entry := _valid(text)) and _restore(cache, name, entry, executor_input):
        _answer(entry, executor_input)
        return True
    cache.discard(name)
    return False


def keep(where: str, parts: Json, executor_input: Json) -> None:
    """Adds what a member made, unless there is an entry already."""
    output = json.loads(Path(executor_input["outputs"]["outputFile"]).read_text())
    paths = {name: executor.local_path(found["artifacts"][0]["uri"]) for name, found in output["artifacts"].items()}
    entry = Entry(parts, output, {name: _digests(path) for name, path in paths.items()})
    sources = {inner: _inside(paths[name], below) for name, below, inner in _names(entry)}
    body = json.dumps(asdict(entry))
    store(where).keep(key(parts), f"{text_digest(body)}\n{body}", sources)


def days() -> float:
    """The days after which an entry that no pod used is removed; 0 for never.

    Raises:
        UserError: The variable is not such a number.
    """
    given = os.environ.get(DAYS_VARIABLE) or str(_DAYS)
    with suppress(ValueError):
        if 0 <= float(given) < math.inf:
            return float(given)
    raise UserError(
        f"{DAYS_VARIABLE} is {given!r}, not a number of days", fix="set it to 30, or to 0 to keep everything"
    )


def clean(where: str) -> int:
    """Removes what no pod used for `days()`, at most once a day; returns the number of entries."""
    return store(where).sweep(limit) if (limit := days()) else 0


def _root(uri: str) -> str:
    """The part of an output's URI before the folder of its run; empty if no folder looks like one."""
    parts = uri.split("/")
    run = next((index for index, part in enumerate(parts) if _RUN.fullmatch(part)), 0)
    return "/".join(parts[:run])


def _is_reachable(root: str) -> bool:
    """Whether there may be credentials; without any, drivers look for some for a long time."""
    scheme = root.partition("://")[0] if "://" in root else ""
    has_credentials = any(os.environ.get(name) for name in _S3_CREDENTIALS)
    has_endpoint = scheme != "minio" or any(os.environ.get(name) for name in _S3_ENDPOINTS)
    return scheme not in ("s3", "minio") or (has_credentials and has_endpoint)


def _valid(text: str) -> Entry | None:
    """An entry from its text; None if it is damaged, or what a stage left elsewhere is gone."""
    digest, _, body = text.partition("\n")
    if digest != text_digest(body):
        return None
    entry = Entry(**json.loads(body))
    metadata = [each["metadata"] for found in entry.output["artifacts"].values() for each in found["artifacts"]]
    is_safe = not any(".." in PurePosixPath(inner).parts for *_, inner in _names(entry))
    return entry if is_safe and elsewhere.is_intact(metadata, tree_digest) else None


def _restore(cache: Store, name: str, entry: Entry, executor_input: Json) -> bool:
    """Writes the outputs of an entry; leaves none if a file is missing or damaged."""
    declared = executor_input["outputs"]["artifacts"]
    if declared.keys() != entry.files.keys():
        return False
    paths = {output: executor.local_path(found["artifacts"][0]["uri"]) for output, found in declared.items()}
    try:
        cache.fetch(name, {inner: _inside(paths[output], below) for output, below, inner in _names(entry)})
        is_whole = all(_digests(path) == entry.files[output] for output, path in paths.items())
    except OSError:
        is_whole = False
    if not is_whole:
        for path in paths.values():
            _remove(path)
    return is_whole


def _answer(entry: Entry, executor_input: Json) -> None:
    """Writes the ExecutorOutput of a member whose outputs were found."""
    declared = executor_input["outputs"]["artifacts"]
    for name, found in entry.output["artifacts"].items():
        for artifact in found["artifacts"]:
            artifact["uri"] = declared[name]["artifacts"][0]["uri"]
            artifact["metadata"][REUSED] = json.loads(artifact["metadata"]["provenance"])["created"]
    executor.write_parameters(entry.output["parameterValues"], executor_input)
    files.write(Path(executor_input["outputs"]["outputFile"]), json.dumps(entry.output))


def _names(entry: Entry) -> Iterator[tuple[str, str, str]]:
    """The files of an entry: the output, the name in it, and the name in the store."""
    for output, found in entry.files.items():
        for below in found:
            yield output, below, f"{output}/{below}" if below else output


def _inside(path: Path, below: str) -> Path:
    return path / below if below else path


def _digests(path: Path) -> dict[str, str]:
    return file_digests(path) if path.is_dir() else {"": file_digest(path)}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
