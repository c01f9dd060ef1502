"""Each part of the monitor's benchmark with a few windows, and what becomes of its figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.monitoring import __main__ as command
from benchmarks.monitoring import best, levels, peers, power, speed, streams
from benchmarks.monitoring.figures import interval

Figure = dict[str, Any]


@pytest.fixture(autouse=True)
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No peer has an environment, as on a machine without a network."""

    def none(peer: str) -> str:
        raise RuntimeError(f"{peer}: no network")

    monkeypatch.setattr(peers, "OUT", tmp_path)
    monkeypatch.setattr(peers, "python_of", none)
    return tmp_path


def _parts(monkeypatch: pytest.MonkeyPatch, **parts: list[Figure] | Exception) -> None:
    def figures(found: list[Figure] | Exception) -> Iterator[Figure]:
        if isinstance(found, Exception):
            raise found
        yield from found

    monkeypatch.setattr(command, "_parts", lambda given: {n: lambda f=f: figures(f) for n, f in parts.items()})


def test_a_part_that_fails_ends_no_other_and_keeps_its_last_figures(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, later = {"part": "power", "power": 0.8}, {"part": "clean", "signal": 0.04}
    _parts(monkeypatch, power=[first], clean=[later])
    assert command.main(["--parts", "power"]) == 0
    _parts(monkeypatch, power=ValueError("no windows"), clean=[later])
    assert command.main(["--parts", "power,clean"]) == 1
    assert "power failed" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert [(each["part"], each.get("power"), each.get("signal")) for each in report if "day" not in each] == [
        ("clean", None, 0.04),
        ("power", 0.8, None),
    ]
    assert [each["part"] for each in report if "day" in each] == ["clean", "power"]


def test_unknown_parts_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--parts", "clean,fast"])
    assert "the parts are clean, power, streams, peers, speed" in capsys.readouterr().err


def test_clean_windows() -> None:
    sizes = (50, 200)
    outcomes = np.stack([levels.found("taxi", number, 3, sizes) for number in range(2)])
    figures = list(levels.figures("taxi", sizes, outcomes))
    assert [(each["rows"], each["windows"], each["references"]) for each in figures] == [(50, 6, 2), (200, 6, 2)]
    assert all(each["below_1_percent"] <= each["below_5_percent"] for each in figures)


def test_windows_of_a_reference_that_are_alike_count_as_one() -> None:
    hits = np.zeros((100, 1, 10, 3), dtype=bool)
    hits[:5] = True
    figure = next(levels.figures("taxi", (50,), hits))
    assert (figure["signal"], figure["windows"], figure["references"]) == (0.05, 1000, 100)
    assert figure["signal_interval"] == "1.6 to 11.3 %"


def test_intervals() -> None:
    assert interval(0, 1000) == "0.0 to 0.4 %"
    assert interval(50, 1000) == "3.7 to 6.5 %"
    assert interval(3, 3) == "29.2 to 100.0 %"


def test_power_stands_beside_the_best_that_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(best, "of_share", lambda before, after, *others: round(after - before, 3))
    figures = {each["change"]: each for each in power._measured((17, 10_000), 2)}
    assert figures["unit: km for miles"]["best"] is None
    assert figures["shift of 0.15 sd"]["best"] == 0.94
    assert figures["a new category of 1 %"]["power"] == 1
    assert figures["5 points more than 10%"]["best"] == 0.05
    assert figures["2 % more missing than 1.0%"]["best"] == 0.02
    assert len(figures) == 13
    assert all(each["windows"] == 2 for each in figures.values())


def test_the_best_test_of_a_share_is_fishers() -> None:
    """It has all of its level where nothing changes, on one of its two sides."""
    half = best.level(1, 0.05) / 2
    assert best.of_share(0.5, 0.5, 1000, 10_000, 1) == pytest.approx(half, rel=0.1)
    assert best.of_share(0.02, 0.07, 1000, 10_000, 17) > 0.999
    assert 0.45 < best.of_share(0.5, 0.55, 1000, 10_000, 17) < 0.55


def test_streams_without_river(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("REFERENCE_ROWS", 2_000), ("BEFORE", 1), ("AFTER", 2)):
        monkeypatch.setattr(streams, name, value)
    figures = list(streams.measured(1, 2))
    assert [each.get("clean_windows") for each in figures[:2]] == [2, 2]
    assert figures[6]["change"].endswith("shifted by 1 sd")
    assert figures[6]["mean_windows"] == 1
    assert figures[-1] == {"part": "streams", "system": "river", "skipped": "river: no network"}


def test_a_stream_whose_meaning_changes_is_found() -> None:
    chance = np.random.default_rng(1)
    rows = streams._TRAINED + streams.REFERENCE_ROWS + 4 * streams.ROWS
    features = chance.random((rows, 3))
    label = features[:, 0] > 0.5
    label[-2 * streams.ROWS :] = features[-2 * streams.ROWS :, 1] > 0.5
    figure = streams._of_kind("swapped", np.column_stack([features, label])[None], 2)
    assert (figure["found"], figure["mean_windows"]) == (1, 1)
    assert (figure["clean_windows"], figure["false_alarms"]) == (2, 0)
    assert figure["windows_between_false_alarms"] == "more than 2"


def test_peers_that_cannot_be_installed_are_skipped(out: Path) -> None:
    figures = list(peers.measured(2, (200,)))
    assert [(each["system"], each.get("windows")) for each in figures] == [
        ("taxiway", 2),
        ("taxiway", 2),
        ("evidently", None),
        ("nannyml", None),
    ]
    assert figures[-1]["skipped"] == "nannyml: no network"
    assert not list(out.iterdir())


def test_a_peer_that_needs_an_older_python_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(peers, "OUT", tmp_path)
    monkeypatch.setitem(peers._OLDER, "nannyml", ("python0.1", "python0.2"))
    with pytest.raises(RuntimeError, match=r"no python0\.1 or python0\.2 on this machine"):
        peers.python_of("nannyml")


def test_speed_without_evidently(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "TRAINING_ROWS", 1_000)
    figures = list(speed.measured([], [(3_000, 18)]))
    assert [each["system"] for each in figures] == ["taxiway", "evidently"]
    assert (figures[0]["rows"], figures[0]["columns"]) == (3_000, 18)
    assert figures[0]["rows_per_s"] > 0
    assert 0 <= figures[0]["window_mb"] < figures[0]["peak_mb"]
    assert figures[1]["skipped"] == "evidently: no network"
    assert not list(out.iterdir())


def test_sizes_for_which_the_disk_is_too_small_are_skipped(out: Path) -> None:
    figures = list(speed.measured([(10**12, 1_000)], []))
    assert "GB on the disk" in figures[0]["skipped"]
    assert not list(out.iterdir())
