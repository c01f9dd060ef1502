"""The latest pushed model as a Model artifact."""

from __future__ import annotations

import shutil
from pathlib import Path

from components.contract.artifacts import Model
from components.contract.digests import BESIDE, PROVENANCE_FILE, file_digests, files_digest
from components.contract.errors import UserError, explained
from components.contract.files import whole_folder
from components.execution import provenance
from components.execution.pushed_models import (
    SERVING_FOLDER,
    Version,
    open_destination,
    serving_model,
    unstamped_digest,
    versions,
)

# Object stores cannot hold an empty folder. The file's text is constant, so that the digest is too.
_NO_BASELINE = "NO_BASELINE"
_EXPLANATION = "No other model has been pushed yet to compare this one with.\n"


def _is_baseline(version: Version, folder: Path, candidate: str) -> bool:
    """Fetches a version and checks that it is unchanged since the push, and not the candidate, stamped or not."""
    record = next(iter(version.records()), {})
    if unstamped_digest(record.get("files", {})) == candidate:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    version.fetch(folder)
    files = file_digests(folder)
    if record and (found := files_digest(files)) != record["digest"]:
        print(f"skipping {version.url}: its digest is {found}, but {record['digest']} was pushed", flush=True)
        return False
    return unstamped_digest(files) != candidate


def _latest(url: str, folder: Path, candidate: str, wanted: int) -> Version | None:
    fix = "check the URL, the permissions and the network, and run again"
    with explained(f"the models pushed to {url} cannot be read", fix=fix):
        whole = (each for each in versions(open_destination(url)) if each.is_whole() and wanted in (0, each.number))
        return next((version for version in whole if _is_baseline(version, folder, candidate)), None)


def _move_provenance(folder: Path) -> None:
    """Moves the pushed version's provenance to the artifact's; the SavedModel stays as it was trained.

    A model card and a signature are of the version, and not of the model.
    """
    chain_file = folder / SERVING_FOLDER / PROVENANCE_FILE
    if chain_file.is_file():
        records = provenance.parse_chain(chain_file.read_bytes())
        provenance.write_chain(folder, provenance.without_sources(records))
    for name in BESIDE:
        (folder / SERVING_FOLDER / name).unlink(missing_ok=True)


def _write_marker(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _NO_BASELINE).write_text(_EXPLANATION)


def _require_wanted(version: Version | None, wanted: int, destination: str) -> None:
    if wanted and version is None:
        there = ", ".join(each.name for each in versions(open_destination(destination))) or "none"
        raise UserError(
            f"{destination} has no version {wanted} to compare with",
            fix=f"its versions: {there}; 0 takes the latest",
        )


def fetch(candidate: Model, model: Model, destination: str, wanted: int = 0) -> Version | None:
    """Writes the wanted version, or the latest that is not the candidate; returns it, or None if there is none.

    Raises:
        DataError: The candidate has no SavedModel.
        UserError: There is no such version; no driver for the destination's URL is installed; or it, or a folder above
            it, is a file.
        ServiceError: The destination cannot be read.
    """
    # A version that is named counts even if it is the candidate, which then is no better.
    own = "" if wanted else unstamped_digest(file_digests(serving_model(candidate)))
    with whole_folder(model.path) as partial:
        version = _latest(destination, partial / SERVING_FOLDER, own, wanted)
        _require_wanted(version, wanted, destination)
        if version:
            _move_provenance(partial)
            model.metadata |= {"pushed_destination": version.url, "pushed_version": version.name}
        else:
            _write_marker(partial)
    model.metadata["found"] = int(version is not None)
    return version
