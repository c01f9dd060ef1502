"""Changes of Delta tables that others change at the same time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from deltalake.exceptions import CommitFailedError, DeltaError

from components.contract.errors import ServiceError

_T = TypeVar("_T")
_TRIES = 20


def retried(write: Callable[[], _T], table: str = "the table") -> _T:
    """Writes again after another process has written first: Delta refuses the later of two.

    Raises:
        ServiceError: Others change the table without a pause.
    """
    for attempt in range(_TRIES):
        try:
            return write()
        except CommitFailedError as error:
            failure: DeltaError = error
        except DeltaError as error:
            # Two that create the table at the same time: the later one finds a version 0.
            if "already exists" not in str(error):
                raise
            failure = error
        time.sleep(random.uniform(0, 0.05 * 2 ** min(attempt, 5)))
    raise ServiceError(f"{table} was changed by others {_TRIES} times: {failure}", fix="run it again later")
