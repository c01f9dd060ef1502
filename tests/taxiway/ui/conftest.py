from collections.abc import Iterator

import pytest

from taxiway.storage.home import Home
from tests.taxiway.ui.served import Client, served


@pytest.fixture
def client(home: Home) -> Iterator[Client]:
    """A client of the pages of the test file's `home`."""
    with served(home) as found:
        yield found
