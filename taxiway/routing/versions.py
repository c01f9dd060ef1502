"""Which version answers REST requests that name none: TF Serving's REST answers do not tell.

The backends are asked for it every second: the metadata of a model has the version that a prediction would get.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

import grpc

from components.data.serving_stubs import get_model_metadata_pb2
from taxiway.routing.grpc_side import METADATA, Backends
from taxiway.routing.settings import Settings

_SECONDS = 1.0
_MOST_SECONDS = 3.0
"""An older answer counts no more."""

_MOST = 100
"""Limit of the names that are asked for, because clients choose labels."""


class _Named(NamedTuple):
    backend: str
    model: str
    label: str


class Versions:
    """The versions behind names."""

    def __init__(self, backends: Backends, settings: Settings) -> None:
        self._backends = backends
        self._found: dict[_Named, tuple[int, float]] = {}
        self._wanted = dict.fromkeys(
            _Named(target.backend, model, target.label)
            for model, given in settings.models.items()
            for target in given.targets.values()
        )

    def of(self, backend: str, model: str, label: str) -> int | None:
        """The version that a backend's model, or its label if there is one, stands for; None if nobody knows."""
        named = _Named(backend, model, label)
        if named not in self._wanted and len(self._wanted) < _MOST:
            self._wanted[named] = None
        version, asked = self._found.get(named, (None, 0.0))
        return version if time.monotonic() - asked < _MOST_SECONDS else None

    async def follow(self) -> None:
        """Asks the backends, until cancelled."""
        while True:
            await asyncio.gather(*map(self._ask, self._wanted))
            await asyncio.sleep(_SECONDS)

    async def _ask(self, named: _Named) -> None:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = named.model
        if named.label:
            request.model_spec.version_label = named.label
        asked = time.monotonic()
        try:
            answer = await self._backends.call(named.backend, METADATA)(request.SerializeToString(), timeout=_SECONDS)
        except grpc.aio.AioRpcError:
            return
        found = get_model_metadata_pb2.GetModelMetadataResponse.FromString(answer)
        if found.model_spec.HasField("version"):
            self._found[named] = found.model_spec.version.value, asked
