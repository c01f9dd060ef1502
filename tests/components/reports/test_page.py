"""Pages: their structure, their security policy, and the escaping of untrusted text."""

import subprocess
import sys
from pathlib import Path

import pytest
from markupsafe import Markup

from components.reports import figures, markup
from components.reports.page import Section, render
from components.reports.parts import badge, block, facts, fold, notice, tiles
from components.reports.tables import Cell, Column, table
from tests.components.reports.parsed import HOSTILE, require_safe

HEAVY = {"tensorflow", "pandas", "numpy", "pyarrow", "kfp", "grpc", "tensorflow_data_validation"}


def test_a_page_lists_its_sections_in_order() -> None:
    sections = [Section("one", "The first", Markup("<p>a</p>"), "In short."), Section("two", "The second", Markup())]
    page = require_safe(render("A run", sections, subtitle="of today"))
    assert page.headings == [1, 2, 2]
    assert [link["href"] for link in page.all("a")] == ["#content", "#one", "#two"]
    assert "A run of today The first The second The first In short. a The second" in page.text


@pytest.mark.parametrize("name", HOSTILE)
def test_everything_shown_is_escaped(name: str) -> None:
    parts = [
        badge(name, "bad"),
        notice(name, "warn", name),
        facts([(name, name)]),
        tiles([(name, name, name)]),
        fold(name, block(name)),
        table(name, [name, Column("n", hint=name)], [[name, Cell(name, sort=name)]], is_searchable=True),
    ]
    page = require_safe(render(name, [Section("x", name, markup.join(parts), name)], subtitle=name))
    assert len(page.all("script")) == 1
    shown = " ".join(markup.visible(name).split())
    assert page.text.count(shown) >= 14
    assert page.tables[shown].rows == [[shown, shown]]


def test_terminal_colours_are_removed_and_hidden_characters_made_visible() -> None:
    assert markup.visible("\x1b[1;31mred\x1b[0m \x1b]8;;http://a\x07link") == "red link"
    assert markup.visible("a\u202eb\x00c\u2066\ud800") == "a\\u202eb\\u0000c\\u2066\\ud800"
    assert markup.visible("line\n\tnext ü 列 👩‍🔬") == "line\n\tnext ü 列 👩‍🔬"


def test_a_table_has_a_caption_headers_and_sort_values() -> None:
    page = require_safe(
        render("t", [Section("s", "S", table("T", ["a", Column("n", True)], [["x", 1234.5], ["y", None]]))])
    )
    assert page.tables["T"].rows == [["x", "1,234"], ["y", "–"]]
    assert [each.get("scope") for each in page.all("th")] == ["col", "col", "row", "row"]
    assert [each.get("data-sort") for each in page.all("td")] == ["1234.5", ""]
    assert "data-sortable" in page.all("table")[0]
    assert "data-searchable" not in page.all("table")[0]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (0.0, "0"), (1234567, "1,234,567"), (0.95491, "0.9549"), (12.346, "12.35"), (-3.5, "−3.5"),
        (-4, "−4"), (0.00123456, "0.001235"), (1e-5, "1.00e-05"), (1e20, "1.00e+20"), (123456.7, "123,457"),
        (float("nan"), "NaN"), (float("-inf"), "−∞"), (None, "–"), (999.96, "1,000"),
    ],
)  # fmt: skip
def test_numbers_are_formatted_for_people(value: float | None, shown: str) -> None:
    assert figures.number(value) == shown


def test_sizes_durations_and_shares_are_formatted_for_people() -> None:
    assert [figures.duration(each) for each in (0, 0.02, 54.97, 125, 4320)] == [
        "0.0 s",
        "20 ms",
        "55.0 s",
        "2 min 5 s",
        "1 h 12 min",
    ]
    assert [figures.size(each) for each in (0, 999, 1234, 4.5e6, 1e18)] == [
        "0 B",
        "999 B",
        "1.2 kB",
        "4.5 MB",
        "1,000 PB",
    ]
    assert [figures.percent(each) for each in (0, 0.0001, 0.1234, 0.9999, 1, None)] == [
        "0 %",
        "<0.1 %",
        "12.3 %",
        ">99.9 %",
        "100 %",
        "–",
    ]
    assert [figures.signed(each) for each in (0.5, -0.5, 0)] == ["+0.5", "−0.5", "±0"]


def test_reports_import_nothing_heavy() -> None:
    """Reports will run in stages with small images."""
    code = "import sys, components.reports.artifacts; print(*{name.split('.')[0] for name in sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(result.stdout.split()) & HEAVY == set()


def test_the_style_has_enough_contrast() -> None:
    """Text has a contrast of at least 4.5:1, chart lines at least 3:1, in light and dark mode."""
    css = (Path(markup.__file__).parent / "templates/page.css").read_text()
    light, dark = (dict(_colours(block)) for block in css.split("@media screen and (prefers-color-scheme: dark)")[:2])
    for theme in (light, {**light, **dark}):
        for text in ("ink", "quiet", "link"):
            assert min(_contrast(theme[text], theme[ground]) for ground in ("bg", "panel")) >= 4.5, text
        for kind in ("good", "bad", "warn", "info"):
            assert min(_contrast(theme[kind], theme[f"{kind}-bg"]), _contrast(theme[kind], theme["bg"])) >= 4.5, kind
        assert min(_contrast(theme["ink"], theme["mark"]), _contrast(theme["quiet"], theme["mark"])) >= 4.5
        assert min(_contrast(theme[f"s{number}"], theme["bg"]) for number in range(8)) >= 3


def _colours(css: str) -> list[tuple[str, str]]:
    root = css[css.index(":root") :].split("}")[0]
    return [
        (name.strip().removeprefix("--"), value.strip())
        for name, _, value in (p.partition(":") for p in root.split("{")[1].split(";"))
        if "#" in value
    ]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
