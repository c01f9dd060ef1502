"""Debian's Chromium without a window, driven over its DevTools protocol: pages, clicks, pictures."""

from __future__ import annotations

import asyncio
import base64
import itertools
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-headless-shell")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--remote-debugging-port=0",
    # No request of a page leaves the machine.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
_PATIENCE = 60


def program() -> str | None:
    """The browser's path; None if it is not installed."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@dataclass
class Tab:
    """An open page; records its errors and requests."""

    browser: Browser
    session: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    loaded: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, method: str, **parameters: Any) -> Any:
        """Calls a protocol method for this page."""
        return await self.browser.send(method, self.session, **parameters)

    async def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def go(self, url: str) -> None:
        """Opens a URL and waits until it is loaded."""
        self.loaded.clear()
        await self.send("Page.navigate", url=url)
        await asyncio.wait_for(self.loaded.wait(), _PATIENCE)

    async def look(self, width: int, height: int, *, is_dark: bool = False) -> None:
        """Sets the window's size and theme."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.send("Emulation.setDeviceMetricsOverride", **metrics)
        theme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[theme])

    async def picture(self, file: Path, *, is_whole: bool = False) -> None:
        """Writes a screenshot of the window, or of the whole page, as PNG."""
        answer = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=is_whole)
        file.write_bytes(base64.b64decode(answer["data"]))

    async def pdf(self, file: Path) -> None:
        """Prints the page to a PDF file."""
        answer = await self.send("Page.printToPDF", printBackground=False)
        file.write_bytes(base64.b64decode(answer["data"]))

    def hear(self, method: str, parameters: dict[str, Any]) -> None:
        """Records an event."""
        if method == "Page.loadEventFired":
            self.loaded.set()
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(parameters["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(parameters["args"]))


@dataclass
class Browser:
    """A running browser."""

    socket: aiohttp.ClientWebSocketResponse
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    answers: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    tabs: dict[str, Tab] = field(default_factory=dict)

    async def send(self, method: str, session: str = "", **parameters: Any) -> Any:
        """Calls a protocol method."""
        number = next(self.numbers)
        self.answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        await self.socket.send_json(message)
        return await asyncio.wait_for(self.answers[number], _PATIENCE)

    async def tab(self) -> Tab:
        """A new page."""
        target = await self.send("Target.createTarget", url="about:blank")
        attached = await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        tab = self.tabs[attached["sessionId"]] = Tab(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            await tab.send(f"{domain}.enable")
        return tab

    async def listen(self) -> None:
        """Passes answers and events on to their callers and pages, until the browser ends."""
        async for message in self.socket:
            event = message.json()
            if "id" in event:
                answer = self.answers.pop(event["id"])
                if "error" in event:
                    answer.set_exception(RuntimeError(event["error"]["message"]))
                else:
                    answer.set_result(event["result"])
            elif tab := self.tabs.get(event.get("sessionId", "")):
                tab.hear(event["method"], event["params"])


@asynccontextmanager
async def opened(path: str) -> AsyncIterator[Browser]:
    """A browser with its own profile; it ends with the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            path,
            *_FLAGS,
            f"--user-data-dir={profile}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            address = await asyncio.wait_for(_address(process), _PATIENCE)
            async with aiohttp.ClientSession() as client, client.ws_connect(address, max_msg_size=0) as socket:
                browser = Browser(socket)
                listening = asyncio.create_task(browser.listen())
                yield browser
                listening.cancel()
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr
    output = b""
    async for line in process.stderr:
        output += line
        if found := re.search(rb"listening on (ws://\S+)", line):
            return found[1].decode()
    raise RuntimeError(f"the browser ended: {output.decode(errors='replace')}")
