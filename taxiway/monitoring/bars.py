"""The picture of an alarm in a terminal: a line of bars before, and a line of bars now."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from components.monitoring.alarms.wording.words import number, share

_BLOCKS = " ▁▂▃▄▅▆▇█"
_FEW, _LONG = 4, 20
_STYLES = {"before": "cyan", "now": "yellow"}


def bars(picture: str, before: str = "training", now: str = "now") -> list[Text]:
    """The lines of an alarm's picture, under 80 columns; none if it has none.

    Args:
        picture: The picture as JSON; see components/monitoring/alarms/wording/pictures.py.
        before: What the first line is called.
        now: What the second line is called.
    """
    content = json.loads(picture) if picture else {}
    names = {"before": before, "now": now}
    if content.get("kind") == "numbers":
        return _numbers(content["bins"], names)
    if content.get("kind") == "values":
        return [line for each in content["values"][:_FEW] for line in _shares(each["value"], each, names)]
    return _shares(content["label"], content, names) if content.get("kind") == "shares" else []


def _numbers(bins: Sequence[Mapping[str, float]], names: Mapping[str, str]) -> list[Text]:
    most = max(each[key] for each in bins for key in names)
    width = max(map(len, names.values()))
    lines = [
        Text.assemble((f"{name:<{width}}  ", "dim"), ("".join(_block(each[key], most) for each in bins), _STYLES[key]))
        for key, name in names.items()
    ]
    low, high = number(bins[0]["low"]), number(bins[-1]["high"])
    return [*lines, Text(f"{'':<{width}}  {low}{high:>{len(bins) - len(low)}}", "dim")]


def _block(value: float, most: float) -> str:
    """A bar in eighths of a line's height; beside a large one, the root lets others be seen as well."""
    return _BLOCKS[max(round(8 * (value / most) ** 0.5), 1)] if value > 0 and most > 0 else " "


def _shares(label: str, each: Mapping[str, Any], names: Mapping[str, str]) -> list[Text]:
    width = max(map(len, names.values()))
    return [
        Text.assemble(
            (f"{label[:_LONG] if key == 'before' else '':<{_LONG}}  {name:<{width}}  ", "dim"),
            ("█" * round(24 * each[key]) or "▏", _STYLES[key]),
            f" {share(each[key])}",
        )
        for key, name in names.items()
    ]
