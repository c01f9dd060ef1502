"""TFDV's private names."""

from __future__ import annotations

from tensorflow_data_validation.statistics.stats_impl import get_generators

VERSION = "1.21.0"

__all__ = ["get_generators"]  # TFDV's generators for its options, to be called without Beam
