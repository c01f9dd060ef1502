from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from taxiway.lineage import listing
from taxiway.lineage.store import LineageStore


def shown(store: LineageStore, **console: Any) -> list[str]:
    output = io.StringIO()
    listing.show(store.runs(), Console(file=output, no_color=True, **console))
    return output.getvalue().splitlines()


@pytest.mark.parametrize("console", [{"width": 20}, {"width": 500, "force_terminal": True}])
def test_wide_or_piped_output_has_one_run_a_line(flow, store, tmp_path, console):
    flow.record(store, "r1")
    store.start_run("r2", "trips", {}, datetime.now(UTC))
    head, latest, first = shown(store, **console)
    assert head.replace("\x1b[1m", "").replace("\x1b[0m", "").split() == [
        "run", "state", "took", "blessed", "tasks", "pushed",
    ]  # fmt: skip
    assert latest.split()[:2] == ["r2", "running"]
    assert first.split()[:2] == ["r1", "succeeded"]
    assert "6 complete" in first
    assert first.endswith(f"  {tmp_path / 'served' / '7'}")


def test_a_narrow_terminal_shows_columns_below_their_row(flow, store, tmp_path):
    flow.record(store, "chicago-taxi-20261121-003750-29e0c7f5")
    head, row, tasks, *pushed = shown(store, width=70, force_terminal=True, color_system=None)
    assert head == f"{'run':39}state      took   blessed"
    assert re.fullmatch(r"chicago-taxi-20261121-003750-29e0c7f5  succeeded  \d\.\d s  yes", row)
    assert tasks.rstrip() == "    tasks  6 complete"
    assert "".join("".join(pushed).split()) == f"pushed{tmp_path / 'served' / '7'}"
    assert max(map(len, pushed)) <= 70


def test_runs_are_json_for_programs(flow, store):
    flow.record(store, "r1")
    [run] = store.runs()
    document = json.loads(json.dumps(listing.to_json(run)))
    assert datetime.fromisoformat(document["started"]) == run.started
    assert (document["id"], document["tasks"], document["pushed"]) == ("r1", {"COMPLETE": 6}, run.pushed)
