"""`python mirror.py STORE FOLDER MODELS_CONFIG`: mirrors the latest versions of a model store in a folder.

For servers that read only folders. A version appears by one rename, after its content was compared with the digest that
the pusher recorded. A version that was rolled back in the store is removed once its replacement is there.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from components.contract.errors import DataError
from components.contract.files import whole_folder
from components.execution.pushed_models import SAVED_MODEL, Version, open_destination, versions

KEEP = "MIRROR_VERSIONS"
SECONDS_BETWEEN_LOOKS = "MIRROR_SECONDS"
_STAGING = ".mirroring-"


def models(config: str) -> list[str]:
    """The folder names of the models in a models.config, from their base paths."""
    return [PurePosixPath(path).name for path in re.findall(r"""^\s*base_path:\s*["']([^"']+)["']""", config, re.M)]


def _latest(store: str, keep: int) -> Iterator[Version]:
    return islice((version for version in versions(open_destination(store)) if version.is_whole()), keep)


def _fetch(version: Version, folder: Path) -> None:
    recorded = version.recorded_digest()
    staged = Version(open_destination(str(folder)), f"{_STAGING}{version.name}")
    with whole_folder(folder / version.name, Path(staged.path), synced=True) as staging:
        version.fetch(staging)
        # A version that was not pushed by Taxiway has no record.
        if recorded and staged.content_digest() != recorded:
            raise DataError(f"{version.url} is not what was pushed: its digest differs", fix="push the model again")
    print(f"fetched {version.url}")


def _remove(path: Path) -> None:
    """Removes a version; renamed first, because servers ignore names that are not numbers."""
    doomed = path.with_name(f"{_STAGING}{path.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    path.rename(doomed)
    shutil.rmtree(doomed)
    print(f"removed {path}")


def mirror(store: str, folder: Path, keep: int) -> None:
    """Makes a model's folder hold the latest versions in the store.

    If the store has no complete version, nothing changes and the served versions stay.

    Raises:
        DataError: A version is not what was pushed; the others were mirrored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(_latest(store, keep))
    damaged: list[DataError] = []
    for version in wanted:
        if not (folder / version.name / SAVED_MODEL).is_file():
            try:
                _fetch(version, folder)
            except DataError as error:
                damaged.append(error)
    there = {path.name for path in folder.iterdir() if path.name.isdigit()}
    names = {version.name for version in wanted}
    if there & names:
        for name in sorted(there - names):
            _remove(folder / name)
    if damaged:
        raise damaged[0]


def main(store: str, folder: str, models_config: str) -> None:
    """Mirrors every model repeatedly until SIGTERM."""
    # Process 1 of a container has no default handler for it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    keep, seconds = int(os.environ.get(KEEP, "3")), float(os.environ.get(SECONDS_BETWEEN_LOOKS, "10"))
    while True:
        for model in models(Path(models_config).read_text()):
            try:
                mirror(f"{store.rstrip('/')}/{model}", Path(folder) / model, keep)
            except Exception as error:
                # Whatever failed, the mirrored versions stay, and the next attempt may succeed.
                print(f"{model}: {type(error).__name__}: {error}", file=sys.stderr)
        time.sleep(seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
