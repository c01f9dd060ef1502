"""Keeps a model's rollout in a folder: its state, its settings, and what persons say of it.

<home>/loop/rollouts/<model>/rollout.json       the state; replaced as a whole
<home>/loop/rollouts/<model>/settings.json      the settings it began with
<home>/loop/rollouts/<model>/said/<id>.json     approvals and aborts that the running rollout has not taken in yet
<home>/loop/rollouts/<model>/ended/<id>.json    rollouts that are over
<home>/loop/rollouts/<model>/lock               held by who runs it
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from components.contract import files
from components.contract.commands import typed
from components.contract.errors import UserError
from components.contract.times import zoned
from taxiway.delivery import settings as delivery_settings
from taxiway.delivery.rollout import Rollout, aborted, approved, begun, from_json
from taxiway.delivery.settings import Delivery

APPROVE, ABORT = "approve", "abort"


@dataclass(frozen=True)
class Keeper:
    """The rollouts of one model.

    Attributes:
        folder: The model's folder; see `taxiway.storage.home.Home.rollouts`.
    """

    folder: Path

    @property
    def model(self) -> str:
        """The model's name."""
        return self.folder.name

    def load(self) -> Rollout | None:
        """The latest rollout; None if there was none yet."""
        try:
            return from_json(self._file.read_text())
        except FileNotFoundError:
            return None

    def require(self) -> Rollout:
        """The latest rollout.

        Raises:
            UserError: There was none yet.
        """
        found = self.load()
        if found is None:
            raise UserError(
                f"there is no rollout of {self.model!r}", fix=f"start one: {typed('taxiway rollout start', self.model)}"
            )
        return found

    def settings(self) -> Delivery:
        """The settings that the latest rollout began with."""
        return delivery_settings.parsed(json.loads((self.folder / "settings.json").read_text()), "its settings")

    def begin(self, champion: int, challenger: int, given: Any, now: datetime, id: str = "") -> Rollout:
        """A new rollout, saved; or the one that was begun before with the same id.

        Args:
            champion: The version that serves.
            challenger: The version to try.
            given: The settings as `delivery_settings.parsed` takes them.
            now: The time.
            id: A name that no other rollout of the model has; empty for a new one.

        Raises:
            UserError: Another rollout is not over yet, or the settings are wrong.
        """
        delivery_settings.parsed(given)
        last = self.load()
        if last and last.id == id:
            return last
        if last and not (last.is_over and last.settled):
            raise UserError(
                f"version {last.challenger} of {self.model!r} is being rolled out since {last.started:%Y-%m-%d %H:%M}"
                " UTC, and a model has one rollout at a time",
                fix=f"wait for it, or take it back: {typed('taxiway rollout abort', self.model)}",
            )
        if last:
            self._archive(last)
        rollout = begun(self.model, champion, challenger, now, id)
        self.folder.mkdir(parents=True, exist_ok=True)
        files.write(self.folder / "settings.json", json.dumps(given))
        self.save(rollout)
        return rollout

    def save(self, rollout: Rollout) -> None:
        """Keeps a rollout, and forgets what persons said that is in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # Evidence of some seconds may be lost with the power; a state may not.
        last = self.load()
        changed = last is None or (last.state, last.step, last.since) != (rollout.state, rollout.step, rollout.since)
        files.write(self._file, rollout.to_json(), synced=changed)

    def said(self, rollout: Rollout, now: datetime) -> Rollout:
        """The rollout with what persons have said of it since the last call."""
        for file in sorted((self.folder / "said").glob("*.json")):
            word = json.loads(file.read_text())
            if word["rollout"] == rollout.id:
                rollout = _applied(rollout, word)
                self.save(rollout)
            file.unlink()
        return rollout

    def say(self, kind: str, by: str, reason: str, now: datetime) -> None:
        """Keeps a person's word for the rollout, which is taken in within a second by who runs it.

        Args:
            kind: `APPROVE` or `ABORT`.
            by: Who says so.
            reason: Why.
            now: The time.

        Raises:
            UserError: There is no rollout, or it is over.
        """
        rollout = self.require()
        if rollout.is_over:
            raise UserError(
                f"the rollout of version {rollout.challenger} is over: {rollout.state}",
                fix=f"look at it: {typed('taxiway rollout show', self.model)}",
            )
        word = {"rollout": rollout.id, "kind": kind, "step": rollout.step, "by": by, "reason": reason}
        folder = self.folder / "said"
        folder.mkdir(exist_ok=True)
        name = f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(2)}.json"
        files.write(folder / name, json.dumps({**word, "time": now.isoformat()}), synced=True)

    @property
    def is_running(self) -> bool:
        """Whether a process runs the rollout."""
        return files.is_locked(self.folder / "lock")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the model's rollout.

        Raises:
            UserError: Another process has it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)

        def refuse() -> None:
            raise UserError(
                f"another process runs the rollout of {self.model!r}",
                fix=f"look at it: {typed('taxiway rollout show', self.model)}",
            )

        with files.locked(self.folder / "lock", refuse):
            yield

    def _archive(self, rollout: Rollout) -> None:
        (self.folder / "ended").mkdir(exist_ok=True)
        files.write(self.folder / "ended" / f"{rollout.id}.json", rollout.to_json())

    @property
    def _file(self) -> Path:
        return self.folder / "rollout.json"


def _applied(rollout: Rollout, word: dict[str, Any]) -> Rollout:
    by, reason, time = word["by"], word["reason"], zoned(word["time"])
    if word["kind"] == ABORT:
        return aborted(rollout, by, reason, time)
    return approved(rollout, by, reason, time, word["step"])
