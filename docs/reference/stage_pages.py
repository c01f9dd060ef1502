"""Generates `stages/` from the stages' functions: `make docs-pages`.

A page has the docstring and signature of the stage's function; the notes below the tables are the rest of its module's
docstring.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import docstring_parser

from components.contract.artifacts import TYPES, Artifact
from components.contract.signature import Port
from components.execution import stages

FOLDER = Path(__file__).parent / "stages"


def index() -> str:
    """The index: the stages, and the types of artifacts."""
    listed = [
        f"| [{each.name}]({each.name}.md) | `{each.component}` | {_title(each.name)} |" for each in stages.in_order()
    ]
    artifacts = [f"| {name} | {inspect.getdoc(kind)} | {_kubeflow_type(kind)} |" for name, kind in TYPES.items()]
    return "\n".join(
        [
            "# Stages",
            "",
            "Each stage is a Kubeflow container component. These pages are generated from the stages' docstrings and",
            "signatures (`make docs-pages`); a test compares them.",
            "",
            "| stage | in pipelines | what it does |",
            "| --- | --- | --- |",
            *listed,
            "",
            "## Artifacts",
            "",
            "The types and layouts are those of TFX 1.21; `ModelMonitoring` and `Report` are Taxiway's own.",
            "",
            "| type | contents of its folder | in Kubeflow |",
            "| --- | --- | --- |",
            *artifacts,
            "",
        ]
    )


def page(stage: str) -> str:
    """The page of one stage, in Markdown."""
    function = stages.load(stage).function
    parsed = docstring_parser.parse(function.__doc__ or "")
    described = {param.arg_name: " ".join((param.description or "").split()) for param in parsed.params}
    interface = stages.load(stage).ports
    title, _, notes = _module_doc(stage).partition("\n")
    parts = [
        f"# {title.rstrip('.')}",
        parsed.short_description or "",
        inspect.cleandoc(parsed.long_description or ""),
        _table("Inputs", [p for p in interface if p.direction == "input" and p.kind], described),
        _table("Parameters", [p for p in interface if p.direction == "input" and not p.kind], described),
        _table("Outputs", [p for p in interface if p.direction == "output"], described),
        _headed(notes.strip()),
        f"Source: [`components/{stage}/stage.py`](../../../components/{stage}/stage.py); compiled component: "
        f"[`component.yaml`](../../../components/{stage}/component.yaml).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _headed(notes: str) -> str:
    return f"## Notes\n\n{notes}" if notes and not notes.startswith("#") else notes


def _title(stage: str) -> str:
    return _module_doc(stage).partition("\n")[0].partition(": ")[2].rstrip(".")


def _module_doc(stage: str) -> str:
    return inspect.getdoc(inspect.getmodule(stages.load(stage).function)) or ""


def _kubeflow_type(kind: type[Artifact]) -> str:
    return f"`{kind.schema_title}`"


def _table(title: str, listed: list[Port], described: dict[str, str]) -> str:
    if not listed:
        return ""
    columns = ["name", "type", "default", "description"]
    rows = [
        [f"`{port.name}`", _type(port), _default(port), described.get(port.name, port.description)] for port in listed
    ]
    lines = [columns, ["---"] * len(columns), *rows]
    if listed[0].direction == "output":
        lines = [line[:2] + line[3:] for line in lines]
    return "\n".join([f"## {title}", "", *(f"| {' | '.join(line)} |" for line in lines)])


def _type(port: Port) -> str:
    return port.kind.__name__ if port.kind else port.type.__name__


def _default(port: Port) -> str:
    if port.required:
        return "required"
    return "none" if port.default is None else f"`{json.dumps(port.default)}`"


def main() -> None:
    """Writes every page."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "README.md").write_text(index())
    for stage in stages.names():
        (FOLDER / f"{stage}.md").write_text(page(stage))


if __name__ == "__main__":
    main()
