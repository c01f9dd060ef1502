"""An alarm's picture in a terminal."""

import json

from taxiway.monitoring.bars import bars


def _lines(**content: object) -> list[str]:
    return [each.plain for each in bars(json.dumps(content))]


def test_numbers_are_two_lines_of_bars_over_their_range() -> None:
    bins = [{"low": 0, "high": 5, "before": 0.8, "now": 0.1}, {"low": 5, "high": 10, "before": 0.001, "now": 0.0}]
    # A root: 0.1 beside 0.8 would be a line of the least height, as would 0.001.
    assert _lines(kind="numbers", column="miles", bins=bins) == ["training  █▁", "now       ▃ ", "          010"]


def test_values_have_a_bar_each_before_and_now() -> None:
    values = [{"value": "Cash", "before": 0.5, "now": 0.25}]
    first, second = _lines(kind="values", column="type", values=values, rest={"before": 0.5, "now": 0.75})
    assert first.split() == ["Cash", "training", "█" * 12, "50.0", "%"]
    assert second.split() == ["now", "█" * 6, "25.0", "%"]


def test_a_share_says_what_it_is_of_and_one_of_nothing_is_seen() -> None:
    first, second = _lines(kind="shares", column="type", label="missing", before=0.0, now=1.0)
    assert first.split() == ["missing", "training", "▏", "0", "%"]
    assert len(second) < 80


def test_an_alarm_without_a_picture_has_no_lines() -> None:
    assert bars("") == []
