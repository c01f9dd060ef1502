"""The trigger on data: a file that DVC tracks, a new span, a new partition, or files that change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from components.contract.commands import typed
from components.contract.digests import text_digest
from components.contract.errors import UserError
from taxiway.lineage.loop.ledger import Mark
from taxiway.loop.triggers.seen import Seen, View
from taxiway.loop.triggers.settings import DataTrigger

_SETTLED = timedelta(seconds=30)
"""Files that changed later may still be written."""

_DIGITS = 12
_PLACES = re.compile(r"\{(SPAN|VERSION|SPLIT|YYYY|MM|DD)\}")
_FORMS = {"SPAN": r"(?P<span>\d+)", "VERSION": r"(?P<version>\d+)", "YYYY": r"\d{4}", "MM": r"\d\d", "DD": r"\d\d"}


def look(view: View, what: DataTrigger) -> Seen:
    """Which version of the data there is."""
    place = what.path or what.dvc or what.span or what.partition
    key = f"{view.trigger.name}/{place}"
    value = _value(what, view.now)
    known = view.known(key)
    if value is None:
        return Seen(view.trigger, f"there is nothing at {place} yet, or it is still being written")
    if not known:
        return Seen(
            view.trigger, f"{place} is at {_shown(value)}: changes count from now on", mark=_mark(key, view, value)
        )
    if value == known[-1] or ((what.span or what.partition) and not _is_later(value, known)):
        return Seen(view.trigger, f"{place} is still at {_shown(known[-1])}")
    reason = f"{place} is at {_shown(value)}, and was at {_shown(known[-1])}"
    # A value may come again: the number of changes before tells its returns apart.
    found = view.found(f"{key}/{len(known)}/{value}", reason, view.now, key=key, value=value, place=place)
    return Seen(view.trigger, reason, found)


def _mark(key: str, view: View, value: Any) -> Mark:
    return Mark(key, value, view.now)


def _value(what: DataTrigger, now: datetime) -> Any:
    if what.dvc:
        return _tracked(Path(what.dvc))
    if what.span:
        return _span(what.span, now)
    return _partition(what.partition, now) if what.partition else _fingerprint(what.path, now)


def _is_later(value: Any, known: list[Any]) -> bool:
    return all(_natural(value) > _natural(each) for each in known)


def _natural(value: Any) -> list[tuple[int, Any]]:
    """A name as people sort it: day=9 is before day=10."""
    parts = re.split(r"(\d+)", str(value))
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]


def _tracked(file: Path) -> str:
    """The hashes in a .dvc file.

    Raises:
        UserError: It is none.
    """
    try:
        found = yaml.safe_load(file.read_text())
        outs = [str(each.get("md5") or each.get("etag") or each["hash"]) for each in found["outs"]]
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{file} cannot be read as a .dvc file: {error}",
            fix=f"name one that `{typed('dvc add', file.with_suffix(''))}` made",
        ) from error
    return outs[0] if len(outs) == 1 else text_digest(" ".join(outs))


def _span(pattern: str, now: datetime) -> str | None:
    """The latest span, with its version if the pattern has one: 7, or 7/2."""
    matching = re.compile(_regular(pattern))
    found = [(match, time) for path, time in _found(_PLACES.sub("*", pattern)) if (match := matching.search(path))]
    numbers = [
        (int(match["span"]), int(match.groupdict().get("version") or 0))
        for match, time in found
        if _is_settled(time, now)
    ]
    if not numbers:
        return None
    span, version = max(numbers)
    return f"{span}/{version}" if "{VERSION}" in pattern else str(span)


def _regular(pattern: str) -> str:
    """The pattern as a regular expression that the end of a path meets; an asterisk is any text within a name."""
    parts, seen = re.split(r"(\{\w+\}|\*)", pattern.lstrip("./")), set[str]()
    return "".join(_part(part, seen) for part in parts) + "$"


def _part(part: str, seen: set[str]) -> str:
    name = part.strip("{}")
    if part == "*" or name == "SPLIT":
        return "[^/]*"
    if name not in _FORMS or part == name:
        return re.escape(part)
    if name in seen:
        return rf"(?P={name.lower()})" if "(?P" in _FORMS[name] else _FORMS[name]
    seen.add(name)
    return _FORMS[name]


def _partition(pattern: str, now: datetime) -> str | None:
    """The last partition, as people sort their names, whose files are all written."""
    settled = [path for path, _ in _found(pattern) if _fingerprint(path, now)]
    return max((path.rstrip("/").rpartition("/")[2] for path in settled), key=_natural, default=None)


def _fingerprint(place: str, now: datetime) -> str | None:
    """The names, sizes and times of the files at a place; None if there are none, or one has just changed."""
    files = sorted(_files(place))
    if not files or not all(_is_settled(time, now) for _, _, time in files):
        return None
    return text_digest(repr([(name, size, time and time.timestamp()) for name, size, time in files]))


def _is_settled(time: datetime | None, now: datetime) -> bool:
    return time is None or not now - _SETTLED < time <= now


def _found(pattern: str) -> Iterator[tuple[str, datetime | None]]:
    import fsspec

    file_system, path = fsspec.core.url_to_fs(pattern)
    file_system.invalidate_cache()
    for name, details in file_system.glob(path, detail=True).items():
        yield file_system.unstrip_protocol(name) if "://" in pattern else name, _time(details)


def _files(place: str) -> Iterator[tuple[str, int, datetime | None]]:
    import fsspec

    file_system, path = fsspec.core.url_to_fs(place)
    file_system.invalidate_cache()
    for name, details in file_system.find(path, detail=True).items():
        yield name, int(details.get("size") or 0), _time(details)


def _time(details: dict[str, Any]) -> datetime | None:
    """When a file was last changed, by the names that the drivers give it."""
    found = details.get("mtime") or details.get("LastModified") or details.get("updated")
    if isinstance(found, int | float):
        return datetime.fromtimestamp(found, UTC)
    return found if isinstance(found, datetime) and found.tzinfo else None


def _shown(value: Any) -> str:
    text = str(value)
    is_hash = re.fullmatch(r"(sha256:)?[0-9a-f]{32,}(\.dir)?", text)
    return text.removeprefix("sha256:")[:_DIGITS] if is_hash else text
