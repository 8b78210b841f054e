"""Write one section of docs/benchmarks.md, leaving the others."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def machine() -> str:
    """Say what ran the benchmark, without naming it."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next(iter(re.findall(r"model name\s*: (.+)", info.read_text())), model)
    tools = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "polars"))
    return f"{model}, {cores()} cores, Python {platform.python_version()}, {tools}."


def table(header: str, rows: list[list[str]]) -> str:
    rule = "|" + "---|" * header.count(" | ") + "---|"
    return "\n".join([f"| {header} |", rule, *("| " + " | ".join(row) + " |" for row in rows)])


def write_section(page: Path, title: str, text: str) -> None:
    """Replace the section with this title, or add it at the end."""
    old = page.read_text(encoding="utf-8") if page.exists() else "# Benchmarks\n"
    head, *sections = re.split(r"^(?=## )", old, flags=re.MULTILINE)
    new = f"## {title}\n\n{text.strip()}\n"
    titles = [section.splitlines()[0] for section in sections]
    if f"## {title}" in titles:
        sections[titles.index(f"## {title}")] = new
    else:
        sections.append(new)
    page.write_text(
        "\n".join([head.rstrip() + "\n", *(s.rstrip() + "\n" for s in sections)]), encoding="utf-8"
    )
