"""An experiment on what a real proxy has recorded."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.delivery import versions
from components.monitoring.store import Store
from taxiway.experiments.look import look
from taxiway.experiments.settings import parsed
from tests.taxiway.small_servers import running


def test_requests_through_a_proxy_are_compared_by_target(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    with running(tmp_path / "server", "benchmarks.delivery.versions") as server:
        versions.control(server.grpc, versions={2: {"fail": 0.5}})
        ports = ["--listen-port", "0", "--rest-port", "0", "--admin-port", "0"]
        split = ["--model", "taxi", "--backend", server.grpc, "--split", "stable=50,canary=50"]
        recorded = ["--inference-tables", str(tmp_path / "tables"), "--inference-share", "1"]
        with running(tmp_path / "proxy", "taxiway", "route", *split, *ports, *recorded) as proxy:
            sent = asyncio.run(versions.drive(proxy.grpc, 400, seconds=2))
    failures = {"name": "failures", "kind": "proportion", "column": "failed", "goal": "down"}
    given = {
        "name": "recorded",
        "model": "taxi",
        "arms": {name: {"target": name, "share": 0.5} for name in ("stable", "canary")},
        "control": "stable",
        "start": str(began - timedelta(seconds=1)),
        "metrics": [failures],
    }
    found = look(parsed(given, "e"), Store(str(tmp_path / "tables/taxi")))
    assert sum(found.units.values()) == sent and min(found.units.values()) > sent / 3
    assert found.found[0].control == 0 and 0.3 < found.found[0].treatment < 0.7
    assert found.decision.kind == "stop"
