"""The arguments of a container's program: Linux takes none of 128 KiB, whoever starts it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.contract.errors import UserError

_MOST_BYTES = (1 << 17) - 1
"""MAX_ARG_STRLEN, without the zero at the end."""

AS_ARTIFACT = "hand over as an artifact what is so large"


def is_too_long(text: str) -> bool:
    """Whether no program can be started with this argument."""
    return len(text) > _MOST_BYTES or len(text.encode()) > _MOST_BYTES


def too_long(text: str) -> str:
    """What is wrong with an argument."""
    return f"{len(text.encode()):,} bytes, and an argument has {_MOST_BYTES:,} at most, here as on Kubeflow"


def in_files(words: list[str], folder: Path) -> list[str]:
    """A stage's arguments, each that is too long in a file, which is named in its place: `@<file>`."""
    return [
        _in_file(word, folder / f"argument-{index}") if is_too_long(word) else word for index, word in enumerate(words)
    ]


def require_short(words: list[str], parameters: Mapping[str, Any]) -> None:
    """Refuses a command that cannot be started.

    Raises:
        UserError: An argument is too long; the largest parameter is named.
    """
    for word in filter(is_too_long, words):
        largest = max(parameters, key=lambda name: len(json.dumps(parameters[name])), default="none")
        raise UserError(
            f"an argument of its command has {too_long(word)}; the largest parameter is {largest!r}", fix=AS_ARTIFACT
        )


def _in_file(word: str, path: Path) -> str:
    path.write_text(word)
    return f"@{path}"
