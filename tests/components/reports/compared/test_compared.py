"""Artifacts of several runs together: curves, slices, statistics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.contract.artifacts import TYPES, ExampleStatistics, ModelEvaluation, ModelRun
from components.reports.compared import curves, slices, statistics
from components.reports.compared.artifacts import COMPARERS
from components.reports.page import render
from tests.components.reports.model.evaluations import config, evaluation, sliced
from tests.components.reports.model.test_training import model_run, scalar
from tests.components.reports.parsed import HOSTILE, Page, require_safe

Statistics = statistics_pb2.DatasetFeatureStatisticsList


def _page(section: Any) -> Page:
    return require_safe(render("Runs", [section]))


def test_they_are_found_by_the_types_of_artifacts() -> None:
    assert {kind for kind, *_ in COMPARERS} <= set(TYPES)


# Curves


def _logged(folder: Path, *losses: float) -> ModelRun:
    events = [scalar("epoch_loss", step, loss) for step, loss in enumerate(losses)]
    return model_run(folder, train=events, validation=events[::-1])


def test_a_run_has_one_colour_and_its_held_out_rows_are_dashed(tmp_path: Path) -> None:
    found = curves.section([("A", _logged(tmp_path / "a", 3, 2, 1)), ("B", _logged(tmp_path / "b", 5, 4, 3))])
    assert found
    lines = re.findall(r'<g class="(s\d)"><path d="[^"]+" class="([^"]+)"', found.body)
    assert lines == [("s0", "stroke"), ("s0", "stroke dashed"), ("s1", "stroke"), ("s1", "stroke dashed")]
    legend = re.findall(r'<li class="(s\d)"><span class="(swatch[^"]*)"></span>([^<]+)', found.body)
    assert legend == [
        ("s0", "swatch", "A train"),
        ("s0", "swatch dashed", "A validation"),
        ("s1", "swatch", "B train"),
        ("s1", "swatch dashed", "B validation"),
    ]
    assert "loss by epoch" in _page(found).text


def test_a_run_without_curves_leaves_those_of_the_others(tmp_path: Path) -> None:
    other = _logged(tmp_path / "b", 5, 4, 3)
    found = curves.section([("A", _logged(tmp_path / "a", 3)), ("B", other), ("C", ModelRun(tmp_path / "none"))])
    assert found
    assert set(re.findall(r'<g class="(s\d)"><path', found.body)) == {"s0", "s1"}
    assert curves.section([("A", _logged(tmp_path / "c", 3)), ("B", ModelRun(tmp_path / "none"))]) is None


def test_a_ninth_run_is_left_out_and_the_page_says_so(tmp_path: Path) -> None:
    named = [(f"R{number}", _logged(tmp_path / str(number), 2, 1)) for number in range(9)]
    found = curves.section(named)
    assert found
    assert "Only of the first 8 runs" in _page(found).text
    assert "R8" not in found.body


# Slices


def _evaluated(folder: Path, whole: float, **by_kind: float) -> ModelEvaluation:
    parts = [sliced({"auc": value, "example_count": 50}, kind=kind) for kind, value in by_kind.items()]
    return evaluation(folder, [sliced({"auc": whole, "example_count": 100}), *parts], config())


def test_the_slice_that_differs_most_comes_first(tmp_path: Path) -> None:
    named = [
        ("A", _evaluated(tmp_path / "a", 0.9, cash=0.8, card=0.7, only=0.6)),
        ("B", _evaluated(tmp_path / "b", 0.95, cash=0.81, card=0.5)),
    ]
    found = slices.section(named)
    assert found
    page = _page(found)
    assert "Of 3 slices, kind: card differs most: by 0.2 in auc." in page.text
    table = page.tables["auc by slice"]
    assert table.heads == ["Slice", "Rows", "A", "B", "Difference"]
    assert table.rows == [
        ["all rows", "100", "0.9", "0.95", "+0.05"],
        ["kind: card", "50", "0.7", "0.5", "−0.2"],
        ["kind: cash", "50", "0.8", "0.81", "+0.01"],
        ["kind: only", "50", "0.6", "–", ""],
    ]


def test_of_more_than_two_runs_the_spread_is_shown(tmp_path: Path) -> None:
    named = [
        (name, _evaluated(tmp_path / name, value, cash=value)) for name, value in (("A", 0.5), ("B", 0.7), ("C", 1))
    ]
    found = slices.section(named)
    assert found
    assert _page(found).tables["auc by slice"].row("kind: cash")["Spread"] == "0.5"


def test_evaluations_without_slices_or_that_cannot_be_read(tmp_path: Path) -> None:
    whole = _evaluated(tmp_path / "a", 0.9)
    assert slices.section([("A", whole), ("B", whole)]) is None
    found = slices.section([("A", whole), ("B", ModelEvaluation(tmp_path / "none"))])
    assert found
    assert "The slices of B cannot be shown" in _page(found).text


# Statistics


def _data(folder: Path, *, shift: float = 0.0, cash: int = 50, digest: str = "") -> ExampleStatistics:
    buckets = "".join(
        f"buckets {{ low_value: {low + shift} high_value: {low + 10 + shift} sample_count: 25 }}"
        for low in (0, 10, 20, 30)
    )
    common = "common_stats { num_non_missing: 100 tot_num_values: 100 }"
    numbers = f"histograms {{ {buckets} type: STANDARD }} histograms {{ {buckets} type: QUANTILES }}"
    fare = f'path {{ step: "fare" }} type: FLOAT num_stats {{ {common} {numbers} median: {20 + shift} }}'
    values = f'buckets {{ label: "Cash" sample_count: {cash} }} buckets {{ label: "Card" sample_count: {100 - cash} }}'
    top = f'top_values {{ value: "Cash" frequency: {cash} }} top_values {{ value: "Card" frequency: {100 - cash} }}'
    texts = f"string_stats {{ {common} unique: 2 {top} rank_histogram {{ {values} }} }}"
    kind = f'path {{ step: "kind" }} type: STRING {texts}'
    text = f"datasets {{ num_examples: 100 features {{ {fare} }} features {{ {kind} }} }}"
    (folder / "Split-train").mkdir(parents=True)
    (folder / "Split-train/FeatureStats.pb").write_bytes(text_format.Parse(text, Statistics()).SerializeToString())
    return ExampleStatistics(folder, {"split_names": '["train"]', "digest": digest})


@pytest.mark.parametrize(
    ("shift", "cash", "distances"),
    [
        (0.0, 50, {"fare": "0", "kind": "0"}),
        (10.0, 50, {"fare": "0.25", "kind": "0"}),
        (400.0, 50, {"fare": "1", "kind": "0"}),
        (0.0, 80, {"fare": "0", "kind": "0.3"}),
    ],
)
def test_how_far_features_moved(tmp_path: Path, shift: float, cash: int, distances: dict[str, str]) -> None:
    found = statistics.section([("A", _data(tmp_path / "a")), ("B", _data(tmp_path / "b", shift=shift, cash=cash))])
    assert found
    table = _page(found).tables["What moved in train"]
    assert {row[0]: row[1] for row in table.rows} == distances
    assert table.row("fare")["Middle, last"] == f"{20 + shift:g}"


def test_equal_data_are_one(tmp_path: Path) -> None:
    same = [(name, _data(tmp_path / name, digest="sha256:1")) for name in "AB"]
    found = statistics.section(same)
    assert found
    assert "The statistics are the same" in _page(found).text
    moved = statistics.section([*same, ("C", _data(tmp_path / "c", cash=90, digest="sha256:2"))])
    assert moved
    page = _page(moved)
    assert "1 feature moved by more than 0.15: kind." in page.text
    assert "A, B · train" in page.text
    assert statistics.section(same[:1]) is None


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_strangers_stay_text(tmp_path: Path, name: str) -> None:
    name = name.encode(errors="replace").decode()
    parts = [sliced({"auc": 0.5, name: 0.1}, **{name: name}) for _ in range(2)]
    evaluated = [evaluation(tmp_path / side, [sliced({"auc": 0.5, name: 0.1}), parts[0]], config()) for side in "ab"]
    found = slices.section([(name, evaluated[0]), ("B", evaluated[1])])
    assert found
    _page(found)
    logged = model_run(tmp_path / "logs", train=[scalar(name, step, 1.0) for step in range(3)])
    drawn = curves.section([(name, logged), ("B", logged)])
    assert drawn
    _page(drawn)
