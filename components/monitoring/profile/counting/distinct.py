"""Estimates the number of different values from the least of their hashes, in constant memory."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

KEPT = 4096
"""Hashes that are kept: up to so many different values, the number is exact; beyond, it is off by 1.6 % or so."""

_SPACE = float(1 << 64)


class Distinct:
    """Counts different values; equal values in any order give the same number."""

    def __init__(self) -> None:
        self._hashes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._limit = np.uint64(0xFFFFFFFFFFFFFFFF)

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Counts values by their hashes."""
        few = hashes[hashes < self._limit]
        if not len(few):
            return
        merged = np.union1d(self._hashes, few)
        if len(merged) > KEPT:
            self._limit = merged[KEPT]
            merged = merged[:KEPT]
        self._hashes = merged

    @property
    def number(self) -> int:
        """The number of different values."""
        if len(self._hashes) < KEPT:
            return len(self._hashes)
        return round(KEPT * _SPACE / float(self._limit)) if int(self._limit) < 0xFFFFFFFFFFFFFFFF else KEPT


def number_hashes(values: NDArray) -> NDArray[np.uint64]:
    """The hashes of numbers; those of 1, 1.0 and true are equal, as are those of 0.0 and -0.0."""
    bits = (values.astype(np.float64) + 0.0).view(np.uint64)
    return _mixed(bits)


def text_hashes(values: Sequence[str]) -> NDArray[np.uint64]:
    """The hashes of texts."""
    found = (zlib.crc32(value.encode(errors="surrogatepass")) for value in values)
    return _mixed(np.fromiter(found, np.uint64, len(values)))


def row_hashes(first: int, rows: int) -> NDArray[np.uint64]:
    """The hashes of the numbers of rows."""
    return _mixed(np.arange(first, first + rows, dtype=np.uint64))


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A permutation of the 64-bit numbers that spreads neighbours (the finalizer of MurmurHash3)."""
    mixed = bits + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(33)
    return mixed
