"""Text from logs, file names and side-cars, made harmless for where it is printed.

One function per target. HTML, Typst and LaTeX are written by pandoc from Markdown, so `markdown`
and `code` guard all three: what they return is read as plain characters, and pandoc escapes those
for each format. Text from outside is never put into Markdown, a link, a CSV cell or a figure by
another way.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import quote

from markupsafe import escape

from isoflop.errors import IsoflopError

STAND_IN: Final = "\N{REPLACEMENT CHARACTER}"
PUNCTUATION: Final = re.compile(r"([!-/:-@\[-`{-~])")
"""ASCII punctuation: everything that Markdown may read as markup, and may have a backslash."""
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters at which a spreadsheet takes a cell of text for a formula."""
TEX: Final = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
}  # fmt: skip
"""Signs that TeX reads as commands."""
TEX_GREEK: Final = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\varepsilon",
    "ζ": r"\zeta", "η": r"\eta", "θ": r"\theta", "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu",
    "ν": r"\nu", "ξ": r"\xi", "π": r"\pi", "ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau",
    "φ": r"\varphi", "χ": r"\chi", "ψ": r"\psi", "ω": r"\omega", "Γ": r"\Gamma",
    "Δ": r"\Delta", "Θ": r"\Theta", "Λ": r"\Lambda", "Σ": r"\Sigma", "Φ": r"\Phi", "Ω": r"\Omega",
}  # fmt: skip
TEX_FORMULAS: Final = {
    **TEX_GREEK,
    "\N{MINUS SIGN}": "-", "×": r"\times", "÷": r"\div", "·": r"\cdot", "±": r"\pm", "√": r"\surd",
    "≤": r"\le", "≥": r"\ge", "≠": r"\ne", "≈": r"\approx", "≪": r"\ll", "≫": r"\gg",
    "∼": r"\sim", "∝": r"\propto", "∞": r"\infty", "→": r"\to", "←": r"\leftarrow",
    "↔": r"\leftrightarrow", "↑": r"\uparrow", "↓": r"\downarrow", "⇒": r"\Rightarrow",
    "↵": r"\hookleftarrow",
}  # fmt: skip
TEX_CHARACTERS: Final = {
    **{sign: f"${command}$" for sign, command in TEX_FORMULAS.items()},
    **{
        raised: f"\\textsuperscript{{{printed}}}"
        for raised, printed in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", [*"0123456789+", "$-$"], strict=True)
    },
    "°": r"\textdegree{}", "µ": r"$\mu$", "†": r"\dag{}", "‡": r"\ddag{}", "§": r"\S{}",
    "¶": r"\P{}", "•": r"\textbullet{}", "…": r"\dots{}",
    "\N{HYPHEN}": "-", "\N{NON-BREAKING HYPHEN}": "-",
    "\N{EN DASH}": "--", "\N{EM DASH}": "---", "’": "'", "‘": "`", "“": "``", "”": "''",
    "\N{NO-BREAK SPACE}": "~", "\N{NARROW NO-BREAK SPACE}": r"\,", "\N{THIN SPACE}": r"\,",
    "\N{HAIR SPACE}": r"\,",
}  # fmt: skip
"""What LaTeX prints in place of characters that its standard fonts lack.

Every sign that the report writes of itself is among them (tests/report/test_tex.py).
"""
TEX_UNKNOWN: Final = "?"
"""What stands for a character of a log that is neither among them nor a letter of T1 fonts."""
MARKUP: Final = re.compile(
    r"(?P<fence>`+) ?(?P<code>.+?) ?(?P=fence)(?!`)|\\(?P<sign>[!-/:-@\[-`{-~])"
    r"|~(?P<below>[^~ ]+)~|\*"
)
"""The Markdown that our own sentences and tables use: code, escapes, subscripts, emphasis."""
BREAK: Final = "⏎"
"""The report's own sign for a line break in a cell (numbers.BREAK): text from outside has none."""
TURNING: Final = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Classes of the characters that turn the reading direction (Unicode Annex 9)."""


def markdown(text: str) -> str:
    """Write a text as one line of Markdown that reads as these characters and nothing else.

    Line breaks and runs of blanks become one blank: a line of its own could start a heading, a
    rule or a list.
    """
    line = one_line(text)
    return PUNCTUATION.sub(r"\\\1", line)


def paragraphs(text: str) -> str:
    """Write a text of several paragraphs, each as `markdown` does."""
    parts = (markdown(part) for part in re.split(r"\n[ \t]*\n", text))
    return "\n\n".join(part for part in parts if part)


def code(name: str) -> str:
    """Write a name as code: the fence is longer than any run of backticks in it.

    Blanks stand inside the fence, so a backtick at either end of the name is not part of it.
    Control characters, line breaks among them, become visible signs: a table cell is one line.
    """
    shown = visible(name)
    if not shown.strip():
        return f"(a name of {len(name)} blanks)" if name else "(no name)"
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {shown} {fence}"


def html(text: str) -> str:
    """Write a text into HTML that no template makes, such as a notebook's."""
    return str(escape("".join(_sign(character) for character in text)))


def code_block(text: str) -> str:
    """Write lines as a block of code: the fence is longer than any run of tildes in them."""
    lines = [visible(line) for line in text.split("\n")]
    longest = max((len(run) for line in lines for run in re.findall(r"~+", line)), default=0)
    fence = "~" * max(longest + 1, 3)
    return "\n".join([fence, *lines, fence])


def bibtex(text: str, *, key: bool = False) -> str:
    """Write a text into a field of BibTeX, or into an entry's key, which takes few characters.

    Signs that TeX reads as commands are written as it prints them.
    """
    if key:
        return re.sub(r"[^A-Za-z0-9-]+", "-", text).strip("-") or "sweep"
    line = one_line(text)
    return "".join(TEX.get(character, character) for character in line)


def tex_characters(source: str) -> str:
    """Write LaTeX that pandoc made in characters that every LaTeX prints.

    Single letters in italics are variables, and become formulas. Letters that T1 fonts have stay; a
    character that neither they nor `TEX_CHARACTERS` know, which only a log can bring, becomes a
    question mark, since it would stop the compilation.
    """
    formulas = re.sub(
        r"\\emph\{(\w)\}(\*?)",
        lambda m: f"${TEX_GREEK.get(m[1], m[1])}{chr(94) + chr(92) + 'ast' if m[2] else ''}$",
        source,
    )
    return "".join(c if c.isascii() else _tex_character(c) for c in formulas)


def _tex_character(character: str) -> str:
    letter = "\N{LATIN CAPITAL LETTER A WITH GRAVE}" <= character <= "\u00ff"
    return TEX_CHARACTERS.get(character, character if letter else TEX_UNKNOWN)


def unmarked(text: str) -> str:
    """Read our own Markdown as the characters that it prints, for a cell of a CSV.

    Also what `markdown` and `code` wrote. A subscript follows a low line: N_opt.
    """

    def printed(match: re.Match[str]) -> str:
        if match["below"] is not None:
            return f"_{match['below']}"
        return match["code"] or match["sign"] or ""

    return MARKUP.sub(printed, text)


def csv_cell(text: str) -> str:
    """Keep a spreadsheet from running a cell of text: an apostrophe goes before a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def link(*parts: str) -> str:
    """Write a relative link to a file below this page's folder, every part percent-encoded.

    Raises
    ------
    IsoflopError
        If a part leads out of the folder.
    """
    for part in parts:
        if part in {"", ".", ".."}:
            raise IsoflopError(f"no link can be made to {'/'.join(parts)!r}: rename the folder")
    # a colon in a first part would be read as a protocol, and is encoded like all the rest
    return "/".join(quote(part, safe="") for part in parts)


def mathtext(text: str) -> str:
    """Write a text into a figure: a dollar sign does not start a formula."""
    return visible(text).replace("$", r"\$")


def identifier(name: str) -> str:
    """Write a name into the identifier of an element of a figure."""
    return re.sub(r"[^A-Za-z0-9._+/-]", "-", name)


def one_line(text: str) -> str:
    """Write a text on one line: no sign of it is unseen, or moves a terminal's cursor."""
    return " ".join(visible(re.sub(r"\s+", " ", text)).split())


def lines(text: str) -> str:
    """Write a text of several lines for a terminal or a log, each with its indentation."""
    return "\n".join(visible(line.expandtabs(4)) for line in text.split("\n"))


def visible(text: str) -> str:
    """Replace what is not seen, or turns the reading direction: it could disguise a name."""
    return "".join(_sign(character) for character in text)


def _sign(character: str) -> str:
    if character == BREAK:
        return "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"
    point, category = ord(character), unicodedata.category(character)
    if category == "Cc":
        if point < 0x20:
            return chr(0x2400 + point)
        return "\N{SYMBOL FOR DELETE}" if point == 0x7F else STAND_IN
    # surrogates, unassigned and private characters, line separators
    if category in {"Cs", "Cn", "Co", "Zl", "Zp"}:
        return STAND_IN
    return STAND_IN if unicodedata.bidirectional(character) in TURNING else character
