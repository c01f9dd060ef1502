"""Shared fixtures of the model server's tests: models, and a server with two of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.taxiway.serving import models, server


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a model of `models`, saved once."""
    folder = tmp_path_factory.mktemp("saved")

    def saved_model(name: str) -> Path:
        return folder / name if (folder / name).exists() else models.write(name, folder / name)

    return saved_model


@pytest.fixture(scope="module")
def both(saved: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Server]:
    """A server with TF Serving's `half_plus_two`, whose label `stable` is on its version 123, and `mixed`."""
    given = {name: saved(name) for name in ("half_plus_two", "mixed")}
    with server.running_all(tmp_path_factory.mktemp("both"), given, stable="half_plus_two") as running:
        yield running


@pytest.fixture(scope="module")
def rest(both: server.Server) -> str:
    """The REST address of that server."""
    return both.rest
