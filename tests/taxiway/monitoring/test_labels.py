"""`taxiway labels`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.contract.errors import UserError
from taxiway import cli


def labels(*arguments: str) -> str:
    done = CliRunner().invoke(cli.app, ["labels", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_labels_are_added_and_shown(tmp_path: Path) -> None:
    source = tmp_path / "l.csv"
    source.write_text("trip,paid,tips\n007,1,2.5\n008,,\n")
    options = ("--tables", str(tmp_path / "tables"))
    said = labels("add", "taxi", str(source), "--id", "trip", "--label", "tips", *options)
    assert "1 of 2 labels added\n1 lack an id, a key, a time or an outcome" in said
    assert "1 were there already" in labels("add", "taxi", str(source), "--id", "trip", "--label", "tips", *options)
    assert "1 labelled request ids are not in the inference table" in labels("show", "taxi", *options)


def test_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column 'trip'"):
        labels("add", "taxi", "SELECT 1 AS tips", "--id", "trip", "--tables", str(tmp_path))
