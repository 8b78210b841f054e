"""Rebuild a corpus from its recipe: out of a local mirror, or file by file from its sources."""

from __future__ import annotations

import hashlib
import lzma
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING
from urllib.parse import quote

from isoflop.fetching import FetchError, in_mirror, mirror_hint
from isoflop.files import replacing, sweep_up
from isoflop.train.corpus import NOVEL_END, CorpusError

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.fetching import Download
    from isoflop.train.recipe import Recipe, Source

TEI = "{http://www.tei-c.org/ns/1.0}"
BLOCKS = frozenset(TEI + name for name in ("div", "head", "p", "l", "trailer"))
"""Elements that begin and end a paragraph of the folded text."""
DROPPED = frozenset(TEI + name for name in ("note",))
"""Elements left out with their content: they are the editors', not the novel's."""


def fetch_corpus(
    recipe: Recipe,
    out: Path,
    *,
    mirror: Path | None,
    download: Download,
) -> str:
    """Write a corpus text, from the mirror if it is there, else from the recipe's sources.

    Parameters
    ----------
    recipe : sources, size and digest.
    out : the text to write; nothing is written unless the digest is right.
    mirror : folder that may hold `corpora/<name>.txt.xz`; None for none.
    download : gives a local copy of what lies at an address, as ``isoflop.fetching.downloader``.

    Returns
    -------
    Where the text came from, in words.

    Raises
    ------
    CorpusError : the text has another digest than the recipe says.
    FetchError : a source cannot be read.
    """
    wanted = f"corpora/{recipe.name}.txt.xz"
    packed = in_mirror(mirror, wanted)
    if packed is not None:
        origin = f"the mirror ({packed.name})"
        text = _unpack(packed)
    else:
        origin = f"{len(recipe.novels())} files of their repositories"
        hint = mirror_hint(mirror, "--mirror", wanted)

        def fetch(url: str) -> bytes:
            try:
                return download(url).read_bytes()
            except FetchError as error:
                raise FetchError(f"{recipe.name}: {error}. {hint}") from error

        text = b"".join(
            novel_text(fetch(address(source, file)), source.format, file) + NOVEL_END
            for source in recipe.sources
            for file in source.files
        )
    digest = hashlib.sha256(text).hexdigest()
    if digest != recipe.sha256:
        raise CorpusError(
            f"{recipe.name}: the text from {origin} has sha256 {digest[:12]}... and {len(text)} "
            f"bytes; the recipe says {recipe.sha256[:12]}... and {recipe.bytes}. Nothing was "
            f"written: the sources or the mirror are not those of the recipe"
        )
    sweep_up(out.parent)
    with replacing(out) as partial:
        partial.write_bytes(text)
    return origin


def address(source: Source, file: str) -> str:
    """Give the address of one file at its source's commit."""
    return source.address.format(
        repository=source.repository,
        commit=source.commit,
        path=quote(f"{source.folder}/{file}"),
    )


def novel_text(content: bytes, kind: str, name: str) -> bytes:
    """Give one novel's text, its white space folded.

    Raises
    ------
    FetchError : the content is not what its kind says.
    """
    try:
        folded = fold_text(content.decode("utf-8-sig")) if kind == "text" else fold_tei(content)
    except (UnicodeDecodeError, ET.ParseError) as error:
        raise FetchError(f"{name}: cannot be read as {kind}: {error}") from error
    if not folded:
        raise FetchError(f"{name}: holds no text")
    return folded.encode("utf-8")


def fold_text(text: str) -> str:
    """Fold plain text: runs of blanks to one blank, and blank lines to at most one.

    Single line breaks stay: some of the sources have one line per paragraph.
    """
    text = re.sub(r"\r\n?", "\n", text)
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def fold_tei(content: bytes) -> str:
    """Fold a TEI document: the text of its body, a blank line between paragraphs.

    Headings, paragraphs and lines of verse become paragraphs, with white space folded to single
    blanks; mark-up and editors' notes go.
    """
    body = ET.fromstring(content).find(f".//{TEI}body")  # noqa: S314 - expat resolves no entities
    if body is None:
        return ""
    paragraphs: list[str] = []
    pieces: list[str] = []

    def flush() -> None:
        paragraph = " ".join("".join(pieces).split())
        if paragraph:
            paragraphs.append(paragraph)
        pieces.clear()

    def walk(element: ET.Element) -> None:
        if element.tag not in DROPPED:
            block = element.tag in BLOCKS
            if block:
                flush()
            pieces.append(element.text or "")
            for child in element:
                walk(child)
                pieces.append(child.tail or "")
            if block:
                flush()

    walk(body)
    flush()
    return "\n\n".join(paragraphs)


def _unpack(packed: Path) -> bytes:
    try:
        return lzma.decompress(packed.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise FetchError(
            f"{packed}: cannot be unpacked ({error}); take the file away to build the corpus "
            f"from its sources"
        ) from error
