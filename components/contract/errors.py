"""The errors that a stage may raise.

    TaxiwayError
    ├── UserError       the input, a setting or the user's code: exit status 2, without Taxiway's traceback
    │   └── DataError   the data themselves: names the file, line, column or key
    └── ServiceError    the machine or a service: exit status 1

Any other exception that leaves a stage is a bug in Taxiway and is shown with its traceback (exit status 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class TaxiwayError(Exception):
    """An error whose message says what failed, on which value, and how to fix it."""

    exit_status = 1

    def __init__(self, what: str, *, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\n  fix: {self.fix}" if self.fix else self.what

    def __reduce__(self) -> tuple[Any, ...]:
        # By default, pickling keeps an exception's positional arguments only.
        return _made, (type(self), self.what, self.fix)


def _made(kind: type[TaxiwayError], what: str, fix: str) -> TaxiwayError:
    return kind(what, fix=fix)


class UserError(TaxiwayError):
    """The user has to change the input, a setting or their code."""

    exit_status = 2


class DataError(UserError):
    """The user has to change the data, or the settings that say how to read them."""


class ServiceError(TaxiwayError):
    """The machine or a service failed; the same run may succeed later."""


@contextmanager
def explained(what: str, *, fix: str) -> Iterator[None]:
    """Raises any exception as a ServiceError, except Taxiway's own; for drivers, which each have their own exceptions.

    Args:
        what: What failed; the type and message of the exception follow.
        fix: How to fix it.
    """
    try:
        yield
    except TaxiwayError:
        raise
    except Exception as error:
        raise ServiceError(f"{what}: {type(error).__name__}: {error}", fix=fix) from error
