"""Records requests: the requests' path only appends to a bounded queue, a thread does the rest.

A request is never delayed and never fails because of the recorder. What does not fit is dropped and counted: requests
that wait for the thread, and rows that wait for the store, both have a limit.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import defaultdict, deque
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from components.inference.requests import NOTHING
from components.inference.rows import Maker
from taxiway.recording.guard import Guard
from taxiway.recording.metrics import Metrics
from taxiway.recording.notes import Features, Note
from taxiway.recording.settings import Settings
from taxiway.recording.writing import Pending

_PAUSE_SECONDS = 1.0
"""How often requests become rows, all at once: a step costs as much as hundreds of requests."""

_MOST_MAKERS = 64

_log = logging.getLogger(__name__)


class Recorder:
    """Records a share of the requests."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self.settings = settings
        self.metrics = Metrics(registry)
        self._queue: deque[Note] = deque()
        # Each is changed by one thread only; the difference is what waits.
        self._put_bytes = self._taken_bytes = 0
        self._stopping = threading.Event()
        self._conversion = _Conversion(settings, self.metrics)
        self.metrics.waiting(self._waiting)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def is_sampled(self) -> bool:
        """Whether to record this request."""
        return random.random() < self.settings.share

    def begin(self, request_id: str, api: str, protocol: str) -> Note:
        """The note of a request that has just arrived."""
        return Note(
            request_id=request_id,
            time=time.time(),
            began=time.perf_counter(),
            model="",
            api=api,
            protocol=protocol,
            share=self.settings.share,
        )

    def put(self, note: Note) -> None:
        """Records an answered request; drops it if too much waits. All calls come from one thread."""
        note.latency_ms = (time.perf_counter() - note.began) * 1000
        waiting = self._put_bytes - self._taken_bytes
        if len(self._queue) >= self.settings.most_requests or waiting + note.size > self.settings.most_bytes:
            self.metrics.dropped(note.model, "full")
            return
        self._put_bytes += note.size
        self._queue.append(note)

    def stop(self) -> None:
        """Writes what waits, as far as the store takes it in `stop_seconds`."""
        self._stopping.set()
        self._thread.join(self.settings.stop_seconds)
        if lost := self._waiting():
            _log.warning("the last %d sampled requests were not recorded", lost)

    def _waiting(self) -> int:
        return len(self._queue) + self._conversion.requests

    def _run(self) -> None:
        due = time.monotonic() + self.settings.seconds
        while True:
            is_last = self._stopping.wait(_PAUSE_SECONDS)
            if notes := self._taken():
                self._conversion.convert(notes)
            if is_last or self._conversion.has_many or time.monotonic() >= due:
                self._conversion.write()
                due = time.monotonic() + self.settings.seconds
            if is_last:
                return

    def _taken(self) -> list[Note]:
        notes = [self._queue.popleft() for _ in range(len(self._queue))]
        self._taken_bytes += sum([note.size for note in notes])
        return notes


class _Conversion:
    """Makes rows of notes, and writes them; used by the recorder's thread only."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._makers: dict[Features | None, Maker] = {}
        self._pending: dict[str, Pending] = {}
        self._said = False

    @property
    def has_many(self) -> bool:
        """Whether enough rows wait to be written early; after a failed write, it is not tried again early."""
        waiting = self._pending.values()
        return sum(each.rows for each in waiting) >= self._settings.rows and not any(each.failed for each in waiting)

    @property
    def requests(self) -> int:
        """The number of requests whose rows wait; any thread may ask."""
        return sum(each.requests for each in list(self._pending.values()))

    def convert(self, notes: Sequence[Note]) -> None:
        """Makes rows; an error, which would be a bug, drops these requests only."""
        groups: dict[tuple[str, Features | None], list[Note]] = defaultdict(list)
        for note in notes:
            groups[note.model, note.features].append(note)
        for (model, features), group in groups.items():
            try:
                self._add(model, features, group)
            except Exception:
                self._metrics.dropped(model, "rows", len(group))
                if not self._said:
                    self._said = True
                    _log.exception("%s: requests are not recorded (rows)", model)

    def write(self) -> None:
        """Writes the rows of all models."""
        for pending in self._pending.values():
            pending.write()

    def _add(self, model: str, features: Features | None, group: list[Note]) -> None:
        if model not in self._pending:
            self._pending[model] = self._made_pending(model)
        pending = self._pending[model]
        if sum(each.size for each in self._pending.values()) > self._settings.most_bytes:
            pending.drop("store", len(group))
            return
        self._metrics.left_out(model, "unreadable", sum([not _filled(note) for note in group]))
        made = self._maker(features).make(group)
        for what, count in made.left_out.items():
            self._metrics.left_out(model, what, count)
        pending.add(made.rows, len(group))

    def _made_pending(self, model: str) -> Pending:
        guard = Guard(model, self._settings.privacy)
        return Pending(model, f"{self._settings.tables.rstrip('/')}/{model}", self._metrics, guard)

    def _maker(self, features: Features | None) -> Maker:
        if features not in self._makers:
            while len(self._makers) >= _MOST_MAKERS:
                del self._makers[next(iter(self._makers))]
            self._makers[features] = Maker(features.read() if features else None)
        return self._makers[features]


def _filled(note: Note) -> bool:
    """Reads a note's messages; whether that worked."""
    try:
        if note.fill:
            note.fill(note)
    except Exception:
        note.content = NOTHING
        return False
    finally:
        note.fill = None
    return True
