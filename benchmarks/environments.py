"""Environments of their own for the peers that benchmarks compare Taxiway with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def python_of(folder: Path, packages: Sequence[str]) -> str:
    """The Python of an environment with these packages, which is made if there is none.

    Args:
        folder: The environment's folder.
        packages: What is installed in it.

    Returns:
        The path of the Python.

    Raises:
        subprocess.CalledProcessError: The packages cannot be installed.
    """
    ready, wanted = folder / "ready", "\n".join(packages)
    if not (ready.is_file() and ready.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        subprocess.run([str(folder / "bin/python"), *install], check=True)
        ready.write_text(wanted)
    return str(folder / "bin/python")
