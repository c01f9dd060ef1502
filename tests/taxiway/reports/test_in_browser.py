"""A report in Chromium has no errors or requests, sorts, filters, and fits a narrow screen."""

import asyncio
from pathlib import Path

import pytest

from taxiway.reports import report, run
from taxiway.storage.home import Home
from tests import chromium
from tests.components.reports.parsed import HOSTILE
from tests.taxiway.reports.homes import MadeTask, make_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.program() is None, reason="there is no Chromium: apt-get install chromium"),
]
_NAMES = (
    "[...document.querySelector('#parameters tbody').rows]"
    ".filter(row => !row.hidden).map(row => row.cells[0].textContent)"
)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    home = Home(tmp_path / "home")
    parameters = {f"parameter {number}": number for number in (10, 9, 100)} | {name[:20]: name for name in HOSTILE[:9]}
    tasks = {"a": MadeTask({"out": {"x": 1}}), "b": MadeTask(after=["a"], state="FAILED", error=HOSTILE[0])}
    make_run(home, "taxi-20260101-100000-0000aaaa", tasks, {**parameters, "long": ["x" * 200]}, log=HOSTILE[1])
    file = tmp_path / "report.html"
    file.write_text(report.page(run.find("latest", home), home, pytest.fail))
    return file


def test_a_report_in_a_browser(page: Path) -> None:
    asyncio.run(_use(page))


async def _use(page: Path) -> None:
    path = chromium.program()
    assert path
    async with chromium.opened(path) as browser:
        tab = await browser.tab()
        await tab.go(page.as_uri())
        await _sort_and_filter(tab)
        for width in (1280, 400):
            for is_dark in (False, True):
                await tab.look(width, 800, is_dark=is_dark)
                assert await tab.evaluate("document.documentElement.scrollWidth") <= width
        await tab.pdf(page.with_suffix(".pdf"))
        assert page.with_suffix(".pdf").stat().st_size > 10_000
        assert tab.complaints == []
        assert tab.requests == [page.as_uri()]


async def _sort_and_filter(tab: chromium.Tab) -> None:
    await tab.evaluate("document.querySelector('#parameters thead button').click()")
    names = await tab.evaluate(_NAMES)
    numbered = [name for name in names if name.startswith("parameter")]
    assert numbered == ["parameter 9", "parameter 10", "parameter 100"]
    await tab.evaluate("document.querySelector('#parameters thead button').click()")
    assert [name for name in await tab.evaluate(_NAMES) if name in numbered] == numbered[::-1]
    assert await tab.evaluate("document.querySelector('#parameters th').getAttribute('aria-sort')") == "descending"
    await tab.evaluate(
        "const field = document.querySelector('#parameters input');"
        "field.value = 'PARAMETER 1'; field.dispatchEvent(new Event('input'))"
    )
    assert await tab.evaluate(_NAMES) == ["parameter 100", "parameter 10"]
    assert await tab.evaluate("document.querySelector('#parameters output').textContent") == "2 of 13"
