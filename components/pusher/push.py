"""The push: chooses the version, writes it, and explains failures."""

from __future__ import annotations

import errno
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from components.contract import files
from components.contract.artifacts import InfraBlessing, Model, ModelBlessing, ModelEvaluation, PushedModel
from components.contract.digests import PROVENANCE_FILE
from components.contract.errors import ServiceError, TaxiwayError, UserError, explained
from components.execution import provenance
from components.execution.pushed_models import (
    RETIRED,
    SAVED_MODEL,
    Destination,
    Version,
    open_destination,
    retired_versions,
    versions,
)
from components.pusher import local, object_store
from components.pusher.blessing import is_blessed, refusal, require_same_model
from components.pusher.payload import Payload, prepare

_HIGHEST = 2**63 - 1  # TF Serving reads version numbers as int64


@dataclass(frozen=True)
class _Delivered:
    """A version at the destination, and the files of its model card."""

    version: Version
    card: Mapping[str, str]


def _require_number(version: int) -> None:
    if not 0 <= version <= _HIGHEST:
        raise UserError(
            f"the version {version} is not a positive integer that TF Serving can read",
            fix=f"use a number from 1 to {_HIGHEST}, or 0 for the time in seconds",
        )


def _skip(pushed_model: PushedModel, reason: str) -> None:
    print(f"not pushed: {reason}", flush=True)
    pushed_model.path.mkdir(parents=True)
    (pushed_model.path / "NOT_PUSHED").write_text(reason + "\n")
    pushed_model.metadata |= {"pushed": 0, "not_pushed": reason}
    pushed_model.summarize("pushed", f"no: {reason.splitlines()[0]}")


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Explains errors at the destination, and how to fix them."""
    with explained(f"the push to {url} failed", fix="check the URL, the credentials and the network, and run again"):
        try:
            yield
        except OSError as error:
            raise _explanation(url, error) from error


def _explanation(url: str, error: OSError) -> TaxiwayError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ServiceError(f"no space is left at {url}, nothing was pushed: {error}", fix="free space, and run again")
    wrong_place = (PermissionError, NotADirectoryError, FileNotFoundError, FileExistsError)
    if isinstance(error, wrong_place) or error.errno == errno.EROFS:
        return UserError(
            f"the destination {url} is not writable, nothing was pushed: {error}",
            fix="make it a folder or bucket that you may write to, or use another",
        )
    return ServiceError(f"the push to {url} failed: {error}", fix="check the disk or the network, and run again")


def _existing(destination: Destination, version: int, digest: str) -> Version | None:
    """The requested version, or else the latest one, if it has exactly this content."""
    candidates = (each for each in versions(destination) if version in (0, each.number))
    found = next(candidates, None)
    return found if found and found.recorded_digest() == digest and found.is_intact(digest) else None


def _free_numbers(destination: Destination, version: int) -> Iterable[int]:
    """The requested version if it is free; by default numbers above all others, because servers serve the highest."""
    taken = {each.number for each in (*versions(destination), *retired_versions(destination))}
    if version:
        return {version} - taken
    return itertools.count(max([int(time.time()), *(number + 1 for number in taken)]))


def _write(store: ModuleType, destination: Destination, version: int, payload: Payload) -> _Delivered:
    for number in _free_numbers(destination, version):
        new = Version(destination, str(number))
        card = payload.card_files(new)
        try:
            store.write(new, payload.folder, payload.names(), {PROVENANCE_FILE: payload.provenance(new), **card})
            return _Delivered(new, card)
        except FileExistsError:
            print(f"another pusher took {new.url}", flush=True)
    raise UserError(
        f"{Version(destination, str(version)).url} already exists with different content; versions are not overwritten",
        fix="set another version, or 0 for the time in seconds",
    )


def _deliver(destination: Destination, version: int, payload: Payload) -> _Delivered:
    store = local if destination.is_local else object_store
    with _explained(destination.url), store.opened(destination):
        if found := _existing(destination, version, payload.digest):
            print(f"{found.url} already has this model", flush=True)
            return _Delivered(found, payload.card_files(found))
        delivered = _write(store, destination, version, payload)
        print(f"pushed to {delivered.version.url}", flush=True)
        return delivered


@contextmanager
def _copied(payload: Payload, target: Path) -> Iterator[Path]:
    """Copies the SavedModel, and renames the copy to the target when the block ends without an error.

    Yields:
        The folder with the copy.
    """
    with _explained(str(target)), files.whole_folder(target, synced=True) as partial:
        local.copy_files(payload.folder, payload.names(), partial)
        # A full disk is reported here, before the version is visible.
        files.settle_tree(partial)
        yield partial


def push(
    model: Model,
    *,
    blessing: ModelBlessing | None,
    judge_blessing: ModelBlessing | None = None,
    infra_blessing: InfraBlessing | None,
    evaluation: ModelEvaluation | None,
    pushed_model: PushedModel,
    destination_url: str,
    version: int,
    model_card: Mapping[str, Any],
) -> None:
    """Pushes a model unless a blessing is negative; see the stage.

    Raises:
        UserError: The version exists with different content, or is not a version number; the destination's URL has no
            driver, or it is not writable; or the blessing is of another model.
        DataError: The model has no SavedModel, or the stamped one is of another model.
        ServiceError: The destination is full, or its service failed.
    """
    _require_number(version)
    destination = open_destination(destination_url)
    given = [each for each in (blessing, judge_blessing, infra_blessing) if each is not None]
    if refusals := [refusal(each) for each in given if not is_blessed(each)]:
        _skip(pushed_model, "\n".join(refusals))
        return
    for each in given:
        require_same_model(each, model)
    if blessing is None:
        print("there is no blessing: the model is pushed without evaluation", flush=True)
    payload = prepare(
        model,
        blessing=blessing,
        judge_blessing=judge_blessing,
        infra_blessing=infra_blessing,
        evaluation=evaluation,
        parameters={"destination": destination_url, "version": version, "model_card": model_card},
    )
    # The copy in the artifact, as in TFX, comes first, so that little can fail once the version is visible.
    with _copied(payload, pushed_model.path) as copy:
        delivered = _deliver(destination, version, payload)
        for name, text in delivered.card.items():
            (copy / name).write_text(text, "utf-8")
    pushed = delivered.version
    pushed_model.metadata |= {
        "pushed": 1,
        "pushed_destination": pushed.url,
        "pushed_version": pushed.name,
        "pushed_digest": payload.digest,
        "judged": int(blessing is not None),
        "infra_validated": int(infra_blessing is not None),
        provenance.CREATED_PROPERTY: payload.record["created"],
    }
    _add_location(pushed_model, pushed, payload.digest)


def _add_location(pushed_model: PushedModel, pushed: Version, digest: str) -> None:
    """Says where the model was pushed, for the run's summary and for the cache."""
    pushed_model.summarize("pushed", pushed.url)
    pushed_model.propose("lineage", pushed.url)
    # A rollback takes versions back; pushing one again would undo that.
    possible = (pushed, Version(pushed.destination, pushed.name + RETIRED))
    if pushed.destination.is_local:
        pushed_model.left_elsewhere([each.path for each in possible], digest)
    else:
        # The content in an object store is not compared: that would fetch the whole model in every run.
        pushed_model.left_elsewhere([f"{each.url}/{SAVED_MODEL}" for each in possible])
