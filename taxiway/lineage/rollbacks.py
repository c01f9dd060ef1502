"""Rollbacks in the lineage: each is an execution of type `rollback` with both versions and the reason."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.contract.artifacts import PushedModel
from components.execution.pushed_models import RETIRED, Version
from taxiway.lineage.lookup import place_of

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

_STAGE = "rollback"


@dataclass(frozen=True)
class Rollback:
    """A switch from serving one version to serving another.

    Attributes:
        destination: Where both versions are.
        origin: The version that was served before.
        target: The version that is served since.
        label: The label that was moved; empty if versions were retired.
        reason: The reason given by the user.
        time: The time, ISO 8601.
        state: `COMPLETE`, `FAILED`, or `RUNNING` if it was killed.
    """

    destination: str
    origin: str
    target: str
    label: str
    reason: str
    time: str
    state: str = "COMPLETE"

    def concerns(self, place: str) -> bool:
        """Whether a version's folder or URL is one of the two."""
        return place in {f"{self.destination}/{version}" for version in (self.origin, self.target)}

    def __str__(self) -> str:
        how = f" ({self.label})" if self.label else ""
        ended = "" if self.state == "COMPLETE" else f", {self.state.lower()}"
        return f"{self.time} from {self.origin} to {self.target}{how}{ended}: {self.reason or 'no reason given'}"


@contextmanager
def recorded(
    store: LineageStore, origin: Version, target: Version, *, label: str, reason: str, digests: dict[str, str]
) -> Iterator[None]:
    """Records a rollback done in the block: as running at the start, and with its result at the end.

    Args:
        store: The lineage store.
        origin: The version that is served now.
        target: The version to serve.
        label: The label to move; empty if versions are retired.
        reason: The reason given by the user.
        digests: The digests of both, by version name.
    """
    now = datetime.now(UTC)
    run = f"{_STAGE}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    parameters = {
        "destination": place_of(origin.destination.url),
        "origin": str(origin.number),
        "target": str(target.number),
        "label": label,
        "reason": reason,
        "time": now.isoformat(timespec="seconds"),
    }
    store.start_run(run, _STAGE, parameters, now)
    store.start_task(run, _STAGE, _STAGE, parameters)
    inputs = {port: _pushed(store, version, digests) for port, version in (("from", origin), ("to", target))}
    try:
        yield
    except BaseException as error:
        store.finish_task(run, _STAGE, state="FAILED", inputs=inputs, outputs={}, error=str(error))
        store.finish_run(run, "FAILED", str(error))
        raise
    store.finish_task(run, _STAGE, state="COMPLETE", inputs=inputs, outputs={})
    store.finish_run(run, "COMPLETE")


def _pushed(store: LineageStore, version: Version, digests: dict[str, str]) -> PushedModel:
    """The pusher's artifact for a version, or a substitute if there is none."""
    place = place_of(f"{version.destination.url.rstrip('/')}/{version.number}")
    digest = digests[str(version.number)]
    for known in store.artifacts(type_name=PushedModel.__name__):
        if known.digest == digest and known.pushed_to and place_of(known.pushed_to) == place:
            return PushedModel(Path(known.uri), known.metadata, known.uri)
    facts: dict[str, Any] = {"digest": digest} if digest else {}
    return PushedModel(Path(place), {**facts, "pushed_destination": place, "pushed_version": version.number}, place)


def all_of(store: LineageStore | None, place: str) -> list[Rollback]:
    """The rollbacks at a destination, or of one version, latest last.

    Args:
        store: The lineage store, if there is one.
        place: A destination's or a version's folder or URL.
    """
    place = place_of(place).removesuffix(RETIRED)
    found = [Rollback(**{**task.parameters, "state": task.state}) for task in (store.tasks(_STAGE) if store else [])]
    return [each for each in found if each.destination == place or each.concerns(place)]
