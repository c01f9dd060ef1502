"""Debian's Chromium, driven by Playwright. It resolves no host names, so nothing leaves the machine."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

_ON_THE_PATH = ("chromium", "chromium-headless-shell")
_INSTALL = Path(__file__).with_name("install")
_SERIOUS = ("serious", "critical")

MISSING = "Chromium is missing; run: make browser"


@cache
def program() -> tuple[str, dict[str, str]] | None:
    """The browser's path and the environment variables that it needs; None if it is not installed."""
    if installed := next(filter(None, map(shutil.which, _ON_THE_PATH)), None):
        return installed, {}
    folder = subprocess.run([_INSTALL, "--find"], check=True, capture_output=True, text=True).stdout.strip()
    if not folder:
        return None
    libraries = next(Path(folder, "usr/lib").glob("*-linux-gnu"))
    # Not an installed system, so that its libraries and fonts have to be named.
    environment = {"LD_LIBRARY_PATH": f"{libraries}:{libraries}/pulseaudio", "FONTCONFIG_SYSROOT": folder}
    return f"{folder}/usr/lib/chromium/chromium-headless-shell", environment


@dataclass
class Tab:
    """A page with the errors and warnings that it logged, and the addresses that it requested."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with a new profile."""
    found = program()
    assert found, MISSING
    path, environment = found
    arguments = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=arguments, env={**os.environ, **environment})
        try:
            yield running
        finally:
            running.close()


@contextmanager
def tab(running: Browser, *, width: int = 1280, height: int = 800, is_dark: bool = False) -> Iterator[Tab]:
    """A new page in its own context, without cookies of others."""
    context = running.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if is_dark else "light"
    )
    opened = Tab(context.new_page())
    opened.page.on("console", lambda message: opened.complaints.append(message.text))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    try:
        yield opened
    finally:
        context.close()


def look(running: Browser, origin: str, paths: Sequence[str]) -> None:
    """Looks at pages on a desk and on a phone, in light and in dark: each has no faults, and needs no other server."""
    for width, is_dark in itertools.product((1280, 400), (False, True)):
        with tab(running, width=width, is_dark=is_dark) as opened:
            for path in paths:
                opened.page.goto(origin + path)
                assert faults(opened.page) == [], (path, width, is_dark)
            assert opened.complaints == []
            assert [address for address in opened.requests if not address.startswith(origin)] == []


def faults(page: Page) -> list[str]:
    """What is wrong with a page: it is wider than the window, words leave their box, or what axe-core finds."""
    excess = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    wide = [f"the page is {excess} pixels wider than the window"] if excess > 0 else []
    return [*wide, *page.evaluate(_LEAVING), *_violations(page)]


_LEAVING = """[...document.querySelectorAll(".tiles li, .facts > div, .notice, .badge")]
    .filter(box => box.scrollWidth > box.clientWidth + 1)
    .map(box => "words leave their box: " + box.textContent.slice(0, 80))"""


def _violations(page: Page) -> list[str]:
    """What axe-core finds that is serious or critical: the rule, and the first element that breaks it."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html']:.200}" for each in found if each["impact"] in _SERIOUS]
