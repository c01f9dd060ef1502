"""The arguments of a container's command. Linux limits each to less than 128 KiB."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.contract.errors import UserError

_MAX_BYTES = (1 << 17) - 1
"""MAX_ARG_STRLEN, without the terminating zero."""

AS_ARTIFACT = "pass large values as an artifact"


def is_too_long(text: str) -> bool:
    """Whether the argument exceeds Linux's limit."""
    return len(text) > _MAX_BYTES or len(text.encode()) > _MAX_BYTES


def too_long(text: str) -> str:
    """The error message for an argument, starting with its size."""
    return f"{len(text.encode()):,} bytes, and an argument can have at most {_MAX_BYTES:,}, here and on Kubeflow"


def in_files(words: list[str], folder: Path) -> list[str]:
    """A stage's arguments; each one that is too long is written to a file and replaced by `@<file>`."""
    return [
        _in_file(word, folder / f"argument-{index}") if is_too_long(word) else word for index, word in enumerate(words)
    ]


def require_short(words: list[str], parameters: Mapping[str, Any]) -> None:
    """Rejects a command with an argument that is too long.

    Raises:
        UserError: An argument is too long; the message names the largest parameter.
    """
    for word in filter(is_too_long, words):
        largest = max(parameters, key=lambda name: len(json.dumps(parameters[name])), default="none")
        raise UserError(
            f"an argument of its command has {too_long(word)}; the largest parameter is {largest!r}", fix=AS_ARTIFACT
        )


def _in_file(word: str, path: Path) -> str:
    path.write_text(word)
    return f"@{path}"
