"""The libraries of custom operations that a stage or a server is given: their files and digests.

A library is a Python module that registers its operations on import, or a `.so` file built against TensorFlow.
`components.user_code.custom_op_loading` loads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from components.contract.errors import UserError
from components.user_code import user_modules


def files(libraries: Sequence[str]) -> list[Path]:
    """The libraries that are `.so` files."""
    return [Path(library) for library in libraries if is_file(library)]


def digests(libraries: Sequence[str], digest_of: Callable[[Path], str]) -> dict[str, str]:
    """Digests of the libraries that are not installed packages: files and the user's modules.

    Raises:
        UserError: A file does not exist.
    """
    found = {str(file): digest_of(existing(file)) for file in files(libraries)}
    own = [library for library in libraries if not is_file(library) and user_modules.own_source(library)]
    return found | {module: user_modules.describe(module, "")["digest"] for module in own}


def is_file(library: str) -> bool:
    """Whether a library is a `.so` file."""
    return library.endswith(".so")


def existing(file: Path) -> Path:
    """The file, if it exists.

    Raises:
        UserError: It does not exist.
    """
    if not file.is_file():
        raise UserError(f"the custom operations' file {file} does not exist", fix="correct the path")
    return file
