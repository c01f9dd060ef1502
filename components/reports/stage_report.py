"""The report that a stage leaves beside its other outputs: a page with the sections about each of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.contract import files
from components.contract.artifacts import Artifact
from components.contract.declaration import Stage
from components.execution.executor import WriteReport
from components.reports import artifacts, guarded
from components.reports.figures import short_digest
from components.reports.page import Section, render
from components.reports.ran import Ran


def writer(stage: Stage) -> WriteReport:
    """Writes the report of a stage that has one."""

    def write(file: Path, inputs: Mapping[str, Artifact], outputs: Mapping[str, Artifact]) -> None:
        files.write(file, page(stage, inputs, outputs))

    return write


def page(stage: Stage, inputs: Mapping[str, Artifact], outputs: Mapping[str, Artifact]) -> str:
    """The page about a call that has just ended. Equal outputs give equal pages: it has no time of day."""
    sections = guarded.with_unique_ids(_sections(stage.name, inputs, outputs))
    digests = " · ".join(
        f"{name} {short_digest(str(each.metadata.get('digest', '')))}" for name, each in outputs.items()
    )
    return render(stage.component, sections, subtitle=digests)


def _sections(name: str, inputs: Mapping[str, Artifact], outputs: Mapping[str, Artifact]) -> Iterator[Section]:
    ran = Ran(list(outputs.values()), inputs=inputs, has_just_ended=True)
    for kind, renderer in artifacts.of_stage(name):
        for output, artifact in outputs.items():
            if isinstance(artifact, kind):
                section = guarded.made(output, output, lambda each=artifact, render=renderer: render(each, ran), _warn)  # type: ignore[misc]
                yield from [section] if section else []


def _warn(words: str) -> None:
    print(f"warning: {words}", file=sys.stderr, flush=True)
