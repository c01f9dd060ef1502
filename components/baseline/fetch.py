"""The latest pushed model as a Model artifact."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.contract.artifacts import Model
from components.contract.digests import PROVENANCE_FILE, file_digests, files_digest
from components.contract.errors import ServiceError, TaxiwayError
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

# An object store keeps no empty folder, and its text is always the same: so is the digest.
_NO_BASELINE = "NO_BASELINE"
_EXPLANATION = "No model was pushed yet that this one can be compared with.\n"


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except TaxiwayError:
        raise
    except Exception as error:
        raise ServiceError(
            f"the models pushed to {url} cannot be read: {type(error).__name__}: {error}",
            fix="check the URL, the permissions and the network, and run again",
        ) from error


def _is_baseline(version: Version, folder: Path, candidate: str) -> bool:
    """Fetches a version and looks whether it is as it was pushed, and not the candidate, stamped or not."""
    record = next(iter(version.records()), {})
    if unstamped_digest(record.get("files", {})) == candidate:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    version.fetch(folder)
    files = file_digests(folder)
    if record and (found := files_digest(files)) != record["digest"]:
        print(f"passing over {version.url}: it holds {found}, but {record['digest']} was pushed", flush=True)
        return False
    return unstamped_digest(files) != candidate


def _latest(url: str, folder: Path, candidate: str) -> Version | None:
    with _explained(url):
        whole = (version for version in versions(open_destination(url)) if version.is_whole())
        return next((version for version in whole if _is_baseline(version, folder, candidate)), None)


def _move_provenance(folder: Path) -> None:
    """Makes the provenance of the pushed version that of the artifact; the SavedModel is left as it was pushed."""
    brought = folder / SERVING_FOLDER / PROVENANCE_FILE
    if brought.is_file():
        records = provenance.parse_chain(brought.read_bytes())
        provenance.write_chain(folder, provenance.without_sources(records))
        brought.unlink()


def _write_marker(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _NO_BASELINE).write_text(_EXPLANATION)


def fetch(candidate: Model, model: Model, destination: str) -> Version | None:
    """Writes the latest pushed model that is not the candidate; returns its version, or None where there is none.

    Raises:
        DataError: The candidate has no SavedModel.
        UserError: No driver for the destination's URL is installed, or a file lies where its folder would have to.
        ServiceError: The destination cannot be read.
    """
    own = unstamped_digest(file_digests(serving_model(candidate)))
    with whole_folder(model.path) as partial:
        version = _latest(destination, partial / SERVING_FOLDER, own)
        if version:
            _move_provenance(partial)
            model.metadata |= {"pushed_destination": version.url, "pushed_version": version.name}
        else:
            _write_marker(partial)
    model.metadata["found"] = int(version is not None)
    return version
