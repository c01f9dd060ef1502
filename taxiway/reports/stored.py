"""What the lineage store remembers of artifacts whose files are gone: their types, metrics and digests."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from components.contract.artifacts import TYPES, Artifact, Metrics
from components.contract.errors import TaxiwayError
from taxiway.storage.home import Home

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

_TYPES: dict[str, type[Artifact]] = {**TYPES, Metrics.__name__: Metrics}


class Stored:
    """A home's lineage store, opened when it is first asked."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def artifact(self, uri: str) -> Artifact:
        """The artifact with its metadata; without any if the store does not know it, or does not answer."""
        try:
            known = self._store.artifacts(uri=uri)[-1:] if self._store else []
        except TaxiwayError:
            known = []
        for found in known:
            return _TYPES.get(found.type_name, Artifact)(Path(uri), found.metadata, uri)
        return Artifact(Path(uri), uri=uri)

    @cached_property
    def _store(self) -> LineageStore | None:
        # Imports gRPC, and is needed only where artifacts are gone.
        from taxiway.lineage.store import LineageStore

        try:
            return LineageStore.open_existing(self._home.lineage)
        except TaxiwayError:
            return None
