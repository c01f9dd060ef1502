"""Draws an alarm's picture as a PNG: mail programs show no SVG."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.monitoring.alarms.wording.words import number, share

BEFORE, NOW = (154, 160, 166), (217, 95, 2)
"""The colours of the training data and of the window."""

_WIDTH, _HEIGHT, _GAP = 560, 160, 2


def png(picture: str) -> bytes:
    """Both distributions as bars side by side, without text."""
    pairs = [(each["before"], each["now"]) for each in _bars(json.loads(picture))]
    canvas: NDArray[np.uint8] = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    highest = max(max(pair) for pair in pairs) or 1.0
    step = _WIDTH / len(pairs)
    for place, pair in enumerate(pairs):
        for part, (value, colour) in enumerate(zip(pair, (BEFORE, NOW), strict=True)):
            left = int(place * step + part * (step - _GAP) / 2)
            right = max(left + 1, int(place * step + (part + 1) * (step - _GAP) / 2))
            canvas[_HEIGHT - int(value / highest * (_HEIGHT - 4)) :, left:right] = colour
    canvas[-1] = 120
    return _encoded(canvas)


def caption(picture: str) -> str:
    """What the picture shows, in words."""
    found = json.loads(picture)
    if found["kind"] == "numbers":
        return f"{found['column']} from {number(found['bins'][0]['low'])} to {number(found['bins'][-1]['high'])}"
    if found["kind"] == "shares":
        return f"{found['column']}: {found['label']} {share(found['before'])}, now {share(found['now'])}"
    return f"{found['column']}: {', '.join(each['value'] for each in found['values'])}, and the rest"


def _bars(picture: dict[str, Any]) -> list[dict[str, float]]:
    if picture["kind"] == "numbers":
        return list(picture["bins"])
    return [picture] if picture["kind"] == "shares" else [*picture["values"], picture["rest"]]


def _encoded(pixels: NDArray[np.uint8]) -> bytes:
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
