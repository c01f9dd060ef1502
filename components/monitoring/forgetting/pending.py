"""A request to forget that is under way: a file on this machine, so that the next run finishes it after a kill.

The file has the values themselves, is readable for its owner only, and is removed at the end.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from components.contract import files
from components.contract.errors import ServiceError
from components.monitoring.forgetting.files import Rewritten
from components.monitoring.forgetting.keys import Key


@dataclass(frozen=True)
class Request:
    """A request to forget.

    Attributes:
        id: Its id.
        model: The model's name.
        root: The folder or URL of its tables.
        keys: The customers.
        before: The time; what is older is deleted, if it is set.
        logs: Paths of request logs.
        spans: Paths of spans.
        reason: The reason given.
        began: When it began, ISO 8601.
    """

    id: str
    model: str
    root: str
    keys: tuple[Key, ...] = ()
    before: datetime | None = None
    logs: tuple[str, ...] = ()
    spans: tuple[str, ...] = ()
    reason: str = ""
    began: str = ""


@dataclass
class Pending:
    """A request and what was done for it so far.

    Attributes:
        request: The request.
        folder: Where its file is.
        tables: The digest of each table before.
        files: What each file loses; noted before the file is replaced.
    """

    request: Request
    folder: Path
    tables: dict[str, str] = field(default_factory=dict)
    files: dict[str, Rewritten] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / f"{self.request.id}.json"

    def save(self) -> None:
        """Writes it so that it survives a power cut."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.touch(mode=0o600)
        request = {**asdict(self.request), "before": self.request.before and self.request.before.isoformat()}
        done = {place: asdict(each) for place, each in self.files.items()}
        files.write(self.path, json.dumps({"request": request, "tables": self.tables, "files": done}), synced=True)


def new_id() -> str:
    """An id for a request."""
    return secrets.token_hex(6)


def all_in(folder: Path, root: str) -> list[Pending]:
    """The requests for a model's tables that were not finished, the oldest first."""
    found = [_read(file) for file in sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime)]
    return [each for each in found if each.request.root == root]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lets one process on this machine forget at a time."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with files.locked(folder / "lock"):
        yield


def secret(folder: Path) -> bytes:
    """The key of the hashes in the records where there are no privacy keys: made once, and kept on this machine."""
    file = folder / "key"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.exists():
        descriptor = os.open(file.with_name(".key"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(secrets.token_hex(32).encode())
        file.with_name(".key").replace(file)
    return file.read_bytes()


def _read(file: Path) -> Pending:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ServiceError(f"{file} cannot be read: {error}", fix="remove it, and run its request again") from error
    given = found["request"]
    keys = tuple(Key(tuple((name, value) for name, value in each["values"])) for each in given["keys"])
    before = datetime.fromisoformat(given["before"]) if given["before"] else None
    paths = {name: tuple(given[name]) for name in ("logs", "spans")}
    request = Request(**{**given, **paths, "keys": keys, "before": before})
    done = {place: Rewritten(**each) for place, each in found["files"].items()}
    return Pending(request, file.parent, found["tables"], done)
