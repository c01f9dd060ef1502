"""Keys of the keyed hash: HMAC-SHA256, with the key's id as part of the value, such as `k2:9f86d081884c7d65...`.

Keys are files in a folder, as Kubernetes mounts a secret: the file's name is the key's id. Or they are lines of one
file, `k1: <key>`. The newest key writes: the last id of a folder in natural order (k2 before k10), or the last line.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.contract.errors import UserError

_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
_SHORTEST = 16
_DIGITS = 32
"""Hexadecimal digits of a hash: 128 bits."""


@dataclass(frozen=True)
class Keys:
    """Keys by id, the newest last."""

    by_id: Mapping[str, bytes] = field(repr=False)

    def hashed(self, value: bytes) -> str:
        """A value's hash with the newest key."""
        return _hash(*list(self.by_id.items())[-1], value)

    def every_hash(self, value: bytes) -> list[str]:
        """A value's hashes with all keys: under which of them it was written is unknown."""
        return [_hash(name, key, value) for name, key in self.by_id.items()]


def read(place: Path) -> Keys:
    """The keys in a folder or file.

    Raises:
        UserError: There are none, or one of them is too short.
    """
    try:
        found = _of_folder(place) if place.is_dir() else _of_file(place)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the keys in {place} cannot be read: {error}", fix=_fix(place)) from error
    if not found:
        raise UserError(f"there is no key in {place}", fix=_fix(place))
    for name, key in found.items():
        _require_key(place, name, key)
    return Keys(found)


def _hash(name: str, key: bytes, value: bytes) -> str:
    return f"{name}:{hmac.digest(key, value, 'sha256').hex()[:_DIGITS]}"


def _of_folder(place: Path) -> dict[str, bytes]:
    # Kubernetes mounts a secret with links such as `..data`.
    files = [each for each in place.iterdir() if each.is_file() and not each.name.startswith(".")]
    return {each.name: each.read_bytes().strip() for each in sorted(files, key=lambda file: _natural(file.name))}


def _of_file(place: Path) -> dict[str, bytes]:
    lines = [line.partition(":") for line in place.read_text().splitlines() if line.strip()]
    return {name.strip(): key.strip().encode() for name, _, key in lines}


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _require_key(place: Path, name: str, key: bytes) -> None:
    if not _ID.fullmatch(name):
        raise UserError(f"{place} has a key with the id {name!r}", fix="use letters, digits, dots and dashes: k1")
    if len(key) < _SHORTEST:
        raise UserError(f"the key {name} in {place} has {len(key)} characters; {_SHORTEST} are needed", fix=_fix(place))


def _fix(place: Path) -> str:
    return f"make one: mkdir -p {place} && openssl rand -hex 32 > {place}/k1"
