"""Environments of their own for the peers that benchmarks compare Taxiway with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def python_of(folder: Path, packages: Sequence[str], pythons: Sequence[str] = (sys.executable,)) -> str:
    """The Python of an environment with these packages, which is made if there is none.

    Args:
        folder: The environment's folder.
        packages: What is installed in it.
        pythons: The Pythons that may make it; the first that works does.

    Returns:
        The path of the Python.

    Raises:
        RuntimeError: It cannot be made.
    """
    python, ready, wanted = folder / "bin/python", folder / "ready", "\n".join(packages)
    if not (ready.is_file() and ready.read_text() == wanted and _working(str(python))):
        base = next(filter(None, map(_working, pythons)), None)
        if base is None:
            raise RuntimeError(f"no {' or '.join(pythons)} on this machine")
        shutil.rmtree(folder, ignore_errors=True)
        run([base, "-m", "venv", str(folder)])
        run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
        ready.write_text(wanted)
    return str(python)


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Runs a command.

    Raises:
        RuntimeError: It has failed; says how, with the last line of its errors.
    """
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise RuntimeError(f"{' '.join(command[:4])} ... ended with {done.returncode}: {last}")


def _working(name: str) -> str | None:
    """The path of a Python that runs: a version manager's shim may be there without one."""
    path = shutil.which(name)
    return path if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0 else None
