"""A whole loop over real tables, a real lineage store and real runs of a quick pipeline."""

from __future__ import annotations

from taxiway.lineage.loop.cycle import State
from tests.taxiway.loop.conftest import MINUTE, NOW, Site, ended

BEGUN = "2026-01-05T00:00:00+00:00"
OVER = "2026-01-05T01:00:00+00:00"


def test_an_alarm_retrains_once_on_its_window(drifted: Site) -> None:
    loop = drifted.loop()
    cycle = ended(loop)
    assert [event.state for event in cycle.events] == [
        State.WAITING,
        State.RETRAINING,
        State.RETRAINING,
        State.JUDGED,
        State.PROMOTED,
    ]
    assert (
        cycle.reason == "version 1; servers load it from where it was pushed, as there is no delivery in the settings"
    )
    assert cycle.events[0].reason == f"alarm {drifted.watch.alarms[0].alarm}: {drifted.watch.alarms[0].sentence}"
    assert cycle.events[3].reason == "version 1 was pushed: better by 0.02"
    assert drifted.pushes == [f"{BEGUN} {OVER}"]
    assert loop.tick(NOW + 100_000 * MINUTE).taken == []
    assert len(drifted.cycles) == 1
