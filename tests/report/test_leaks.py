"""No sign of Markdown, of a template or of a missing value reaches a reader."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from isoflop.report.document import write_document
from tests.outputs import leaks, leaks_of, leaks_of_pdfs

if TYPE_CHECKING:
    from tests.report.conftest import Rendered


@pytest.mark.parametrize(
    "text",
    [
        "do not hold. ::: {.callout} How", "0.46[^own-interval]", "a << b >>", "**1 Envelope**",
        "Hoffmann’s $L(N, D)$", "a = nan", "None FLOPs", "`x`{=html}", "[80 %: 1–2]{.ci}", "1 ⏎ 2",
        "<% endfor %>",
    ],
)  # fmt: skip
def test_a_leak_is_seen(text: str) -> None:
    assert leaks(text)


def test_prose_is_no_leak() -> None:
    assert leaks("Nantes, nanometre; [a] (b) {c} 10^3 * 2 < 3 :: N*, 95 %†") == []


@pytest.mark.parametrize("kind", ["rendered", "bare", "refused"])
def test_nothing_leaks_into_pages_and_tables(kind: str, request: pytest.FixtureRequest) -> None:
    built: Rendered = request.getfixturevalue(kind)
    assert leaks_of(built.root) == {}


@pytest.mark.parametrize("kind", ["rendered", "bare", "refused"])
def test_nothing_leaks_into_the_pdf(kind: str, request: pytest.FixtureRequest) -> None:
    built: Rendered = request.getfixturevalue(kind)
    assert leaks_of_pdfs(built.root) == {}


@pytest.mark.parametrize("kind", ["rendered", "bare", "refused"])
def test_every_fence_has_a_blank_line_before_it(kind: str, request: pytest.FixtureRequest) -> None:
    built: Rendered = request.getfixturevalue(kind)
    lines = write_document(built.inputs).markdown.split("\n")
    opened = [i for i, line in enumerate(lines) if re.match(r"::: \{|!\[|\| |#+ ", line)]
    starts = [i for i in opened if not (lines[i].startswith("|") and lines[i - 1].startswith("|"))]
    assert len(starts) > 20
    assert [lines[i - 1 : i + 1] for i in starts if i and lines[i - 1].strip()] == []
