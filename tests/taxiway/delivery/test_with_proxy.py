"""Rollouts by a real proxy: back to the champion in time, and a proxy that comes and goes."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.delivery import versions
from benchmarks.serving.servers import free_port
from components.contract.errors import UserError
from taxiway.delivery import deliver
from taxiway.delivery.keeper import APPROVE, Keeper
from taxiway.delivery.rollout import FAILURE, PAUSED, PROMOTED, ROLLED_BACK, Rollout
from taxiway.delivery.weights.route import RouteWeights
from tests.taxiway.delivery.conftest import Setup, Traffic, proxy
from tests.taxiway.routing.conftest import http
from tests.taxiway.small_servers import Running


def shares(admin: str) -> dict[str, float]:
    return dict(http(f"{admin}/weights")[2]["taxi"])


def until(session: deliver.Session, condition: object, seconds: float = 40) -> Rollout:
    """Ticks twice a second until a condition of the rollout holds."""
    deadline = time.monotonic() + seconds
    while not condition(session.rollout):  # type: ignore[operator]
        assert time.monotonic() < deadline, session.rollout
        session.tick(datetime.now(UTC))
        time.sleep(0.2)
    return session.rollout


def test_a_sound_version_is_promoted(setup: Setup, traffic: Traffic, tmp_path: Path) -> None:
    traffic(setup.proxy, 200)
    keeper = Keeper(tmp_path / "taxi")
    seen = list[float]()
    session = deliver.started(
        keeper, 1, 2, setup.settings(10, 50), told=lambda rollout: seen.append(shares(setup.admin)["canary"])
    )
    ended = session.run()
    assert (ended.state, ended.reason, ended.settled) == (PROMOTED, "every step was a success", True)
    assert {10.0, 50.0, 100.0} <= set(seen)
    assert shares(setup.admin) == {"stable": 0.0, "canary": 100.0}  # no destination: labels are not ours
    assert [each.guardrail for each in ended.readings] == ["errors", "latency"]
    assert keeper.require().to_json() == ended.to_json()


def test_two_percent_of_failures_bring_the_champion_back_within_five_seconds(
    setup: Setup, traffic: Traffic, tmp_path: Path
) -> None:
    traffic(setup.proxy, 300)
    session = deliver.started(Keeper(tmp_path / "taxi"), 1, 2, setup.settings(25, seconds=60))
    until(session, lambda rollout: rollout.since)
    assert shares(setup.admin)["canary"] == 25
    setup.behave(fail=0.02)
    began = time.monotonic()
    back = list[float]()

    def watch() -> None:
        while not back and time.monotonic() - began < 60:
            if shares(setup.admin)["canary"] == 0:
                back.append(time.monotonic() - began)
            time.sleep(0.05)

    watching = threading.Thread(target=watch)
    watching.start()
    ended = session.run()
    verdict_to_end = (datetime.now(UTC) - ended.ended).total_seconds() if ended.ended else 99.0
    watching.join()
    assert (ended.state, ended.verdict, ended.settled) == (ROLLED_BACK, FAILURE, True)
    assert ended.reason.startswith("errors: ")
    assert verdict_to_end < 5
    print(f"back {back[0]:.1f} s after the first failure, {verdict_to_end:.2f} s after the verdict")
    assert back[0] < 30  # 1.5 failures a second: what it takes to be sure


def test_a_slow_version_is_taken_back(setup: Setup, traffic: Traffic, tmp_path: Path) -> None:
    behaviour = {"ms": 10, "sigma": 0.3}
    setup.behave(**behaviour)
    versions.control(setup.server.grpc, versions={1: behaviour, 2: {"ms": 20, "sigma": 0.3}})
    traffic(setup.proxy, 150)
    session = deliver.started(Keeper(tmp_path / "taxi"), 1, 2, setup.settings(25, seconds=60))
    ended = session.run()
    assert ended.state == ROLLED_BACK
    assert ended.reason.startswith("latency: ")


def test_a_restarted_proxy_gets_its_weights_again(server: Running, traffic: Traffic, tmp_path: Path) -> None:
    """And while it is away, that is told, and nothing is decided."""
    port = free_port()
    admin = f"http://127.0.0.1:{port}"
    keeper = Keeper(tmp_path / "taxi")
    with proxy(tmp_path / "first", server, "--admin-port", port) as first:
        setup = Setup(server, first.grpc, admin)
        session = deliver.started(keeper, 1, 2, setup.settings(20, seconds=60, silence="1s"))
        until(session, lambda rollout: rollout.since)
        assert shares(admin)["canary"] == 20
    away = until(session, lambda rollout: rollout.state == PAUSED)
    assert away.trouble.startswith(f"the proxy's admin API at {admin} does not answer")
    assert away.reason == away.trouble
    with proxy(tmp_path / "second", server, "--admin-port", port) as second:
        traffic(second.grpc, 100)
        until(session, lambda rollout: not rollout.trouble)
        assert shares(admin) == {"stable": 80.0, "canary": 20.0}
        again = until(session, lambda rollout: rollout.state != PAUSED)
        assert again.step == 0


def test_a_second_rollout_of_a_model_is_refused(setup: Setup, tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "taxi")
    deliver.started(keeper, 1, 2, setup.settings(20), id="one")
    with pytest.raises(UserError, match="version 2 of 'taxi' is being rolled out since") as refused:
        deliver.started(keeper, 1, 3, setup.settings(20))
    assert "taxiway rollout abort taxi" in refused.value.fix
    assert deliver.started(keeper, 1, 2, setup.settings(20), id="one").rollout.id == "one"
    with keeper.alone(), pytest.raises(UserError, match="another process runs the rollout"), keeper.alone():
        pass


def test_a_version_that_does_not_answer_gets_no_traffic(setup: Setup, tmp_path: Path) -> None:
    versions.control(setup.server.grpc, labels={"stable": 1})
    session = deliver.started(Keeper(tmp_path / "taxi"), 1, 2, setup.settings(20))
    waiting = session.tick(datetime.now(UTC))
    assert waiting.state == "waiting" and shares(setup.admin)["canary"] == 0
    assert "version 2 does not answer yet at the target 'canary' of 'taxi' (there is no version)" in waiting.trouble
    versions.control(setup.server.grpc, labels={"stable": 1, "canary": 2})
    assert session.tick(datetime.now(UTC)).state == "running"
    assert shares(setup.admin)["canary"] == 20


def test_an_approval_is_taken_in(setup: Setup, traffic: Traffic, tmp_path: Path) -> None:
    traffic(setup.proxy, 100)
    keeper = Keeper(tmp_path / "taxi")
    given = setup.settings(20)
    given["steps"][0]["approval"] = True
    session = deliver.started(keeper, 1, 2, given)
    waiting = until(session, lambda rollout: rollout.state == PAUSED)
    assert waiting.reason == "waits for a person's approval at 20 %"
    keeper.say(APPROVE, "ana", "fine", datetime.now(UTC))
    ended = until(session, lambda rollout: rollout.settled)
    assert ended.state == PROMOTED
    assert [(each.by, each.reason, each.step) for each in ended.approvals] == [("ana", "fine", 0)]


def test_unknown_targets_are_refused_before_anything_begins(setup: Setup, tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "taxi")
    with pytest.raises(UserError, match="the proxy has no target 'dark' of 'taxi'"):
        deliver.started(keeper, 1, 2, setup.settings(20, challenger="dark"))
    assert keeper.load() is None
    assert RouteWeights((setup.admin,), "taxi", "stable", "canary").read() == 0


def test_a_failing_shadow_gets_no_traffic(server: Running, traffic: Traffic, tmp_path: Path) -> None:
    with proxy(tmp_path / "proxy", server, "--admin-port", 0, "--shadow", "canary") as started:
        setup = Setup(server, started.grpc, f"http://{started.addresses[2]}")
        setup.behave(fail=0.3)
        traffic(setup.proxy, 150)
        seen = list[float]()
        given = setup.settings(0, 50, seconds=30, strategy="shadow")
        session = deliver.started(
            Keeper(tmp_path / "taxi"), 1, 2, given, told=lambda rollout: seen.append(shares(setup.admin)["canary"])
        )
        ended = session.run()
        assert (ended.state, ended.step) == (ROLLED_BACK, 0)
        assert ended.reason.startswith("errors: ") and set(seen) == {0.0}
        setup.behave(fail=0.0)
        sound = deliver.started(Keeper(tmp_path / "taxi"), 1, 2, {**given, "steps": setup.settings(0, 50)["steps"]})
        assert sound.run().state == PROMOTED


def test_blue_green_compares_with_what_was_before_the_switch(server: Running, traffic: Traffic, tmp_path: Path) -> None:
    """Blue and green are two servers in earnest; one with two labels is enough to switch.

    Latencies before and after depend on what else the machine does.
    """
    with proxy(tmp_path / "proxy", server) as started:
        setup = Setup(server, started.grpc, f"http://{started.addresses[2]}")
        traffic(setup.proxy, 200)
        given = setup.settings(strategy="blue-green", guardrails={"latency": False})
        steps = [{"weight": 0, "least_time": "3s", "least_requests": 300}, {"weight": 100, "least_time": "4s"}]
        given["steps"] = [steps[0], {**steps[1], "least_requests": 300}]
        sound = deliver.started(Keeper(tmp_path / "taxi"), 1, 2, given)
        ended = sound.run()
        assert ended.state == PROMOTED and shares(setup.admin)["canary"] == 100
        RouteWeights((setup.admin,), "taxi", "stable", "canary").write(0)
        setup.behave(fail=0.1)
        given["steps"][1]["least_time"] = "30s"
        failing = deliver.started(Keeper(tmp_path / "taxi"), 1, 2, given)
        assert failing.run().state == ROLLED_BACK
        assert shares(setup.admin) == {"stable": 100.0, "canary": 0.0}
        setup.behave(fail=0.0)
