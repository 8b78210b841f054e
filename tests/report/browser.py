"""The pages in a headless Chromium, which one process starts once for all of its tests.

To start it takes longer than most pages take to open. Each page is in a profile of its own, so
that nothing of another is kept.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections import deque
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
AXE = find_spec("axe_core_python")
"""The wheel that brings axe-core; its Python is for another browser driver, and is not imported."""
LIMIT: Final = 120.0
"""Seconds that an answer of the browser may take."""
DUMPED_AFTER: Final = 4000
"""Milliseconds of its own clock that a page has until its document is taken."""


class Chromium:
    """A running browser, spoken to by the DevTools protocol over a pair of pipes."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="isoflop-browser-")
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        self._process = subprocess.Popen(
            [
                # the browser reads from descriptor 3 and writes to 4, which pipes seldom are
                "/bin/sh", "-c", 'exec "$@" 3<"$0" 4>/dev/fd/' + str(answers), f"/dev/fd/{orders}",
                str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu",
                "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank",
            ],
            pass_fds=(orders, answers), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(orders)
        os.close(answers)
        self._sent = 0
        self._read = b""
        self._events: deque[dict[str, Any]] = deque()
        atexit.register(self._end, folder)

    def _end(self, folder: str) -> None:
        os.close(self._orders)
        os.close(self._answers)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(folder, ignore_errors=True)

    def call(self, method: str, session: str = "", **values: object) -> dict[str, Any]:
        """Give an order, and what comes of it."""
        self._sent += 1
        order = {"id": self._sent, "method": method, "params": values}
        sent = json.dumps(order | ({"sessionId": session} if session else {})).encode() + b"\0"
        while sent:
            sent = sent[os.write(self._orders, sent) :]
        while True:
            answer = self._next()
            if answer.get("id") == self._sent:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self._events.append(answer)

    def wait_for(self, event: str, session: str) -> None:
        """Wait until a page tells of an event, and forget what it told before."""
        while True:
            came = self._events.popleft() if self._events else self._next()
            if came.get("method") == event and came.get("sessionId") == session:
                return

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + LIMIT
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, until - time.monotonic()))
            more = os.read(self._answers, 2**16) if ready else b""
            assert more, "the browser ended, or never answered"
            self._read += more
        answer, _, self._read = self._read.partition(b"\0")
        content: dict[str, Any] = json.loads(answer)
        return content

    @contextmanager
    def page(self, address: str, *, width: int, height: int) -> Iterator[str]:
        """Open a page in a profile of its own, wait until it is loaded, and give its session."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        blank = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.call("Target.attachToTarget", flatten=True, targetId=blank["targetId"])
        session = str(attached["sessionId"])
        try:
            self.call("Page.enable", session)
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            self.call("Emulation.setDeviceMetricsOverride", session, **size)
            opened = self.call("Page.navigate", session, url=address)
            assert not opened.get("errorText"), (address, opened)
            self.wait_for("Page.loadEventFired", session)
            yield session
        finally:
            self.call("Target.disposeBrowserContext", browserContextId=context)

    def run(self, session: str, script: str) -> Any:
        """Run an expression in a page, wait for what it promises, and give its value."""
        done = self.call(
            "Runtime.evaluate", session, expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")


@cache
def chromium() -> Chromium:
    """Give the browser of this process, started at the first call."""
    return Chromium()


def dump(address: str) -> str:
    """Open a page, let its scripts end, and give its document."""
    browser = chromium()
    with browser.page(address, width=800, height=600) as session:
        # a clock that leaves out the time in which nothing is to be done, and then stands still
        policy = {"policy": "advance", "budget": DUMPED_AFTER}
        browser.call("Emulation.setVirtualTimePolicy", session, **policy)
        browser.wait_for("Emulation.virtualTimeBudgetExpired", session)
        return str(browser.run(session, "document.documentElement.outerHTML"))


def told(page: Path, script: str, *, width: int) -> Any:
    """Run a script in a page of some width, and give what it tells.

    Parameters
    ----------
    page : HTML file.
    script : body of an async function whose result can be written as JSON.
    width : of the page [px].
    """
    browser = chromium()
    with browser.page(page.as_uri(), width=width, height=900) as session:
        return browser.run(session, f"(async () => {{ {script} }})()")


def axe_core() -> str:
    """Give axe-core's script."""
    assert AXE is not None
    assert AXE.origin is not None
    return (Path(AXE.origin).parent / "axe.min.js").read_text(encoding="utf-8")
