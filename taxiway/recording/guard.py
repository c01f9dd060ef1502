"""What is done to rows before they are stored: the rules of privacy, and a warning of columns that look personal."""

from __future__ import annotations

import logging

import pyarrow as pa

from components.inference.privacy import suspects
from components.inference.privacy.privacy import Privacy

_ROWS = 1000
"""How many rows of a model are looked at."""

_log = logging.getLogger(__name__)


class Guard:
    """Guards the rows of one model."""

    def __init__(self, model: str, privacy: Privacy) -> None:
        self._model, self._privacy = model, privacy
        self._looked_at = 0
        self._said: set[str] = set()

    def guarded(self, rows: pa.Table) -> pa.Table:
        """The rows as they may be stored. Raises UserError if the keys cannot be read: then nothing is stored."""
        if self._looked_at < _ROWS:
            self._look(rows)
        return self._privacy.apply(rows)

    def _look(self, rows: pa.Table) -> None:
        found = [each for each in self._privacy.findings(rows.slice(0, _ROWS)) if each.column not in self._said]
        self._looked_at += rows.num_rows
        self._said.update(each.column for each in found)
        if found:
            _log.warning("%s: %s", self._model, suspects.warning(found))
