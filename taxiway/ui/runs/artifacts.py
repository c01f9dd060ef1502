"""The page of an artifact: what it is, its report, its files, and what it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from components.contract.artifacts import Artifact
from components.execution.provenance import Record
from components.reports.figures import counted, size
from components.reports.markup import Content, tag
from components.reports.model import lineage_picture
from components.reports.page import Section
from components.reports.parts import code, facts, notice, paragraph, stack
from components.reports.tables import Cell, Column, table
from taxiway.lineage import chain
from taxiway.lineage.lookup import displayed
from taxiway.reports import changes, overview
from taxiway.reports import report as reports
from taxiway.reports.run import RecordedRun
from taxiway.reports.values import shortened
from taxiway.ui.runs import artifact_files
from taxiway.ui.views import Asked, Json, MissingError, Site, View, address

_MOST_FILES = 500
_HIDDEN = ("provenance", "provenance_chain", "source_provenance")
_SHOWN_INSIDE = ("text/html",)
_PICTURES = "image/"


def show(site: Site, asked: Asked) -> View:
    """An output of a task."""
    recorded = site.read(asked.path["run"])
    task, output = asked.path["task"], asked.path["output"]
    artifact = artifact_files.artifact_of(recorded, task, output)
    title = artifact_files.schema_title(recorded, task, output)
    crumbs = [("Runs", "/runs"), (recorded.run.id, address("runs", recorded.run.id))]
    return View(
        f"{output} of {task}",
        lambda: _sections(recorded, task, output, site=site),
        lambda: _document(artifact, title, site),
        subtitle=title if type(artifact) is Artifact else artifact.type_name,
        crumbs=crumbs,
        actions=_actions(artifact),
    )


def _actions(artifact: Artifact) -> Content:
    digest = str(artifact.metadata.get("digest", ""))
    return tag("a", "Lineage, both ways", class_="button", href=address("lineage", of=digest)) if digest else ""


def _document(artifact: Artifact, title: str, site: Site) -> Json:
    return {
        "type": artifact.type_name,
        "schema_title": title,
        "digest": artifact.metadata.get("digest", ""),
        "uri": artifact.uri,
        "metadata": {name: value for name, value in artifact.metadata.items() if name not in _HIDDEN},
        "files": [{"path": path, "size": bytes_} for path, bytes_ in _files(artifact, site)],
        "lineage": _records(artifact, site),
    }


def _sections(recorded: RecordedRun, task: str, output: str, *, site: Site) -> list[Section]:
    artifact = artifact_files.artifact_of(recorded, task, output)
    place = address("runs", recorded.run.id, "files", task, output)
    files = _files(artifact, site)
    own = [Section("about", "About", stack(facts(_facts(artifact)), _metadata(artifact)))]
    shown = [*_inside(files, artifact_files.schema_title(recorded, task, output), place)]
    is_here = _is_here(artifact, site)
    sections = reports.of_artifact(recorded, site.home, task, output, warn=lambda _: None) if is_here else []
    lineage = lineage_picture.section(_records(artifact, site), title="What it was made from")
    return [*own, *shown, *(each for each in sections if each.id != "lineage"), lineage, _listed(files, place)]


def _facts(artifact: Artifact) -> Iterator[tuple[Content, Content]]:
    yield "Digest", code(str(artifact.metadata.get("digest", "")) or "not known")
    yield "Place", code(displayed(str(artifact.path)))
    if (bytes_ := overview.size_of(artifact.path)) is not None:
        yield "Size", size(bytes_)


def _metadata(artifact: Artifact) -> Content:
    rows = [
        [name, shortened(changes.text(value))]
        for name, value in artifact.metadata.items()
        if name not in (*_HIDDEN, "digest")
    ]
    return table("Metadata", ["Name", "Value"], rows) if rows else None


def _inside(files: list[tuple[str, int]], title: str, place: str) -> Iterator[Section]:
    """HTML and pictures that a stage wrote, in frames in which no script runs but that of our reports."""
    for path, _ in files:
        kind = artifact_files.kind_of(Path(path), title)
        source = _address(place, path)
        if kind in _SHOWN_INSIDE:
            frame = tag("iframe", src=source, sandbox=artifact_files.SANDBOX, title=path or "Content", loading="lazy")
            yield Section("content", path or "Content", stack(frame, paragraph(tag("a", "By itself", href=source))))
        elif kind.startswith(_PICTURES) and len(files) == 1:
            yield Section("content", path or "Content", tag("img", src=source, alt=path or "The artifact's picture"))


def _listed(files: list[tuple[str, int]], place: str) -> Section:
    if not files:
        return Section("files", "Files", notice("They are gone, or are not on this machine.", "warn"))
    rows = [
        [tag("a", path or "the file", href=_address(place, path)), Cell(size(bytes_), bytes_)] for path, bytes_ in files
    ]
    more = "Only the first are listed." if len(files) == _MOST_FILES else ""
    return Section("files", "Files", _table(rows), more or counted(len(files), "file"))


def _table(rows: list[list[Content]]) -> Markup:
    return table(f"Files ({len(rows)})", ["Path", Column("Size", True)], rows, hide_caption=True)


def _address(place: str, path: str) -> str:
    return f"{place}{address(*path.split('/'))}" if path else place


def _files(artifact: Artifact, site: Site) -> list[tuple[str, int]]:
    try:
        return artifact_files.listed(site.home.artifacts, artifact.path, _MOST_FILES)
    except MissingError:
        return []


def _records(artifact: Artifact, site: Site) -> list[Record]:
    """What the artifact was made from: by the lineage store, else by its own files; at least its own record."""
    own, digest = artifact.metadata.get("provenance"), str(artifact.metadata.get("digest", ""))
    try:
        with site.lineage() as store:
            return chain.trace(str(artifact.path) if _is_here(artifact, site) else digest, store=store).records
    except Exception:
        # The store and the files are others': whatever is wrong with them, the artifact's own metadata has a record.
        return [json.loads(own)] if own else []


def _is_here(artifact: Artifact, site: Site) -> bool:
    """Whether it is among the artifacts: a record may name any folder of this machine."""
    try:
        return bool(artifact_files.found(site.home.artifacts, artifact.path, ""))
    except MissingError:
        return False
