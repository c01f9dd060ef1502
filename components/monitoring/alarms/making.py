"""Makes an alarm of an episode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from components.monitoring.alarms.alarm import ACKNOWLEDGED, CLOSED, MUTED, OPEN, SUSPECTED, Alarm, new_id
from components.monitoring.alarms.settings import AlarmSettings, Mute
from components.monitoring.alarms.tracked import Tracked
from components.monitoring.alarms.wording.sentences import sentence


def made(model: str, found: Tracked, mutes: Iterable[Mute], now: datetime, settings: AlarmSettings) -> Alarm:
    """The alarm as it is now; the same as before if nothing has changed."""
    alarm = _with_signal(found.old or _new(model, found, now), found)
    alarm = replace(alarm, evidence_needed=settings.windows_between_false_alarms)
    alarm = replace(alarm, state=_state(alarm, found, mutes, now, settings))
    if alarm.is_on and alarm.opened is None:
        alarm = replace(alarm, opened=now)
    if alarm.state == CLOSED:
        alarm = replace(alarm, closed=alarm.closed or now)
    return alarm if alarm == found.old else replace(alarm, changed=now)


def _new(model: str, found: Tracked, now: datetime) -> Alarm:
    key, episode = found.key, found.episode
    return Alarm(
        alarm=new_id(model, key, episode.since),
        model=model,
        version=key.version,
        kind=key.kind,
        column=key.column,
        slice=key.slice,
        state=SUSPECTED,
        sentence="",
        since=episode.since,
        opened=None,
        last=episode.last,
        closed=None,
        changed=now,
        acknowledged_by=None,
        effect=None,
        effect_unit=None,
        p_adjusted=None,
        evidence=episode.evidence,
        importance=None,
        picture=None,
        window=key.window,
        rows=episode.rows,
        acknowledged=None,
    )


def _with_signal(alarm: Alarm, found: Tracked) -> Alarm:
    """The alarm with what the last window with the signal says."""
    signal, episode = found.episode.signal, found.episode
    if signal is None:
        return alarm
    return replace(
        alarm,
        since=episode.since,
        last=episode.last,
        rows=episode.rows,
        evidence=alarm.evidence if alarm.opened else episode.evidence,
        sentence=sentence(alarm.model, found.key, signal.what or "", episode.since, signal.importance),
        effect=signal.effect,
        effect_unit=signal.effect_unit,
        floor=signal.floor,
        level=signal.level,
        p_adjusted=signal.p_adjusted,
        importance=signal.importance,
        picture=signal.picture,
    )


def _state(alarm: Alarm, found: Tracked, mutes: Iterable[Mute], now: datetime, settings: AlarmSettings) -> str:
    if found.episode.is_over:
        return CLOSED
    if any(mute.covers(alarm, now) for mute in mutes):
        return MUTED
    if alarm.acknowledged:
        return ACKNOWLEDGED
    is_sure = alarm.opened or found.episode.evidence >= settings.windows_between_false_alarms
    return OPEN if is_sure else SUSPECTED
