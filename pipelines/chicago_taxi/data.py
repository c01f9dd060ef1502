"""`python -m pipelines.chicago_taxi.data`: copies the taxi trips from the tfx wheel to where data.dvc expects them."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from components.contract.commands import shown, typed
from components.contract.errors import DataError, TaxiwayError, UserError
from components.versioning import dvc_outputs
from components.versioning.dvc_outputs import TrackedOutput

TARGET = Path("data/chicago_taxi/data.csv")
_IN_TFX = Path("examples/chicago_taxi_pipeline/data/simple/data.csv")


def wheel_csv() -> Path:
    """The path of the trips in the installed tfx, found without importing it.

    Raises:
        UserError: tfx is not installed, or it no longer ships the trips.
    """
    spec = importlib.util.find_spec("tfx")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("tfx is not installed: its wheel holds the taxi trips", fix=typed("make setup"))
    csv = Path(spec.submodule_search_locations[0]) / _IN_TFX
    if not csv.is_file():
        raise UserError(
            f"the installed tfx has no {_IN_TFX}",
            fix=f"`{typed('make lock')}`, then `{typed('make setup')}`, with the tfx of setup.py",
        )
    return csv


def put_taxi_data(checkout: Path, source: Path) -> Path:
    """Copies the trips to `data/chicago_taxi/data.csv` of a checkout, atomically.

    The trips must match DVC's hash. An existing copy is only compared; other files in `data/` belong to the user.

    Raises:
        DataError: The data differ from data.dvc: those of the source, or those in the checkout.
        UserError: The checkout has no data.dvc.
    """
    target = checkout / TARGET
    output = dvc_outputs.tracked_outputs([target]).get(target)
    if output is None:
        fix = dvc_outputs.about("git", "checkout --", checkout / "data.dvc")
        raise UserError(f"{checkout} has no data.dvc that tracks {TARGET}", fix=fix)
    if target.exists():
        again = f"`rm {shlex.quote(shown(target))}`, then `{typed('make data')}`, restores the trips"
        fix = f"{again}; `{dvc_outputs.about('dvc', 'add', target)}` accepts the current data"
        _check(output, target, target, f"{output.path} differs from {output.dvc_file.name}", fix)
    else:
        fix = f"`{typed('make setup')}` installs the tfx that has them"
        what = f"{source} does not make {output.path} what {output.dvc_file.name} tracks"
        _check(output, target, source, what, fix)
        _copy(source, target)
        _keep_in_cache(checkout, output, target)
    return target


def _check(output: TrackedOutput, target: Path, file: Path, what: str, fix: str) -> None:
    """Checks that a file is the tracked one, alone or beside files that the user has added."""
    hashes = {target: dvc_outputs.hash_file(file, output.algorithm)}
    found = dvc_outputs.listing_digest(output, hashes)
    if found != output.digest:
        found = dvc_outputs.listing_digest(output, dvc_outputs.tracked_files(output, everywhere=True) | hashes)
    if found != output.digest:
        raise DataError(f"{what}: expected {output.digest}, found {found}", fix=fix)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # The temporary file is outside the tracked folder, on the same file system as the target.
    with tempfile.TemporaryDirectory(prefix=".taxi-data-", dir=target.parents[2]) as folder:
        os.replace(shutil.copyfile(source, Path(folder) / target.name), target)


def _keep_in_cache(checkout: Path, output: TrackedOutput, target: Path) -> None:
    """Adds the trips and DVC's listing of them to its cache, from which `data/chicago_taxi@<revision>` reads them."""
    from dvc.fs import localfs
    from dvc.repo import Repo

    hashes = {target: dvc_outputs.hash_file(target, output.algorithm)}
    with Repo(str(checkout), uninitialized=True) as repo, tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "listing"
        listing.write_bytes(dvc_outputs.listing(output, hashes))
        repo.cache.local.add(str(target), localfs, hashes[target])
        repo.cache.local.add(str(listing), localfs, dvc_outputs.listing_digest(output, hashes))


def main() -> int:
    """Copies the trips into this checkout."""
    try:
        print(put_taxi_data(Path(__file__).parents[2], wheel_csv()))
    except TaxiwayError as error:
        print(f"taxiway: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
