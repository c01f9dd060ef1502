"""`python -m taxiway.taxi_data`: puts the Chicago taxi trips that the tfx wheel ships where data.dvc expects them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from components import dvc_outputs
from components.dvc_outputs import TrackedOutput
from components.errors import DataError, TaxiwayError, UserError

TARGET = Path("data/chicago_taxi/data.csv")
_IN_TFX = Path("examples/chicago_taxi_pipeline/data/simple/data.csv")


def wheel_csv() -> Path:
    """The trips in the installed tfx, which is found without importing it.

    Raises:
        UserError: tfx is not installed, or it no longer ships the trips.
    """
    spec = importlib.util.find_spec("tfx")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("tfx is not installed: its wheel holds the taxi trips", mend="make setup")
    csv = Path(spec.submodule_search_locations[0]) / _IN_TFX
    if not csv.is_file():
        raise UserError(
            f"the installed tfx has no {_IN_TFX}", mend="make lock, then make setup, with the tfx of setup.py"
        )
    return csv


def put_taxi_data(checkout: Path, source: Path) -> Path:
    """Copies the trips to `data/chicago_taxi/data.csv` of a checkout, whole or not at all.

    DVC's hash decides whether they are the right ones. A copy that is there already is only compared.

    Raises:
        DataError: The data differ from data.dvc: those of the source, or those that lie in the checkout.
        UserError: The checkout has no data.dvc.
    """
    target = checkout / TARGET
    output = dvc_outputs.tracked_outputs([target]).get(target)
    if output is None:
        raise UserError(f"{checkout} has no data.dvc that tracks {TARGET}", mend="git checkout -- data.dvc")
    if target.exists():
        name = output.path.name
        mend = f"`rm -r {name}`, then `make data`, restores the trips; `dvc add {name}` accepts the present data"
        _check(output, _hashes(output), f"{output.path} differs from {output.dvc_file.name}", mend)
    else:
        hashes = {**_hashes(output), target: dvc_outputs.hash_file(source, output.algorithm)}
        mend = f"`make setup` installs the tfx that has them; nothing else may lie in {output.path}"
        _check(output, hashes, f"{source} does not make {output.path} what {output.dvc_file.name} tracks", mend)
        _copy(source, target)
        _keep_in_cache(checkout)
    return target


def _hashes(output: TrackedOutput) -> dict[Path, str]:
    return dvc_outputs.content_hashes(output, dvc_outputs.hash_file) if output.path.exists() else {}


def _check(output: TrackedOutput, hashes: dict[Path, str], what: str, mend: str) -> None:
    found = dvc_outputs.output_digest(output, hashes)
    if found != output.digest:
        raise DataError(f"{what}: expected {output.digest}, found {found}", mend=mend)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # The temporary file lies where DVC does not look, on the same file system as the target.
    with tempfile.TemporaryDirectory(prefix=".taxi-data-", dir=target.parents[2]) as folder:
        os.replace(shutil.copyfile(source, Path(folder) / target.name), target)


def _keep_in_cache(checkout: Path) -> None:
    """Puts the data into DVC's cache, from which `data/chicago_taxi@<revision>` reads them."""
    if not (checkout / ".git").exists():
        return
    from dvc.repo import Repo

    with Repo(str(checkout)) as repo:
        repo.commit(str(checkout / "data.dvc"), force=True)


def main() -> int:
    """Puts the trips into this checkout."""
    try:
        print(put_taxi_data(Path(__file__).parents[1], wheel_csv()))
    except TaxiwayError as error:
        print(f"taxiway: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
