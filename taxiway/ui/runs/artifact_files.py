"""The files of artifacts: found without leaving the artifact, sent so that no browser runs anything in them."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from components.contract.artifacts import Artifact
from components.reports import page
from taxiway.reports.run import RecordedRun
from taxiway.ui.views import MissingError, Site

_CHUNK = 1 << 18
_TEXT = "text/plain"
_KINDS = {
    **dict.fromkeys((".txt", ".log", ".csv", ".tsv", ".pbtxt", ".yaml", ".yml", ".py", ".md", ".config"), _TEXT),
    ".json": "application/json",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_OF_TYPES = {"system.HTML": "text/html", "system.Markdown": _TEXT}
SANDBOX = "allow-scripts"
"""What frames may do. Never `allow-same-origin`: the file would belong to this server, and could drive it."""
HARMLESS = (
    f"sandbox {SANDBOX}; default-src 'none'; script-src {page.script_source()}; style-src 'unsafe-inline'; "
    "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
"""No script runs but that of our reports, nothing is loaded, and the file belongs to no site."""


def artifact_of(recorded: RecordedRun, task: str, output: str) -> Artifact:
    """An output of a task.

    Raises:
        MissingError: There is none of these names.
    """
    try:
        return recorded.run.tasks[task].outputs[output]
    except KeyError:
        raise MissingError(
            f"the run {recorded.run.id} has no output {output!r} of {task!r}", fix="follow a link on the run's page"
        ) from None


def schema_title(recorded: RecordedRun, task: str, output: str) -> str:
    """Kubeflow's name of an artifact's type; empty if it is not known."""
    described = recorded.manifests.get(task, {}).get("artifacts", {}).get(output) or [{}]
    return str((described[0].get("type") or {}).get("schemaTitle", ""))


def found(root: Path, artifact: Path, path: str) -> Path:
    """A file or folder in an artifact.

    Args:
        root: The folder of all artifacts.
        artifact: The artifact's path.
        path: The path in it; empty for itself.

    Raises:
        MissingError: There is none, or it is outside: by `..`, by a symbolic link, or because the artifact is.
    """
    try:
        base = artifact.resolve(strict=True)
        place = (base / path).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        raise MissingError(f"there is no file {path!r} in this artifact") from None
    if not base.is_relative_to(root.resolve()) or not place.is_relative_to(base):
        raise MissingError(f"{path or artifact.name!r} is outside of the artifacts, and is not shown")
    return place


def listed(root: Path, artifact: Path, most: int) -> list[tuple[str, int]]:
    """The files in an artifact with their sizes, sorted; at most so many. Links are left out."""
    base = found(root, artifact, "")
    if base.is_file():
        return [("", base.stat().st_size)]
    files = []
    for path, size in _walked(base):
        files.append((str(path.relative_to(base)), size))
        if len(files) == most:
            break
    return sorted(files)


def _walked(base: Path) -> Iterator[tuple[Path, int]]:
    for folder, _, names in os.walk(base):
        for name in sorted(names):
            status = (Path(folder) / name).lstat()
            if stat.S_ISREG(status.st_mode):
                yield Path(folder) / name, status.st_size


def kind_of(path: Path, title: str = "") -> str:
    """The MIME type that a file is sent as; of those that browsers do not show, one that they save."""
    return _OF_TYPES.get(title) or _KINDS.get(path.suffix.lower(), "application/octet-stream")


async def send(site: Site, request: web.Request) -> web.StreamResponse:
    """Sends a file."""
    names = request.match_info
    place, title = await asyncio.to_thread(
        _located, site, names["run"], names["task"], output=names["output"], path=names.get("path", "")
    )
    kind = kind_of(place, title)
    descriptor = await asyncio.to_thread(_opened, place)
    with os.fdopen(descriptor, "rb") as file:
        headers = {
            "Content-Security-Policy": HARMLESS,
            "X-Frame-Options": "SAMEORIGIN",
            "Content-Type": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
            "Content-Length": str(os.fstat(descriptor).st_size),
        }
        if kind == "application/octet-stream":
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(place.name, safe='')}"
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        left = os.fstat(descriptor).st_size
        while left and (chunk := await asyncio.to_thread(file.read, min(_CHUNK, left))):
            await response.write(chunk)
            left -= len(chunk)
    return response


def _located(site: Site, run: str, task: str, *, output: str, path: str) -> tuple[Path, str]:
    recorded = site.read(run)
    artifact = artifact_of(recorded, task, output)
    return found(site.home.artifacts, artifact.path, path), schema_title(recorded, task, output)


def _opened(place: Path) -> int:
    """Opens a file for reading; anything else, such as a pipe, would never end."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise MissingError(f"{place.name!r} cannot be read") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MissingError(f"{place.name!r} is not a file")
    return descriptor
