"""What stages left outside of their artifacts: the pushed model behind a PushedModel, say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from components.contract.artifacts import ELSEWHERE


def is_intact(metadata: Iterable[Mapping[str, Any]], digest_of: Callable[[Path], str]) -> bool:
    """Whether everything that stages left elsewhere, according to their artifacts' metadata, is still there.

    In object stores only existence is checked: reading would fetch the whole model.
    """
    left = (json.loads(each[ELSEWHERE]) for each in metadata if ELSEWHERE in each)
    return all(any(_is_at(place, each["digest"], digest_of) for place in each["places"]) for each in left)


def _is_at(place: str, digest: str, digest_of: Callable[[Path], str]) -> bool:
    if "://" in place:
        import fsspec

        file_system, path = fsspec.core.url_to_fs(place)
        return bool(file_system.isfile(path))
    return Path(place).exists() and digest in ("", digest_of(Path(place)))
