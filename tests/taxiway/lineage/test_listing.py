from __future__ import annotations

import io
import json
from datetime import UTC, datetime

from rich.console import Console

from taxiway.lineage import listing


def test_runs_are_a_table(flow, store, tmp_path):
    flow.record(store, "r1")
    store.start_run("r2", "trips", {}, datetime.now(UTC))
    console = Console(file=io.StringIO(), width=160, no_color=True)
    console.print(listing.render(store.runs()))
    latest, first = console.file.getvalue().splitlines()[1:]  # type: ignore[attr-defined]
    assert latest.split()[:2] == ["r2", "running"]
    assert first.split()[:2] == ["r1", "succeeded"]
    assert "6 complete" in first
    assert first.rstrip().endswith(f"yes      {tmp_path / 'served' / '7'}")


def test_runs_are_json_for_programs(flow, store):
    flow.record(store, "r1")
    [run] = store.runs()
    found = json.loads(json.dumps(listing.to_json(run)))
    assert datetime.fromisoformat(found["started"]) == run.started
    assert (found["id"], found["tasks"], found["pushed"]) == ("r1", {"COMPLETE": 6}, run.pushed)
