"""A container engine for the runner that runs containers as processes."""

from collections.abc import Iterator

import pytest

from tests.taxiway.runner.process_engine import Containers, process_engine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Containers]:
    with process_engine() as (containers, url):
        monkeypatch.setenv("DOCKER_HOST", url)
        yield containers
