"""What reports show of examples from the tables of a served model: which rows became examples, and which did not."""

import json

from components.contract.artifacts import Artifact, Examples
from components.reports.artifacts import Sections
from components.reports.charts import bars
from components.reports.figures import number
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
    splits = {name: int(count) for name, count in json.loads(metadata["new_rows"]).items()}
    figures = [("Rows in the window", number(int(metadata["rows_requests"])), "")]
    figures += [(f"New in {name}", number(count), "") for name, count in splits.items()]
    left = [(words, float(metadata[name])) for name, words in _LEFT_OUT.items()]
    data = records.own(examples).get("data") or {}
    where = [("Tables", code(str(data.get("path", "")))), ("Versions", code(str(data.get("revision", ""))))]
    where.append(("Window", " to ".join(map(str, data.get("window", [])))))
    picture = bars([("examples", float(sum(splits.values()))), *left], title="What became of the rows")
    return Section("rows", "Requests that became examples", stack(tiles(figures), facts(where), picture), "")


SECTIONS: Sections = [(Examples, lambda examples, _: _rows(examples))]
