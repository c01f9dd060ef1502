"""The libraries of custom operations that a stage or a server is given: which are files, and whether one has changed.

A library is a Python module that brings its operations when it is imported, or a `.so` file built against TensorFlow.
`components.user_code.custom_op_loading` loads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from components.contract.errors import UserError
from components.user_code import user_modules


def files(libraries: Sequence[str]) -> list[Path]:
    """The libraries that are named by their `.so` file."""
    return [Path(library) for library in libraries if is_file(library)]


def digests(libraries: Sequence[str], digest_of: Callable[[Path], str]) -> dict[str, str]:
    """What tells whether a library has changed, of those that belong to no environment: files and the user's modules.

    Raises:
        UserError: A file is not there.
    """
    found = {str(file): digest_of(existing(file)) for file in files(libraries)}
    own = [library for library in libraries if not is_file(library) and user_modules.own_source(library)]
    return found | {module: user_modules.describe(module, "")["digest"] for module in own}


def is_file(library: str) -> bool:
    """Whether a library is named by its file."""
    return library.endswith(".so")


def existing(file: Path) -> Path:
    """The file.

    Raises:
        UserError: It is not there.
    """
    if not file.is_file():
        raise UserError(f"there is no file {file} of custom operations", fix="correct the path")
    return file
