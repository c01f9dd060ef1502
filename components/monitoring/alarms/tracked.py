"""Follows each key through its windows, and finds the alarm that an episode belongs to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from components.monitoring.alarms.alarm import CLOSED, Alarm, Key
from components.monitoring.alarms.episodes import Episode, View, episodes
from components.monitoring.alarms.quality import QUALITY
from components.monitoring.alarms.settings import AlarmSettings
from components.monitoring.alarms.signals import MODEL, WINDOW, Look
from components.monitoring.alarms.traffic import SILENCE

_PATIENCE = timedelta(days=1)
"""A slice without rows for this long is gone; at night there may be none."""

_LABELS_PATIENCE = timedelta(days=7)
"""The same where labels are waited for."""


@dataclass(frozen=True)
class Tracked:
    """An episode, and the alarm that was made of it before, if there is one."""

    key: Key
    old: Alarm | None
    episode: Episode


def earliest(alarms: Iterable[Alarm]) -> list[datetime]:
    """For each alarm that is not closed, the time from which its windows have to be read again."""
    return [each.last if each.opened else each.since for each in alarms if each.state != CLOSED]


def tracked(looks: Sequence[Look], alarms: Sequence[Alarm], settings: AlarmSettings) -> list[Tracked]:
    """Every episode in the windows that were read."""
    live = {each.key: each for each in alarms if each.state != CLOSED}
    heard = {look.key for look in looks if look.signal.signal}
    seen = _Seen(looks)
    told = _told(alarms)
    keys = sorted(live.keys() | heard, key=repr)
    return [each for key in keys for each in _of_key(key, seen, live.get(key), told, settings)]


def _told(alarms: Iterable[Alarm]) -> Mapping[Key, datetime]:
    """When the last closed alarm of each key had its last signal: earlier windows raise no other."""
    found: dict[Key, datetime] = {}
    for each in alarms:
        if each.state == CLOSED:
            found[each.key] = max(each.last, found.get(each.key, each.last))
    return found


class _Seen:
    """Looks by what was looked at."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self._by_key: dict[Key, dict[datetime, Look]] = defaultdict(dict)
        for look in looks:
            self._by_key[look.key][look.start] = look
        self.windows = [look for look in looks if look.signal.kind == MODEL]

    def views(self, key: Key) -> list[View]:
        """The windows in which a key could have been heard of."""
        own = self._by_key.get(key, {})
        places = own if key.kind == QUALITY else self._by_key.get(_place(key), {})
        return [
            View(each.start, each.end, each.signal.rows, own[start].signal if start in own else None)
            for start, each in places.items()
        ]

    def is_gone(self, key: Key, since: datetime, settings: AlarmSettings) -> bool:
        """Whether the version or the slice has had no rows since then, for so long that it has none any more."""
        later = [look for look in self.windows if look.end > since]
        if key.kind == SILENCE or not later:
            return False
        same = [look for look in later if look.window == key.window and look.signal.rows]
        version = self._by_key.get(Key(key.version, "", WINDOW, "", key.window), {})
        if key.kind != QUALITY and len(same) >= settings.close_after and not any(w.start in version for w in same):
            return True
        patience = _LABELS_PATIENCE if key.kind == QUALITY else _PATIENCE
        return later[-1].end - since >= max(patience, settings.close_after * (later[-1].end - later[-1].start))


def _place(key: Key) -> Key:
    """The key of the rows that say that a window was looked at."""
    return Key(key.version, key.slice, MODEL if key.kind == SILENCE else WINDOW, "", key.window)


def _of_key(
    key: Key, seen: _Seen, old: Alarm | None, told: Mapping[Key, datetime], settings: AlarmSettings
) -> Iterator[Tracked]:
    views = [view for view in seen.views(key) if key not in told or view.start >= told[key]]
    rules = _for_key(key, settings)
    begun = _begun(old, episodes(views, rules)) if old and old.opened else None
    if begun:
        views = [view for view in views if view.end >= begun.last]
    found = episodes(views, rules, begun)
    if found and not found[-1].is_over and seen.is_gone(key, _newest(views, found[-1]), settings):
        found[-1] = replace(found[-1], is_over=True)
    for episode in found:
        is_old = old is not None and _overlaps(episode, old)
        yield Tracked(key, old if is_old else None, episode)
        old = None if is_old else old
    if old:
        # Its signal is no more: late rows have changed the window.
        yield Tracked(key, old, Episode(old.since, old.last, old.rows, is_over=True))


def _newest(views: Sequence[View], episode: Episode) -> datetime:
    return max([episode.last, *(view.end for view in views)])


def _begun(alarm: Alarm, found: Iterable[Episode]) -> Episode:
    """The episode of an alarm that was told: it is not taken back, but may have begun earlier than was known."""
    since = min([alarm.since, *(each.since for each in found if _overlaps(each, alarm))])
    return Episode(since, alarm.last, alarm.rows, evidence=alarm.evidence)


def _overlaps(episode: Episode, alarm: Alarm) -> bool:
    return episode.since <= alarm.last and alarm.since <= episode.last


def _for_key(key: Key, settings: AlarmSettings) -> AlarmSettings:
    """One request is enough to end a silence."""
    return replace(settings, close_after=1) if key.kind == SILENCE else settings
