"""`taxiway ui` in Chromium after two real taxi runs: every page, and the way from a run to its lineage and model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from taxiway.storage.home import Home
from tests.browser import chromium
from tests.pipelines.conftest import Taxi
from tests.pipelines.project import Project
from tests.taxiway.ui.served import served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(chromium.program() is None, reason=chromium.MISSING),
]
_ROOMS = ("/runs", "/compare", "/models", "/data", "/lineage")
_MOST_PAGES = 60


@dataclass(frozen=True)
class Ui:
    """A server on two runs, the second with fewer training steps, and a browser."""

    origin: str
    browser: Browser
    project: Project


@pytest.fixture(scope="module")
def ui(taxi: Taxi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("ui")
    project = replace(taxi.project.copy(folder / "project").warm(), home=folder / "home")
    project.run(train_steps=100)
    project.run(train_steps=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.folder)
        with served(Home(project.home)) as client, chromium.browser() as browser:
            yield Ui(client.origin, browser, project)


def _links(page: Page, origin: str) -> list[str]:
    """The pages that a page links to, without the same page with other filters."""
    # Links in SVG have an object as their `href`.
    found = page.eval_on_selector_all("a[href]", "links => links.map(link => link.getAttribute('href'))")
    inside = {urldefrag(urljoin(page.url, url))[0] for url in found}
    return sorted(
        url for url in inside if url.startswith(origin) and (urlsplit(url).path not in _ROOMS or "run=" in url)
    )


def _kind(url: str) -> str:
    path = re.sub(r"/chicago-taxi-[^/]+", "/RUN", urlsplit(url).path)
    return re.sub(r"(artifacts|logs)/.*", r"\1/TASK", path)


def test_every_page_opens_without_complaints_and_is_accessible(ui: Ui) -> None:
    waiting, seen, kinds = [ui.origin + room for room in _ROOMS], set[str](), set[str]()
    with chromium.tab(ui.browser) as tab:
        while waiting and len(seen) < _MOST_PAGES:
            url = waiting.pop(0)
            # Reports and files are shown below; JSON is no page.
            if url in seen or re.search(r"json|/files/|/whole|report\.html", url):
                continue
            seen.add(url)
            answer = tab.page.goto(url)
            assert answer, url
            assert answer.status == 200, f"{url}: {tab.page.inner_text('body')[:500]}"
            # axe-core takes seconds on a run's page, so it looks at one page of each kind.
            if _kind(url) not in kinds:
                assert chromium.faults(tab.page) == [], url
            kinds.add(_kind(url))
            waiting += _links(tab.page, ui.origin)
        assert tab.complaints == []
        assert [url for url in tab.requests if not url.startswith((ui.origin, "data:"))] == []
    assert {*_ROOMS, "/runs/RUN", "/runs/RUN/again", "/runs/RUN/artifacts/TASK", "/runs/RUN/logs/TASK"} <= kinds


@pytest.mark.parametrize("room", [*_ROOMS, "/runs/latest"])
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_pages_fit_a_phone_and_have_contrast(ui: Ui, room: str, is_dark: bool) -> None:
    with chromium.tab(ui.browser, width=400, is_dark=is_dark) as tab:
        tab.page.goto(ui.origin + room)
        assert chromium.faults(tab.page) == []


def test_from_a_run_to_its_artifact_lineage_and_model(ui: Ui) -> None:
    with chromium.tab(ui.browser) as tab:
        page = tab.page
        page.goto(ui.origin)
        page.locator("main tbody a").last.click()
        expect(page.locator("h1")).to_contain_text("chicago-taxi")
        page.locator("main a[href*='/artifacts/trainer/model']").first.click()
        expect(page.locator("h1")).to_contain_text("model")
        page.get_by_role("link", name="Lineage, both ways").click()
        expect(page.locator("main svg").first).to_be_visible()
        page.locator("nav a", has_text="Models").first.click()
        version = page.locator("main tbody a").first
        number = version.inner_text()
        version.click()
        expect(page.locator("body")).to_contain_text(number)
        assert tab.complaints == []


def test_two_runs_are_chosen_and_compared(ui: Ui) -> None:
    with chromium.tab(ui.browser) as tab:
        page = tab.page
        page.goto(ui.origin)
        for box in page.locator("input[type=checkbox][name=run]").all():
            box.check()
        page.locator("button", has_text="Compare").first.click()
        expect(page.locator("h1")).to_contain_text("Two runs")
        expect(page.locator("main")).to_contain_text("train_steps")
        assert tab.complaints == []


def test_pages_work_without_javascript(ui: Ui, tmp_path: Path) -> None:
    context = ui.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{ui.origin}/runs?q=train_steps")
    page.locator("main tbody a").first.click()
    expect(page.locator("h1")).to_contain_text("chicago-taxi")
    context.close()
