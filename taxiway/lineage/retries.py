"""Retries what failed because of another process, a lost reply or a restarting server."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from ml_metadata import errors

from components.contract.errors import ServiceError
from taxiway.lineage.connection import display_name, explained

DELAYS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0)
"""Seconds before each retry, with a jitter of 50 percent."""

_TRANSIENT = (
    errors.AbortedError,  # another process holds the file, or won a race
    errors.AlreadyExistsError,  # written meanwhile, maybe by the attempt whose reply was lost
    errors.CancelledError,
    errors.DeadlineExceededError,
    errors.InternalError,
    errors.ResourceExhaustedError,
    errors.UnavailableError,
    errors.UnknownError,
)

_Result = TypeVar("_Result")


def retry(operation: Callable[[], _Result], connection: str, delays: Sequence[float] = DELAYS) -> _Result:
    """Calls an operation until it succeeds.

    An attempt may have been committed although its reply was lost, so the operation must read the store first and
    write only what is missing.

    Raises:
        UserError: The store's file is damaged or cannot be written.
        ServiceError: The error is permanent, or every attempt failed.
    """
    for delay in (*delays, None):
        try:
            return operation()
        except errors.StatusError as error:
            if known := explained(connection, str(error)):
                raise known from error
            if delay is None or not isinstance(error, _TRANSIENT):
                raise _failure(connection, error) from error
            time.sleep(delay * random.uniform(0.5, 1.5))
    raise AssertionError("unreachable")


def _failure(connection: str, error: errors.StatusError) -> ServiceError:
    # The rest of the text is the data that should have been written.
    reason = str(error).strip().split("\n")[0].strip()
    return ServiceError(
        f"the lineage store {display_name(connection)} failed: {type(error).__name__}: {reason}",
        fix="check that it is running and has disk space, or set TAXIWAY_LINEAGE to another store; then run again",
    )
