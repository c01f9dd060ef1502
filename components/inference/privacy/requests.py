"""What a request's own columns must not tell: the error's message and the request id may quote a protected value.

An error's message is free text: it may quote a value of a row that was never read. Where any column is protected, a
message becomes a sentence of our own that names the inputs that the message names. A request id is the client's text:
it is replaced where it contains a protected value of its request, or looks like a mail address or the like.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from components.inference.columns import INPUT
from components.inference.privacy.actions import Action, text
from components.inference.privacy.keys import Keys
from components.inference.privacy.suspects import looks_personal

_LEAST = 4
"""Characters of a value that counts as quoted: a 7 is in every other id."""


def withheld(rows: pa.Table, protected: pa.Table, rules: Mapping[str, Action], keys: Keys | None) -> pa.Table:
    """Rows whose messages and request ids quote no protected value; a rule for `error` or `request_id` comes first.

    Args:
        rows: The rows to write.
        protected: The protected columns of the same rows, as they were sent.
        rules: The rules by column.
        keys: The keys of the keyed hash; without them, a request id is replaced by a random one.
    """
    if "error" in rows.column_names and "error" not in rules:
        features = [name.removeprefix(INPUT) for name in {*rows.column_names, *protected.column_names}]
        rows = _with(rows, "error", lambda message: _sentence(message, features))
    if "request_id" in rows.column_names and "request_id" not in rules:
        quoted = _quoted(rows.column("request_id").to_pylist(), protected)
        new = {each: keys.hashed(each.encode()) if keys else f"withheld-{uuid.uuid4()}" for each in quoted}
        rows = _with(rows, "request_id", lambda request: new.get(request, request))
    return rows


def _with(rows: pa.Table, name: str, change: Callable[[str], str]) -> pa.Table:
    index = rows.column_names.index(name)
    coded = pc.dictionary_encode(rows.column(name).combine_chunks())
    new = pa.array([None if old is None else change(old) for old in coded.dictionary.to_pylist()], pa.string())
    return rows.set_column(index, rows.field(name), new.take(coded.indices))


def _sentence(message: str, features: Collection[str]) -> str:
    words = set(re.findall(r"\w+", message))
    named = sorted(name for name in features if name in words or INPUT + name in words)
    return "message withheld" + (f"; it names {', '.join(named)}" if named else "")


def _quoted(requests: list[str | None], protected: pa.Table) -> set[str]:
    """The request ids that contain a protected value of their request, or look personal."""
    known = {each for each in requests if each}
    found = {each for each in known if looks_personal(each)}
    for name in protected.column_names:
        for request, values in zip(requests, protected.column(name).to_pylist(), strict=True):
            if request and any(value in request for value in _texts(values)):
                found.add(request)
    return found


def _texts(values: object) -> Iterator[str]:
    if isinstance(values, list):
        for each in values:
            yield from _texts(each)
    elif values is not None and len(found := text(values)) >= _LEAST:
        yield found
