"""Fixtures of the recorder's tests."""

from __future__ import annotations

from tests.taxiway.routing.conftest import blue, route
from tests.taxiway.serving.conftest import saved

__all__ = ["blue", "route", "saved"]
