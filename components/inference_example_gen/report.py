"""What reports show of examples from the tables of a served model: which rows became examples, and which did not."""

import json
from collections.abc import Iterator

from components.contract.artifacts import Artifact, Examples, split_names
from components.reports.artifacts import Sections
from components.reports.charts import bars
from components.reports.figures import moment, number, percent
from components.reports.markup import Content
from components.reports.page import Section
from components.reports.parts import code, facts, stack, tiles
from components.reports.readers import records

_LEFT_OUT = {
    "rows_failed": "failed requests",
    "rows_duplicates": "further answers to the same row",
    "rows_without_label": "without a label",
}


def _rows(examples: Artifact) -> Section | None:
    metadata = examples.metadata
    if "new_rows" not in metadata:
        return None  # other stages make examples too
    new = json.loads(metadata["new_rows"])
    splits = {name: int(new[name]) for name in split_names(examples) if name in new}
    figures = [("Rows in the window", number(int(metadata["rows_requests"])), "")]
    figures += [(f"New in {name}", number(count), "") for name, count in splits.items()]
    left = [(words, float(metadata[name])) for name, words in _LEFT_OUT.items()]
    picture = bars([("examples", float(sum(splits.values()))), *left], title="What became of the rows")
    return Section("rows", "Requests that became examples", stack(tiles(figures), facts(_facts(examples)), picture), "")


def _facts(examples: Artifact) -> Iterator[tuple[Content, Content]]:
    data = records.own(examples).get("data") or {}
    yield "Tables", code(str(data.get("path", "")))
    yield "Versions", code(str(data.get("revision", "")))
    yield "Window", " to ".join(moment(str(each)) for each in data.get("window", []))
    low, high = (records.figure(examples, name) for name in ("share_low", "share_high"))
    yield "Recorded share of requests", percent(low) if low == high else f"{percent(low)} to {percent(high)}"


SECTIONS: Sections = [(Examples, lambda examples, _: _rows(examples))]
