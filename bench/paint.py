"""First paint and size of the built reports, in a headless Chromium, into docs/benchmarks.md.

    python bench/paint.py [--markdown docs/benchmarks.md]

What the browser says of itself (first-contentful-paint of its performance entries) of each page
opened from the disk, once to warm the disk's cache and then as often as asked; the median counts.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

import page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TRIES = 5
"""Openings that may end before anything was painted, on a busy machine."""
OBSERVER = """<script>new PerformanceObserver((list) => {
  for (const entry of list.getEntriesByName("first-contentful-paint"))
    document.body.append(Object.assign(document.createElement("pre"),
      { id: "paint", textContent: entry.startTime }));
}).observe({ type: "paint", buffered: true });</script></body>"""
TITLE = "First paint"


def first_paint(report: Path, browser: str) -> float:
    """Give the first contentful paint of a page from the disk [ms]."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page.html"
        text = report.read_text(encoding="utf-8")
        copy.write_text(text.replace("</body>", OBSERVER), encoding="utf-8")
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,900",
            f"--user-data-dir={folder}/profile", "--timeout=6000", "--dump-dom", copy.as_uri(),
        ]  # fmt: skip
        for _ in range(TRIES):
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            if found := re.search(r'<pre id="paint">([\d.]+)', done.stdout):
                return float(found[1])
    raise RuntimeError(f"{browser} painted nothing of {report} in {TRIES} openings")


def rows(reports: Path, rounds: int) -> list[list[str]]:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"needs one of {', '.join(BROWSERS)}")
    pages = sorted(reports.glob("**/*.html"))
    if not pages:
        raise SystemExit(f"{reports} has no page; build the reports first")
    measured = []
    for report in pages:
        first_paint(report, browser)
        times = [first_paint(report, browser) for _ in range(rounds)]
        megabytes = report.stat().st_size / 1e6
        span = f"{min(times):.0f} to {max(times):.0f}"
        name = f"`{report.relative_to(reports)}`"
        measured.append([name, f"{megabytes:.2f}", f"{statistics.median(times):.0f}", span])
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", type=Path)
    asked = parser.parse_args()
    table = page.table("page | MB | first paint, ms | from, to", rows(asked.reports, asked.rounds))
    print(table)
    if asked.markdown:
        text = (
            "Made by `python bench/paint.py --markdown docs/benchmarks.md` from the built reports: "
            f"median of {asked.rounds} openings from the disk in a headless Chromium, 1400 by 900. "
            f"1 MB is 1e6 bytes.\n\n{page.machine()}\n\n{table}"
        )
        page.write_section(asked.markdown, TITLE, text)


if __name__ == "__main__":
    main()
