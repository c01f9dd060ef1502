"""Finds what a served version was trained on: from its provenance to the artifacts, with nothing configured."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.contract.artifacts import SLICES_FILE, Artifact, Examples, split_names
from components.contract.commands import typed
from components.contract.errors import TaxiwayError, UserError, explained
from components.contract.files import whole_folder
from components.execution.provenance import Record
from components.execution.pushed_models import Version, open_destination
from components.monitoring.passes.trained import Trained
from taxiway.lineage.lookup import destinations, place_of
from taxiway.versions import listing

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore
    from taxiway.lineage.stored import StoredArtifact

_TRAINING, _EVALUATION = "train", "eval"


@dataclass(frozen=True)
class Model:
    """A watched model.

    Attributes:
        name: Its name, as servers know it.
        places: Where its versions may be: folders or URLs.
    """

    name: str
    places: tuple[str, ...]


def model(target: str, store: LineageStore | None) -> Model:
    """The model that a name, a folder or a URL means.

    Args:
        target: A name, or the place that its versions are pushed to.
        store: The lineage store, which knows where models were pushed.
    """
    target = target.rstrip("/")
    name = target.rpartition("/")[2]
    if "/" in target:
        return Model(name, (place_of(target),))
    known = [place for place in destinations(store) if place.rpartition("/")[2] == name]
    return Model(name, tuple(dict.fromkeys([*known, place_of(f"served/{name}")])))


def trained(of: Model, version: int, store: LineageStore | None, folder: Path) -> Trained:
    """What a version was trained on.

    Args:
        of: The model.
        version: The version's number.
        store: The lineage store, which knows where artifacts are.
        folder: Gets copies of the model and of artifacts that are in an object store.

    Raises:
        UserError: The version, its provenance or its training data are not there.
    """
    pushed = _pushed(of, version)
    records = pushed.records()
    if not records:
        raise UserError(
            f"{pushed.url} has no provenance, so nobody knows what it was trained on", fix="push it by a pipeline"
        )
    examples = _raw(records)
    if examples is None:
        raise UserError(f"the provenance of {pushed.url} names no examples", fix="push it by a pipeline that has them")
    artifacts = store.artifacts() if store else []
    data = _located(Examples, examples, artifacts, folder)
    evaluation = _evaluation(records)
    config = evaluation["parameters"]["eval_config"] if evaluation else {}
    return Trained(
        version=version,
        digest=str(examples["digest"]),
        examples=data,
        split=_split(data, records, "train_splits", _TRAINING),
        model=_model_folder(pushed, folder),
        model_digest=str(records[0]["digest"]),
        schema=_schema(records, artifacts, folder),
        eval_config=config if isinstance(config, dict) else json.loads(config),
        eval_split=_split(data, [evaluation], "splits", _EVALUATION) if evaluation else "",
        expected=_expected(records, artifacts, folder),
    )


def _pushed(of: Model, version: int) -> Version:
    for place in of.places:
        with suppress(TaxiwayError, OSError):
            for each in listing.at(open_destination(place)):
                if each.number == version and each.is_whole():
                    return each
    raise UserError(
        f"there is no version {version} in {' or '.join(of.places)}",
        fix=f"name the place that it was pushed to: {typed('taxiway monitor', 'FOLDER_OR_URL')}",
    )


def _raw(records: Sequence[Record]) -> Record | None:
    """The examples as they came in: those with data of their own that were made into no others with such data.

    Examples of a window of requests may have those of the past as an input, and data of their own.
    """
    found = [each for each in records if each["type"] == Examples.__name__]
    brought = [each for each in found if each.get("data")]
    used = {digest for each in brought for digest in each["inputs"].values()}
    digests = {each["digest"] for each in found}
    last = (each for each in brought if each["digest"] not in used)
    first = (each for each in found if not digests & set(each["inputs"].values()))
    return next(last, None) or next(first, None)


def _evaluation(records: Sequence[Record]) -> Record | None:
    """The record of the evaluation, or else of another stage that has an EvalConfig."""
    found = [each for each in records if each["parameters"].get("eval_config")]
    return next((each for each in found if each["output"] == "evaluation"), next(iter(found), None))


def _located(kind: type[Artifact], record: Record, artifacts: Sequence[StoredArtifact], folder: Path) -> Artifact:
    """The artifact of a record, where it is on this machine, or a copy from an object store."""
    known = [each for each in artifacts if each.digest == record["digest"]]
    for each in reversed(known):
        if path := _here(each, folder):
            return kind(path, dict(each.metadata), each.uri)
    place = known[-1].uri if known else "no lineage store"
    raise UserError(
        f"the training data {record['digest']} are not on this machine (known at: {place})",
        fix="run this where the pipeline ran, or set TAXIWAY_HOME to the folder that it used",
    )


def _here(artifact: StoredArtifact, folder: Path) -> Path | None:
    """Where an artifact can be read; None if it is on another machine."""
    if "://" in artifact.uri:
        return _fetched(artifact.uri, folder / "artifacts" / artifact.digest.replace(":", "-"))
    return Path(artifact.uri) if Path(artifact.uri).exists() else None


def _fetched(url: str, target: Path) -> Path:
    """A copy of an artifact in an object store, made once; a store that is away is a ServiceError."""
    import fsspec

    if target.exists():
        return target
    partial = _partial(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    fix = "give this process the address and the keys of the artifacts' store (AWS_ENDPOINT_URL, ...)"
    try:
        with explained(f"{url} cannot be fetched", fix=fix):
            # A listing from before may lack what has been pushed since, and hides that the store is away.
            source = fsspec.core.url_to_fs(url.replace("minio://", "s3://", 1), skip_instance_cache=True)
            _copy(source, partial, f"{url} cannot be fetched", fix)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _copy(source: tuple[Any, str], target: Path, what: str, fix: str) -> None:
    files, path = source
    try:
        files.get(path, str(target), recursive=True)
    except (FileNotFoundError, PermissionError) as error:
        raise UserError(f"{what}: {error}", fix=fix) from error


def _split(data: Artifact, records: Sequence[Record], parameter: str, usual: str) -> str:
    names = split_names(data)
    named = (name for each in records for name in each["parameters"].get(parameter) or [])
    return next((name for name in [*named, usual] if name in names), names[0])


def _model_folder(pushed: Version, folder: Path) -> Path:
    if pushed.destination.is_local:
        return Path(pushed.path)
    target = folder / f"{pushed.destination.url.rpartition('/')[2]}-{pushed.name}"
    if not target.exists():
        with whole_folder(target, _partial(target)) as partial:
            pushed.fetch(partial)
    return target


def _partial(target: Path) -> Path:
    """Where this process makes a copy; others may make the same."""
    return target.with_name(f"{target.name}.{os.getpid()}.partial")


def _of_type(name: str, records: Sequence[Record], artifacts: Sequence[StoredArtifact], folder: Path) -> Iterator[Path]:
    digests = [each["digest"] for each in records if each["type"] == name]
    places = (_here(each, folder) for each in reversed(artifacts) if each.digest in digests)
    yield from (place for place in places if place)


def _schema(records: Sequence[Record], artifacts: Sequence[StoredArtifact], folder: Path) -> str:
    files = (path / "schema.pbtxt" for path in _of_type("Schema", records, artifacts, folder))
    return next((file.read_text() for file in files if file.is_file()), "")


def _expected(records: Sequence[Record], artifacts: Sequence[StoredArtifact], folder: Path) -> list[dict[str, Any]]:
    digests = {each["digest"] for each in records if each["parameters"].get("eval_config")}
    places = (_here(each, folder) for each in reversed(artifacts) if each.digest in digests)
    files = (place / SLICES_FILE for place in places if place)
    file = next((file for file in files if file.is_file()), None)
    found: list[dict[str, Any]] = json.loads(file.read_text()) if file else []
    return found
