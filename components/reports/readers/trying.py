"""Reads what may be missing or damaged: a report says so in a sentence, and goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")
_MOST = 300  # characters of an error; some quote what they could not read


@dataclass(frozen=True)
class Unreadable:
    """Why something cannot be shown."""

    sentence: str


def tried(what: str, read: Callable[[], _T]) -> _T | Unreadable:
    """What a function reads, or why it cannot be read; `what` is the subject of that sentence.

    Whatever is wrong with a file of a stranger must not end the report, so every error counts.
    """
    try:
        return read()
    except FileNotFoundError as error:
        return Unreadable(f"{what} cannot be shown: {error.filename or error} does not exist.")
    except ModuleNotFoundError as error:
        return Unreadable(f"{what} cannot be shown: the package of {error.name} is not installed here.")
    except OSError as error:
        return Unreadable(f"{what} cannot be shown: {error.filename or ''} cannot be read: {error.strerror or error}.")
    except Exception as error:
        said = " ".join(str(error).split())[:_MOST]
        return Unreadable(f"{what} cannot be shown: {said or type(error).__name__}.")
