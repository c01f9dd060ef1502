"""Records what the proxy forwards: bytes, which the recorder's thread parses. The proxy needs no model for it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from components.inference import json_bodies, messages
from taxiway.recording import request_ids
from taxiway.recording.notes import Note
from taxiway.recording.recorder import Recorder
from taxiway.recording.settings import Settings
from taxiway.routing.calls import Call


@dataclass(slots=True)
class Seen:
    """A request on its way through the proxy.

    Attributes:
        request_id: Its id.
        note: Its note; None if it is not sampled.
        status: The gRPC code of its answer.
        error: The error's message.
    """

    request_id: str
    note: Note | None
    status: str = "OK"
    error: str | None = None

    def tagged(self, metadata: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
        """Metadata or headers with the request's id."""
        return (*(pair for pair in metadata if pair[0].lower() != request_ids.KEY), (request_ids.KEY, self.request_id))


class RouteRecording:
    """Records a share of the requests to the configured models."""

    def __init__(self, settings: Settings, registry: CollectorRegistry, models: set[str]) -> None:
        self._recorder, self._models = Recorder(settings, registry), models

    def begin(self, request_id: str, api: str, protocol: str) -> Seen:
        """A request that has just arrived; the request goes on with this id."""
        sampled = self._recorder.is_sampled()
        return Seen(request_id, self._recorder.begin(request_id, api, protocol) if sampled else None)

    def put(self, seen: Seen, call: Call, request: bytes, response: bytes) -> None:
        """Records a request and its answer; an unknown model gets no table, unless a backend has it."""
        note = seen.note
        if note is None or not (call.model in self._models or (seen.status == "OK" and _is_plain(call.model))):
            return
        note.model, note.target = call.model, call.route.target or None
        note.label = call.route.label or note.label
        note.status, note.error = seen.status, seen.error
        note.size = len(request) + len(response)
        read = messages.read if call.protocol == "grpc" else json_bodies.read
        note.fill = functools.partial(read, request=request, response=response if seen.status == "OK" else b"")
        self._recorder.put(note)

    def stop(self) -> None:
        """Writes what waits."""
        self._recorder.stop()


def _is_plain(model: str) -> bool:
    """Whether a client's name of a model can be a folder."""
    return bool(model) and "/" not in model and not model.startswith(".")
