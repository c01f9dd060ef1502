"""Runs a loop until it is stopped: one at a time on a machine, with the settings as they are now."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from deltalake.exceptions import DeltaError

from components.contract import files
from components.contract.errors import ServiceError, TaxiwayError, UserError
from components.monitoring.store import Store
from taxiway.lineage.loop import ledger
from taxiway.lineage.loop.cycle import State, Trigger
from taxiway.lineage.store import LineageStore
from taxiway.loop import settings as all_settings
from taxiway.loop.loop import Considered, Loop, Ticked
from taxiway.loop.settings import Settings
from taxiway.loop.telling import Telling
from taxiway.loop.triggers import webhook
from taxiway.loop.world import World
from taxiway.storage.home import Home

_ROLLING_OUT = timedelta(seconds=1)
"""How often a rollout is looked at."""


class Teller(Protocol):
    """Prints what a loop does."""

    def waiting(self) -> None:
        """Another loop of the model runs on this machine."""

    def ticked(self, ticked: Ticked) -> None:
        """It has looked."""

    def listening(self, port: int) -> None:
        """Its webhook listens."""

    def failed(self, error: str) -> None:
        """It could not look."""

    def receiver(self, way: str, error: str) -> None:
        """A receiver was not told."""


@dataclass
class Running:
    """A loop with what it needs to go on.

    Attributes:
        file: The settings file, read again before each look.
        home: Where runs, rollouts and locks are.
        teller: Prints what it does.
    """

    file: Path
    home: Home
    teller: Teller
    _telling: Telling = field(init=False)
    _loop: Loop | None = field(default=None)
    _seen: object = field(default=None)

    def __post_init__(self) -> None:
        self._telling = Telling(self.teller.receiver)

    def once(self, now: datetime | None = None, *, waits: bool = True) -> Ticked:
        """Looks once, and tells.

        Args:
            now: The time; None for the clock's.
            waits: Whether to wait until receivers are told.

        Raises:
            UserError: The settings are wrong, or do not fit.
            ServiceError: Something does not answer.
        """
        now = now or datetime.now(UTC)
        with _explained():
            loop = self._current()
            ticked = loop.tick(now)
            self.teller.ticked(ticked)
            self._telling.tell(loop, now, is_news=bool(ticked.taken), waits=waits)
        return ticked

    def dry(self, now: datetime | None = None) -> list[Considered]:
        """What it would do; nothing is written."""
        with _explained():
            return self._current().dry(now or datetime.now(UTC))

    def every(self, pause: timedelta, stopped: threading.Event) -> None:
        """Looks again and again until it is stopped; what does not answer is tried again at the next time."""
        with self.alone(), self._listening():
            while not stopped.is_set():
                try:
                    self.once(waits=False)
                except TaxiwayError as error:
                    self.teller.failed(str(error))
                stopped.wait(self._pause(pause).total_seconds())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other loop of the model runs on this machine."""
        model = all_settings.load(self.file).model
        with _explained():
            self.home.loop.mkdir(parents=True, exist_ok=True)
        with files.locked(self.home.loop / f"{model}.lock", on_wait=self.teller.waiting):
            yield

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Serves the webhook, if there is one in the settings."""
        settings = all_settings.load(self.file)
        trigger = next((each for each in settings.triggers if each.kind == "webhook"), None)
        if trigger is None:
            yield
            return

        def put(found: Trigger) -> bool:
            # A store of its own: it runs in another thread.
            lineage = LineageStore.open(self.home.lineage)
            return ledger.put(lineage, settings.model, ledger.REQUEST, found, key=found.id)

        with webhook.serving(trigger, settings.window, put) as port:
            self.teller.listening(port)
            yield

    def _pause(self, pause: timedelta) -> timedelta:
        state = self._loop.state if self._loop else None
        return min(pause, _ROLLING_OUT) if state == State.ROLLING_OUT else pause

    def _current(self) -> Loop:
        """The loop with the settings as they are now; those of before if the file is wrong.

        Raises:
            UserError: It was wrong from the start.
        """
        mark = files.fingerprint(self.file)
        if self._loop is None:
            self._loop, self._seen = made(all_settings.load(self.file), self.home), mark
        elif mark != self._seen:
            self._seen = mark
            self._reload(self._loop)
        return self._loop

    def _reload(self, loop: Loop) -> None:
        try:
            settings = all_settings.load(self.file)
            if settings.model != loop.settings.model:
                raise UserError(f"{self.file} is of another model now: {settings.model}", fix="start another loop")
        except UserError as error:
            self.teller.failed(f"{error}\nthe settings of before are kept")
            return
        loop.settings, loop.tables = settings, tables(settings, self.home)


def made(settings: Settings, home: Home) -> Loop:
    """A loop of a model."""
    lineage = LineageStore.open(home.lineage)
    return Loop(settings, lineage, tables(settings, home), World(lineage, home))


def tables(settings: Settings, home: Home) -> Store:
    """The model's tables."""
    root = (settings.tables or str(home.monitoring)).rstrip("/")
    return Store(f"{root}/{settings.model}")


@contextmanager
def _explained() -> Iterator[None]:
    """Raises what a store that is away raises as a ServiceError, after which the next look may succeed."""
    try:
        yield
    except (OSError, DeltaError) as error:
        what = f"the loop cannot look: {type(error).__name__}: {str(error).partition(chr(10))[0][:300]}"
        raise ServiceError(what, fix="see that the tables and the disk are there; nothing is lost meanwhile") from error
