"""The pages in a headless Chromium."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
NARROWEST = 500
"""Narrowest window of a headless Chromium [px]: a phone is a frame in it."""
AXE = find_spec("axe_core_python")
"""The wheel that brings axe-core; its Python is for another browser driver, and is not imported."""


def dump(address: str, folder: Path, *options: str) -> str:
    """Open a page, let its scripts end, and give its document."""
    done = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
            f"--user-data-dir={folder}", *options, address,
        ],
        check=True, capture_output=True, text=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    return done.stdout


def told(page: Path, script: str, folder: Path, *, width: int) -> Any:
    """Run a script in a page of some width, and give what it tells.

    Parameters
    ----------
    page : HTML file.
    script : body of an async function whose result can be written as JSON.
    folder : for the copy of the page and for the browser.
    width : of the page [px].
    """
    run = f"(async () => {{ {script} }})()"
    inside = f'{run}.then((told) => parent.postMessage(JSON.stringify(told), "*"))'
    copy = page.read_text(encoding="utf-8").replace(
        "</body>", f"<script>addEventListener('load', () => {inside});</script></body>"
    )
    (folder / "copy.html").write_text(copy, encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(
        f"<iframe src=copy.html style='border:0;width:{width}px;height:900px'></iframe>"
        "<pre id=told></pre><script>addEventListener('message', (event) => {"
        "document.getElementById('told').textContent = event.data; });</script>",
        encoding="utf-8",
    )
    size = f"--window-size={max(width, NARROWEST)},900"
    document = dump(frame.as_uri(), folder / "browser", size, "--virtual-time-budget=120000")
    found = re.search(r'<pre id="told">(.+?)</pre>', document, re.DOTALL)
    assert found is not None, document[-2000:]
    return json.loads(html.unescape(found[1]))


def axe_core() -> str:
    """Give axe-core's script."""
    assert AXE is not None
    assert AXE.origin is not None
    return (Path(AXE.origin).parent / "axe.min.js").read_text(encoding="utf-8")
