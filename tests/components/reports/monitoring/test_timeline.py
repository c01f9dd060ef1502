"""Time lines: gaps, thinning, ticks, marks and places to click on."""

from datetime import UTC, datetime

import pytest
from markupsafe import Markup

from components.reports.monitoring.timeline import Line, Marks, Span, timeline
from components.reports.monitoring.wording import times
from tests.components.reports.parsed import Page

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()


def _line(values: list[float], seconds: float = 3600.0) -> Line:
    return Line("version 7", [NOON + seconds * index for index in range(len(values))], values)


def _marks(count: int, seconds: float = 3600.0, **others: object) -> Marks:
    return Marks((NOON, NOON + count * seconds), seconds, **others)  # type: ignore[arg-type]


def _page(picture: Markup) -> Page:
    return Page(f"<main>{picture}</main>")


def _strokes(page: Page) -> str:
    return next(each["d"] for each in page.all("path") if "stroke" in each["class"])


def test_a_missing_value_and_a_missing_window_are_gaps() -> None:
    assert _strokes(_page(timeline([_line([1, 2, 3, 4])], _marks(4), title="Rows"))).count("M") == 1
    assert _strokes(_page(timeline([_line([1, float("nan"), 3, 4])], _marks(4), title="Rows"))).count("M") == 2
    whole = _line([1, 2, 3, 4, 5, 6])
    kept = [0, 1, 4, 5]
    line = Line("version 7", [whole.times[i] for i in kept], [whole.values[i] for i in kept])
    assert _strokes(_page(timeline([line], _marks(6), title="Rows"))).count("M") == 2


def test_of_many_windows_the_peaks_are_kept() -> None:
    values = [1.0] * 5000
    values[1234], values[4321] = 9.0, 0.0
    path = _strokes(_page(timeline([_line(values)], _marks(5000), title="Rows", y_range=(0, 10))))
    heights = [float(each.split(" ")[1]) for each in path.removeprefix("M").split("L")]
    assert len(heights) < 500
    assert path.count("M") == 1
    # The frame reaches from 172 at 0 to 22 at 10.
    assert min(heights) == pytest.approx(37)
    assert max(heights) == pytest.approx(172)


def test_an_alarm_leads_to_its_page_and_says_what_it_is() -> None:
    open_ = Span(NOON, NOON + 3600, "open: miles moved", "bad", "/alarms/1")
    quiet = Span(NOON, NOON + 3600, "closed: it was nothing", "plain", "/alarms/2")
    page = _page(timeline([_line([1, 2])], _marks(2, spans=[quiet, open_]), title="Rows"))
    # Both began at the same time: the more urgent one is the one to click on.
    assert [(each["href"], each["aria-label"]) for each in page.all("a")] == [("/alarms/1", "open: miles moved")]


def test_few_windows_are_clicked_one_by_one_and_many_in_stretches() -> None:
    def href(since: datetime, until: datetime) -> str:
        return f"{times.iso(since)}/{times.iso(until)}"

    few = _page(timeline([_line([1, 2])], _marks(2, href=href), title="Rows")).all("a")
    assert [each["href"] for each in few] == [
        "2026-03-02T12:00:00Z/2026-03-02T13:00:00Z",
        "2026-03-02T13:00:00Z/2026-03-02T14:00:00Z",
    ]
    assert {each["tabindex"] for each in few} == {"-1"}
    many = _page(timeline([_line([1.0] * 1000)], _marks(1000, href=href), title="Rows")).all("a")
    assert 40 <= len(many) <= 60
    assert many[-1]["href"].endswith("2026-04-13T04:00:00Z")


@pytest.mark.parametrize(
    ("seconds", "first", "label"),
    [
        (60, "12:00:00", "12:00:10"),
        (7200, "12:00", "12:30"),
        (86_400 * 3, "12:00", "Mar 4"),
        (86_400 * 60, "Mar 12", "Mar 26"),
    ],
)
def test_ticks_are_round_times(seconds: int, first: str, label: str) -> None:
    ticks = times.ticks((NOON, NOON + seconds))
    assert 3 <= len(ticks) <= 7
    assert ticks[0][1] == first
    assert label in [words for _, words in ticks]


def test_lengths_are_said_in_the_largest_whole_unit() -> None:
    assert [times.lasting(each) for each in (10, 90, 300, 3600, 86_400, 172_800)] == [
        *("10 s", "90 s", "5 min", "1 h", "1 day", "2 days"),
    ]
