"""Why an alarm was raised: what was found, beside what the settings ask for."""

from __future__ import annotations

from collections.abc import Iterator

from components.monitoring.alarms.alarm import Alarm
from components.reports.figures import number
from components.reports.markup import Content, tag
from components.reports.monitoring.wording.names import effect, short_effect
from components.reports.parts import stack


def grounds(alarm: Alarm) -> Iterator[tuple[Content, Content]]:
    """The effect with its floor, the chance with the level, the evidence with what opens an alarm."""
    yield "Effect", _with(effect(alarm.effect, alarm.effect_unit), _of_effect(alarm))
    if alarm.p_adjusted is not None:
        yield "Probability by chance (adjusted p)", _with(number(alarm.p_adjusted, 3), _of_chance(alarm))
    if alarm.evidence is not None:
        yield "Evidence", _with(number(round(alarm.evidence)), _of_evidence(alarm))


def _with(found: str, words: str) -> Content:
    return stack(found, tag("span", f" {words}", class_="quiet")) if words else found


def _of_effect(alarm: Alarm) -> str:
    if not alarm.floor:
        return ""
    return f"counts from {short_effect(alarm.floor, alarm.effect_unit).removeprefix('+')} on (floors in the settings)"


def _of_chance(alarm: Alarm) -> str:
    level = f"; a signal if it is at most {number(alarm.level)} (level in the settings)" if alarm.level else ""
    return f"that anything in this window looks as different as this although nothing has changed{level}"


def _of_evidence(alarm: Alarm) -> str:
    words = "about so many windows pass until chance alone gets as far"
    if not alarm.evidence_needed:
        return words
    needed = number(round(alarm.evidence_needed))
    return f"{words}; the alarm opens at {needed} (windows_between_false_alarms in the settings)"
