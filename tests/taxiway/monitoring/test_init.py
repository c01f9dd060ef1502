"""`taxiway monitor init`: the file says what was found, and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from components.inference import table
from components.monitoring.passes.settings import Settings
from taxiway.monitoring.init import settings_file
from taxiway.monitoring.monitor import Monitor
from taxiway.monitoring.settings import Settings as All
from taxiway.monitoring.settings import load
from tests.components.monitoring.passes.watched import HOUR, START, Watched, columns, recorded, spread


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / "home"))
    rows = recorded(spread(START, 4000), columns(4000))
    for name, values in (("output_label", ["yes"] * 4000), ("output_score", [0.5] * 4000)):
        rows = rows.append_column(name, pa.array(values))
    table.append(str(tmp_path / "taxi"), rows)
    file = tmp_path / "monitor.yaml"
    file.write_text(settings_file(Monitor("taxi", str(tmp_path), All(), None)))
    return file


def test_the_file_says_what_was_found(written: Path) -> None:
    text = written.read_text()
    for words in (
        "miles, company",
        "# outputs: label, score",
        "with numbers,\n# here score.",
        "so far: 15m, which has",
    ):
        assert words in text, words
    assert max(map(len, text.splitlines())) <= 120


def test_every_setting_has_a_comment_and_its_default(written: Path) -> None:
    given = yaml.safe_load(written.read_text())
    assert given.keys() == {*vars(Settings())}
    lines = written.read_text().splitlines()
    settings = [number for number, line in enumerate(lines) if line[:1].isalpha()]
    assert all(lines[number - 1].startswith("#") for number in settings)
    found = load(written).watched
    assert replace(found, floors={}) == Settings()
    assert (found.calibration(), found.alarms) == (Settings().calibration(), Settings().alarms)


def test_the_file_gives_the_same_results_as_none(written: Path, tmp_path: Path) -> None:
    tables = []
    for name, settings in (("with", load(written).watched), ("without", Settings())):
        watched = Watched(tmp_path / name, settings)
        for hour in range(3):
            watched.add(spread(START + hour * HOUR, 500), columns(500, hour, shift=0.4 * (hour == 2)))
        watched.pass_over(START + 4 * HOUR)
        read = [watched.store.read(each) for each in ("profile", "drift", "signals", "alarms")]
        tables.append(
            [rows.drop_columns([n for n in ("computed", "changed") if n in rows.schema.names]) for rows in read]
        )
    assert any(rows.num_rows for rows in tables[0])
    # As text, for NaN is not equal to itself.
    for first, second in zip(*tables, strict=True):
        assert sorted(map(repr, first.to_pylist())) == sorted(map(repr, second.to_pylist()))
    assert any(row["state"] == "open" for row in tables[0][3].to_pylist())
