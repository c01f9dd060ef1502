"""What a stage may fail with.

    TaxiwayError
    ├── UserError       the input, a setting or the user's code: exit status 2, no traceback of ours
    │   └── DataError   the data themselves: names file, line, column or key
    └── ServiceError    the machine or a service: exit status 1

Anything else that escapes a stage is a defect of Taxiway and is shown with its traceback (exit status 1).
"""

from __future__ import annotations

from typing import Any


class TaxiwayError(Exception):
    """An error whose text says what failed, on which value, and how to fix it."""

    exit_status = 1

    def __init__(self, what: str, *, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\n  fix: {self.fix}" if self.fix else self.what

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception travels between processes by its positional arguments alone.
        return _made, (type(self), self.what, self.fix)


def _made(kind: type[TaxiwayError], what: str, fix: str) -> TaxiwayError:
    return kind(what, fix=fix)


class UserError(TaxiwayError):
    """The input, a setting or the user's code has to change."""

    exit_status = 2


class DataError(UserError):
    """The data have to change, or the settings that say how to read them."""


class ServiceError(TaxiwayError):
    """The machine or a service failed; the same run may succeed later."""
