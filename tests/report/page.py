"""Reading a report's HTML back: balance, ids, links, tables, words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input", "col"}
SILENT = {"style", "script", "math", "svg", "annotation"}


@dataclass
class Page(HTMLParser):
    """What a page contains."""

    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    figures: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    unbalanced: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._table = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.attributes |= found.keys()
        self.labels += [found[name] for name in ("alt", "aria-label", "title") if name in found]
        if tag not in VOID:
            self._open.append(tag)
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found.get("href", ""))
        elif "href" in found:
            self.sources.append(found["href"])
        if "src" in found:
            self.sources.append(found["src"])
        if tag == "svg":
            self.figures.append(found)
        self._in_table(tag, found)

    def _in_table(self, tag: str, found: dict[str, str]) -> None:
        if tag == "table":
            self._table = found.get("id", "")
            self.tables[self._table] = []
        elif tag == "tr":
            self.tables[self._table].append([])
        elif tag in {"td", "th"}:
            self.tables[self._table][-1].append("")
            if tag == "th":
                self.headers.append(found)
        elif tag == "br" and self._cell():
            self.tables[self._table][-1][-1] += "\n"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self._open or self._open[-1] != tag:
            self.unbalanced.append(tag)
            return
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if not SILENT & set(self._open):
            self.words.append(data)
        if self._cell():
            self.tables[self._table][-1][-1] += " ".join(data.split("\n"))

    def _cell(self) -> bool:
        return "td" in self._open or "th" in self._open


def read_page(html: str) -> Page:
    """Parse a page."""
    page = Page()
    page.feed(html)
    page.close()
    return page


def tokens(text: str) -> set[str]:
    """Give the words and numbers of a text."""
    return set(re.findall(r"[A-Za-z0-9][A-Za-z0-9.,]*[A-Za-z0-9]|[A-Za-z0-9]", text))
