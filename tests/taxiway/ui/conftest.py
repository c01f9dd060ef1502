from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from taxiway.storage.home import Home
from tests.taxiway.ui.served import Client, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def client(home: Home) -> Iterator[Client]:
    """A client of the pages of the test file's `home`."""
    with served(home) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a file."""
    from tests.browser import chromium

    with chromium.browser() as running:
        yield running
