"""Environments of their own for the peers that benchmarks compare Taxiway with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def python_of(folder: Path, packages: Sequence[str], older: Sequence[str] = ()) -> str | None:
    """The Python of an environment with these packages, which is made if there is none.

    Args:
        folder: The environment's folder.
        packages: What is installed in it.
        older: Names of Pythons for packages that do not install on newer ones.

    Returns:
        The path of the Python; None if none is old enough.

    Raises:
        subprocess.CalledProcessError: The packages cannot be installed.
    """
    ready, wanted = folder / "ready", "\n".join(packages)
    if not (ready.is_file() and ready.read_text() == wanted):
        base = next(filter(None, map(_working, older)), None) if older else sys.executable
        if base is None:
            return None
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        subprocess.run([str(folder / "bin/python"), *install], check=True)
        ready.write_text(wanted)
    return str(folder / "bin/python")


def _working(name: str) -> str | None:
    """The path of a Python that runs: a version manager's shim may be there without one."""
    path = shutil.which(name)
    return path if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0 else None
