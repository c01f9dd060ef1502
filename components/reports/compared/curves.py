"""The curves of several trainings, laid over each other: a colour for each run, held-out rows dashed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from components.contract.artifacts import Artifact
from components.reports.charts import COLOURS, Frame, Series, lines
from components.reports.figures import counted
from components.reports.model.training import words_of
from components.reports.page import Section
from components.reports.parts import fold, notice, paragraph, side_by_side, stack
from components.reports.readers.trying import Unreadable, tried

if TYPE_CHECKING:
    from components.reports.readers.training_logs import Logs

TITLE = "Curves compared"
_FRAME = Frame(left=80)  # for small numbers, such as learning rates
_MOST = 8  # pictures; the others are folded


def section(named: Sequence[tuple[str, Artifact]]) -> Section | None:
    """What each training logged, tag by tag; tags of a single value make no curve."""
    chosen = named[:COLOURS]
    found = {name: tried(f"The curves of {name}", lambda path=each.path: _logs(path)) for name, each in chosen}  # type: ignore[misc]
    logs = {name: each for name, each in found.items() if not isinstance(each, Unreadable)}
    unread = [notice(each.sentence, "warn") for each in found.values() if isinstance(each, Unreadable)]
    pictures = list(_pictures(logs, {name: index for index, (name, _) in enumerate(chosen)}))
    if not pictures and not unread:
        return None
    left = len(named) - len(chosen)
    more = paragraph(f"Only of the first {COLOURS} runs: more colours cannot be told apart.", quiet=True)
    folded = pictures[_MOST:]
    body = stack(
        *unread,
        more if left else None,
        side_by_side(*pictures[:_MOST]),
        fold(counted(len(folded), "more curve"), side_by_side(*folded)) if folded else None,
    )
    return Section(
        "curves-compared", TITLE, body, "Full lines are of rows that were trained on, dashed ones of rows held out."
    )


def _logs(folder: Path) -> Logs:
    from components.reports.readers import training_logs

    return training_logs.read(folder)


def _pictures(logs: Mapping[str, Logs], colours: Mapping[str, int]) -> Iterator[Markup]:
    tags = {tag for each in logs.values() for tag, runs in each.scalars.items() if _is_curve(runs)}
    for tag in sorted(tags, key=lambda tag: ("loss" not in tag, words_of(tag))):
        what, unit = words_of(tag)
        series = [line for name, each in logs.items() for line in _lines(name, each.scalars.get(tag, {}), colours)]
        yield lines(series, unit, what, title=f"{what} by {unit}", frame=_FRAME)


def _is_curve(runs: Mapping[str, Mapping[int, float]]) -> bool:
    return any(len(values) > 1 for values in runs.values())


def _lines(name: str, runs: Mapping[str, Mapping[int, float]], colours: Mapping[str, int]) -> Iterator[Series]:
    for folder, values in sorted(runs.items()):
        held_out = "train" not in folder
        points = [(float(step), value) for step, value in sorted(values.items())]
        yield Series(f"{name} {folder}", points, is_dashed=held_out, color=colours[name])
