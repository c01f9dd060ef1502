"""What each trigger sees in real tables and files, and that it sees it once."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components.monitoring.store import LABELS, Store
from components.monitoring.tables import QUALITY
from taxiway.lineage.loop import cycles, ledger
from taxiway.lineage.loop.cycle import Event, State
from taxiway.loop.loop import Considered, Loop
from tests.components.monitoring.alarms.windows import STRONG, Decided
from tests.taxiway.loop.conftest import NOW, Site

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONDAY = datetime(2026, 1, 5, 12, tzinfo=UTC)


def seen(loop: Loop, now: datetime = NOW) -> Considered:
    """What the first trigger sees; what it marks is kept."""
    known = ledger.read(loop.lineage, "taxi")
    found = next(iter(loop.consider(known, now)))
    loop._begun([Considered(found.seen, "not now")], known, now)
    return found


def cycled(loop: Loop, now: datetime = NOW, state: State = State.PROMOTED) -> Any:
    """Begins the cycle of what the first trigger has found, and ends it."""
    known = ledger.read(loop.lineage, "taxi")
    trigger = next(iter(loop.consider(known, now))).seen.found
    assert trigger
    begun = cycles.begin(loop.lineage, "taxi", trigger, loop.settings.given, known.cycles, now=now)
    assert begun
    assert cycles.add(loop.lineage, begun, Event(state, "over", now))
    return trigger


def only(site: Site, **trigger: Any) -> Loop:
    return site.loop(triggers=[trigger], cool_down="0s")


def test_alarms_that_do_not_count_trigger_nothing(drifted: Site) -> None:
    assert (
        seen(only(drifted, alarm={"kinds": ["quality"]})).seen.says == "1 alarms that do not count, 0 that had a cycle"
    )
    assert seen(only(drifted, alarm={"columns": ["tips"]})).seen.found is None
    assert seen(only(drifted, alarm={"columns": ["trip_miles"]})).seen.found


def test_alarms_of_one_change_are_one_trigger(drifted: Site) -> None:
    loop = only(drifted, alarm={})
    first = cycled(loop)
    assert first.facts["columns"] == ["trip_miles"]
    # The same change in another column and another slice, seen later.
    drifted.watch.see(0, STRONG, Decided("tips", 1e-9))
    drifted.watch.see(0, STRONG, part="hour:3")
    assert len(drifted.watch.alarms) == 3
    assert seen(loop).seen.says == "3 that had a cycle"


def test_a_change_after_the_cycle_is_another_trigger(drifted: Site) -> None:
    loop = only(drifted, alarm={})
    first = cycled(loop)
    drifted.watch.see(1, STRONG, Decided("tips", 1e-9))
    second = cycled(loop)
    assert (first.id, second.facts["columns"]) != (second.id, ["trip_miles"])
    assert second.facts["columns"] == ["tips"]


def test_an_alarm_that_stays_on_counts_again_after_the_time_of_the_settings(drifted: Site) -> None:
    loop = only(drifted, alarm={"again": "1d"})
    cycled(loop, state=State.NOTHING_PUSHED)
    assert seen(loop, NOW + 23 * HOUR).seen.found is None
    assert cycled(loop, NOW + DAY)
    assert seen(loop, NOW + DAY + HOUR).seen.found is None
    # After a version was promoted the alarm closes by itself.
    assert seen(loop, NOW + 9 * DAY).seen.found is None


def quality(site: Site, *values: float, first: int = 0, **changed: Any) -> None:
    rows = [
        {
            **dict.fromkeys(QUALITY.names),
            "window_start": NOW + (first + number) * HOUR,
            "window_end": NOW + (first + number + 1) * HOUR,
            "window": "1h",
            "model": "taxi",
            "version": 1,
            "slice": "",
            "metric": "auc",
            "basis": "labels",
            "value": value,
            **changed,
        }
        for number, value in enumerate(values)
    ]
    Store(f"{site.folder}/tables/taxi").append("quality", pa.Table.from_pylist(rows, QUALITY))


def test_bad_quality_in_windows_in_a_row_is_a_trigger(site: Site) -> None:
    loop = only(site, quality={"metric": "auc", "below": 0.8, "windows": 3})
    assert seen(loop).seen.says == "there is no auc yet"
    quality(site, 0.7, 0.7, 0.9, 0.79, 0.78)
    assert seen(loop).seen.says == "auc 0.9, 0.79, 0.78: not below 0.8 in 3 windows in a row"
    quality(site, 0.77, first=5)
    found = cycled(loop)
    assert found.reason == "auc 0.79, 0.78, 0.77: below 0.8 since 2026-01-05 05:00 UTC"
    assert found.facts["window_start"] == (NOW + 3 * HOUR).isoformat()
    assert found.facts["window_end"] == (NOW + 6 * HOUR).isoformat()
    quality(site, 0.76, first=6)
    assert seen(loop).seen.found is None


def test_a_loss_is_bad_above_its_bound(site: Site) -> None:
    loop = only(site, quality={"metric": "log_loss", "above": 0.5, "windows": 1})
    quality(site, 0.4, metric="log_loss")
    assert seen(loop).seen.found is None
    quality(site, 0.6, metric="log_loss", first=1)
    assert seen(loop).seen.found


def test_a_metric_that_nobody_computes_is_told(site: Site) -> None:
    quality(site, 0.4)
    found = seen(only(site, quality={"metric": "aux", "below": 0.8})).seen
    assert (found.is_trouble, found.says) == (True, "the monitor computes no 'aux'")


def settled(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    old = NOW.timestamp() - 3600
    os.utime(path, (old, old))


def tracked(site: Site, name: str) -> None:
    (site.folder / "data.dvc").write_text(f"outs:\n- md5: {name * 32}.dir\n  path: data\n")


@pytest.mark.parametrize(
    ("trigger", "change"),
    [
        ("dvc", lambda site, n: tracked(site, "abcdef"[n])),
        ("span", lambda site, n: settled(site.folder / f"data/span-{n + 9}/trips.csv")),
        ("partition", lambda site, n: settled(site.folder / f"data/day={n + 9}/trips.csv")),
        ("path", lambda site, n: settled(site.folder / "data/trips.csv", "x" * n)),
    ],
)
def test_each_new_version_of_data_is_a_trigger(site: Site, trigger: str, change: Callable[[Site, int], None]) -> None:
    places = {"dvc": "data.dvc", "span": "data/span-{SPAN}/*", "partition": "data/day=*", "path": "data"}
    loop = only(site, data={trigger: str(site.folder / places[trigger])})
    change(site, 0)
    assert "changes count from now on" in seen(loop).seen.says
    for number in (1, 2):
        assert seen(loop).seen.found is None
        change(site, number)
        assert cycled(loop).facts["place"] == str(site.folder / places[trigger])
    assert "is still at" in seen(loop).seen.says


def test_data_that_come_back_are_a_trigger_again(site: Site) -> None:
    tracked(site, "a")
    loop = only(site, data={"dvc": str(site.folder / "data.dvc")})
    assert seen(loop).seen.mark
    ids = set()
    for name in "babab":
        tracked(site, name)
        ids.add(cycled(loop).id)
    assert len(ids) == 5


def test_a_late_partition_or_one_that_is_still_written_is_no_trigger(site: Site) -> None:
    settled(site.folder / "data/day=9/trips.csv")
    loop = only(site, data={"partition": str(site.folder / "data/day=*")})
    assert seen(loop).seen.mark
    settled(site.folder / "data/day=8/trips.csv")
    (site.folder / "data/day=10").mkdir()
    assert seen(loop).seen.says.endswith("is still at day=9")
    (site.folder / "data/day=10/trips.csv").write_text("x")
    now = datetime.now(UTC)
    assert seen(loop, now).seen.found is None
    assert seen(loop, now + timedelta(minutes=1)).seen.found


def test_versions_of_spans_are_triggers(site: Site) -> None:
    settled(site.folder / "data/3-1/a.csv")
    loop = only(site, data={"span": str(site.folder / "data/{SPAN}-{VERSION}/*.csv")})
    assert seen(loop).seen.mark
    settled(site.folder / "data/3-10/a.csv")
    assert cycled(loop).facts["value"] == "3/10"


def test_a_dvc_file_that_is_away_keeps_no_other_trigger_waiting(drifted: Site) -> None:
    loop = drifted.loop(triggers=[{"data": {"dvc": str(drifted.folder / "gone.dvc")}}, {"alarm": {}}])
    first, second = loop.dry(NOW)
    assert first.seen.is_trouble
    assert "gone.dvc cannot be read as a .dvc file" in first.seen.says
    assert second.begins


def labels(site: Site, count: int) -> None:
    rows = {"request_id": ["r"] * count, "row": [0] * count, "label_time": [NOW] * count, "label_tips": [1.0] * count}
    Store(f"{site.folder}/tables/taxi").append(LABELS, pa.table(rows))


def test_enough_new_labels_are_a_trigger(site: Site) -> None:
    labels(site, 100)
    loop = only(site, labels={"new": 50})
    assert seen(loop).seen.says == "100 labels: new ones count from now on"
    labels(site, 49)
    assert seen(loop).seen.says == "49 of 50 new labels"
    labels(site, 11)
    assert cycled(loop).facts["labels"] == 60
    assert seen(loop).seen.says == "0 of 50 new labels"


def test_a_schedule_is_made_up_for_once(site: Site) -> None:
    loop = site.loop(triggers=[{"schedule": "0 3 * * *"}], time_zone="Europe/Vienna", cool_down="0s")
    assert seen(loop, MONDAY).seen.mark
    assert seen(loop, MONDAY + 13 * HOUR).seen.found is None
    # Three nights have passed while no loop ran.
    late = MONDAY + 3 * DAY
    assert cycled(loop, late).reason == "it was time at 2026-01-08 03:00 (0 3 * * *)"
    assert seen(loop, late + HOUR).seen.found is None
    assert cycled(loop, late + DAY)


def test_a_schedule_survives_a_clock_that_jumps(site: Site) -> None:
    loop = only(site, schedule="0 3 * * *")
    assert seen(loop, MONDAY).seen.mark
    # A clock that is wrong by years triggers once; when it is right again, the schedule goes on.
    cycled(loop, MONDAY + 1000 * DAY)
    assert seen(loop, MONDAY + HOUR).seen.found is None
    assert cycled(loop, MONDAY + DAY)
    # Put back by a day, it does not come again.
    assert seen(loop, MONDAY + 16 * HOUR).seen.found is None
