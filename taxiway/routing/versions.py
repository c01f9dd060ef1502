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
from taxiway.routing.settings import Model, Settings

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
        self._backends, self._models = backends, settings.models
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

    async def by_target(self) -> dict[str, dict[str, int | None]]:
        """The version that answers at each target of each model now; None if none does."""
        return {name: await self._of_targets(name, model) for name, model in self._models.items()}

    async def _of_targets(self, name: str, model: Model) -> dict[str, int | None]:
        targets = {target: _Named(each.backend, name, each.label) for target, each in model.targets.items()}
        found = await asyncio.gather(*map(self._answering, targets.values()))
        return dict(zip(targets, found, strict=True))

    async def follow(self) -> None:
        """Asks the backends, until cancelled."""
        while True:
            await asyncio.gather(*map(self._ask, self._wanted))
            await asyncio.sleep(_SECONDS)

    async def _ask(self, named: _Named) -> None:
        asked = time.monotonic()
        version = await self._answering(named)
        if version is not None:
            self._found[named] = version, asked

    async def _answering(self, named: _Named) -> int | None:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = named.model
        if named.label:
            request.model_spec.version_label = named.label
        try:
            answer = await self._backends.call(named.backend, METADATA)(request.SerializeToString(), timeout=_SECONDS)
        except grpc.aio.AioRpcError:
            return None
        found = get_model_metadata_pb2.GetModelMetadataResponse.FromString(answer)
        return int(found.model_spec.version.value) if found.model_spec.HasField("version") else None
