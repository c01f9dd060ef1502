"""HTML of artifacts in Chromium: the script of our own reports runs in its frame, those of strangers do not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FrameLocator

from components.reports.page import Section, render
from components.reports.tables import table
from taxiway.storage.home import Home
from tests.browser import chromium
from tests.taxiway.reports.homes import MadeTask, make_run
from tests.taxiway.ui.served import Client, served

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium.program() is None, reason=chromium.MISSING)]
RUN = "taxi-20260101-100000-0000aaaa"
HOSTILE = """<h1>hello</h1><p id="told">quiet</p>
<script>document.getElementById("told").textContent = "inline ran"; top.location = "/runs?q=driven";</script>
<script src="/static/ui.js"></script><img src="x" onerror="document.title = 'ran'">
<form action="/runs" target="_top"><button id="send">send</button></form>
<a id="link" href="javascript:document.getElementById('told').textContent = 'link ran'">link</a>"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    home = Home(tmp_path / "home")
    folder = make_run(home, RUN, {name: MadeTask({"page": {}}, title="system.HTML") for name in ("ours", "theirs")})
    assert folder.is_dir()
    rows = table("Rows", ["Name", "Value"], [["b", 1], ["a", 2]])
    _file(home, "ours").write_text(render("Ours", [Section("rows", "Rows", rows)]))
    _file(home, "theirs").write_text(HOSTILE)
    with served(home) as found:
        yield found


def _file(home: Home, task: str) -> Path:
    [found] = (home.artifacts / "taxi" / task).glob("*/page/file")
    return found


def _frame(tab: chromium.Tab, client: Client, task: str) -> FrameLocator:
    tab.page.goto(f"{client.origin}/runs/{RUN}/artifacts/{task}/page")
    return tab.page.frame_locator("iframe")


def test_our_report_sorts_in_its_frame(browser: Browser, client: Client) -> None:
    with chromium.tab(browser) as tab:
        frame = _frame(tab, client, "ours")
        assert frame.locator("tbody th").all_inner_texts() == ["b", "a"]
        frame.get_by_role("button", name="Name").click()
        assert frame.locator("tbody th").all_inner_texts() == ["a", "b"]
        assert tab.complaints == []


def test_nothing_of_a_stranger_runs(browser: Browser, client: Client) -> None:
    with chromium.tab(browser) as tab:
        frame = _frame(tab, client, "theirs")
        assert frame.locator("h1").inner_text() == "hello"
        for id_ in ("send", "link"):
            frame.locator(f"#{id_}").click()
        assert frame.locator("#told").inner_text() == "quiet"
        assert tab.page.url.endswith("/artifacts/theirs/page")
        assert frame.locator("body").evaluate("() => document.title") == ""
        # Nor can it read the page around it, or the cookies.
        assert frame.locator("body").evaluate("() => window.origin") == "null"
