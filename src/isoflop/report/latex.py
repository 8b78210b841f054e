r"""Tables for a paper: floats with booktabs rules, siunitx's numbers, a caption and a label.

None is wider than the text of LaTeX's own article at 10 pt. What a column holds decides how it is
set: numbers in columns `S`, other short entries as they are, sentences in columns that wrap; then
the largest type is taken in which all columns fit. Widths are estimated from Computer Modern's, and
a test has TeX measure every table (tests/report/test_tex.py).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TABLE_MARK: Final = "%ISOFLOPTABLE"
"""The line that tabular.lua writes before each table."""
BREAK: Final = re.compile(r"\s*(?<!\\)%BREAK\s*")

ARTICLE: Final = 345.0
"""How many points the text of an article at 10 pt is wide, on either paper."""
TEXT_WIDTH: Final = ARTICLE - 2.0
"""What a table may take of them: widths are estimated."""
TEXT_HEIGHT: Final = 470.0
"""Points that a table and its caption may take; one that is taller breaks over pages."""


@dataclass(frozen=True, slots=True)
class Size:
    """A size of type: how wide its letters are beside those of 10 pt, and its lines' distance."""

    command: str
    scale: float
    leading: float
    gap: float
    """Half the space between columns, in points."""


SIZES: Final = (
    Size("", 1.0, 12.0, 6.0),
    Size("\\small", 0.93, 11.0, 5.0),
    Size("\\footnotesize", 0.86, 9.5, 4.0),
    Size("\\footnotesize", 0.86, 9.5, 2.5),
    Size("\\scriptsize", 0.81, 8.0, 2.0),
)
WORD: Final = 14
"""Letters after which a word may be broken where its column wraps: files' names have no blanks."""
BREAKABLE: Final = "\\allowbreak{}"
LINES: Final = 6
"""A sentence that wraps to more lines than this asks for smaller type, and a name of three does."""
LABEL: Final = 100.0
"""Points at 10 pt; what is longer wraps before short names of laws and runs do."""
MANY: Final = 40
"""Rows; where there are more, cells of three lines ask for it already."""


@dataclass(slots=True)
class Cells:
    """A table as tabular.lua writes it: LaTeX in every part."""

    key: str
    caption: str = ""
    aligns: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_cells(written: str) -> list[Cells]:
    """Read what tabular.lua wrote."""
    tables: list[Cells] = []
    lines = iter(written.split("\n"))
    for line in lines:
        if line == TABLE_MARK:
            tables.append(Cells(next(lines, "")))
        elif line == "%CAPTION":
            tables[-1].caption = next(lines, "")
        elif line == "%HEAD":
            tables[-1].aligns.append(next(lines, ""))
            tables[-1].heads.append(next(lines, ""))
        elif line == "%ROW":
            tables[-1].rows.append([])
        elif line == "%CELL":
            tables[-1].rows[-1].append(next(lines, ""))
        elif line == "%NOTE":
            tables[-1].notes.append(next(lines, ""))
    return tables


def write_float(cells: Cells) -> str:
    """Write a table as a float, or over several pages where one does not hold it."""
    columns = [
        _Column.of(align, head, [row[place] for row in cells.rows])
        for place, (align, head) in enumerate(zip(cells.aligns, cells.heads, strict=True))
    ]
    size, widths = _fit(columns)
    around = 24.0 + 12.0 * _lines(cells.caption, TEXT_WIDTH)
    around += sum(12.0 * _lines(note, TEXT_WIDTH) for note in cells.notes)
    heights = [
        max((c.lines(row, w, size) for c, w in zip(columns, widths, strict=True)), default=1)
        for row in range(len(cells.rows))
    ]
    tall = around + size.leading * (sum(heights) + 2) > TEXT_HEIGHT
    return _Layout(cells, columns, size, widths).write(tall=tall)


# ---- what a column holds

SIGNED: Final = r"(?:\$-\$|\+)?"
POWER: Final = re.compile(
    rf"(?:(?P<mantissa>{SIGNED}\d[\d.]*)~\$\\times\$~)?10\\textsuperscript"
    r"\{(?P<minus>\$-\$)?(?P<power>\d+)\}"
)
NUMBER: Final = re.compile(rf"{SIGNED}\d+(?:\.\d+)?")
MARKED: Final = re.compile(rf"({SIGNED}\d+(?:\.\d+)?)(~\\%|\\d?dag\{{\}})")
EMPTY: Final = ("", "---")


def _siunitx(line: str) -> str:
    """Give powers of ten, and numbers alone or with a sign behind them, to siunitx."""

    def num(match: re.Match[str]) -> str:
        minus = "-" if match["minus"] else ""
        return f"\\num{{{_plain(match['mantissa'] or '')}e{minus}{match['power']}}}"

    powers = POWER.sub(num, line)
    if NUMBER.fullmatch(powers):
        return f"\\num{{{_plain(powers)}}}"
    marked = MARKED.fullmatch(powers)
    return f"\\num{{{_plain(marked[1])}}}{marked[2]}" if marked else powers


def _plain(number: str) -> str:
    return number.replace("$-$", "-")


@dataclass(slots=True)
class _Column:
    """A column: its cells as lines of LaTeX, and what they are."""

    align: str
    head: list[str]
    cells: list[list[str]]
    numbers: str = ""
    """siunitx's format where all are plain numbers: +1.3."""

    @classmethod
    def of(cls, align: str, head: str, cells: Sequence[str]) -> _Column:
        filled = [cell for cell in cells if cell not in EMPTY]
        heads = [_siunitx(line) for line in BREAK.split(head)]
        if filled and align == "r" and all(NUMBER.fullmatch(cell) for cell in filled):
            plain = [_plain(cell) for cell in filled]
            integers = max(len(text.lstrip("+-").split(".")[0]) for text in plain)
            digits = max(len(text.partition(".")[2]) for text in plain)
            sign = next((s for s in "+-" if any(text.startswith(s) for text in plain)), "")
            numbers = f"{sign}{integers}.{digits}" if digits else f"{sign}{integers}"
            return cls(align, heads, [[_plain(cell)] for cell in cells], numbers)
        return cls(align, heads, [[_siunitx(line) for line in BREAK.split(c)] for c in cells])

    def natural(self) -> float:
        """Give the width of the longest line without its head, at 10 pt."""
        if self.numbers:
            integers, _, digits = self.numbers.strip("+-").partition(".")
            sign = 7.8 if self.numbers[0] in "+-" else 0.0
            return sign + 5.0 * (int(integers) + int(digits or 0)) + (2.9 if digits else 0.0)
        return max((width(line) for cell in self.cells for line in cell), default=0.0)

    def least(self) -> float:
        """Give the width below which a word would not fit, at 10 pt."""
        words = [
            word
            for cell in self.cells
            for line in cell
            for word in _words(_broken(line), inside=True)
        ]
        return max((width(word) for word in (*words, *self.head_words())), default=0.0)

    def head_words(self) -> list[str]:
        return [word for line in self.head for word in _words(line)]

    def narrow(self) -> float:
        """Give the width with its head wrapped, and its cells not."""
        return max(self.natural(), *(width(word) for word in self.head_words()), 0.0)

    def full(self) -> float:
        return max(self.natural(), *(width(line) for line in self.head), 0.0)

    def lines(self, row: int, share: float | None, size: Size) -> int:
        if share is None:
            return len(self.cells[row])
        return sum(_lines(line, share / size.scale) for line in self.cells[row])

    @property
    def wraps(self) -> bool:
        """Whether it holds sentences or names: what stands left."""
        return self.align != "r" and not self.numbers


def _fit(columns: Sequence[_Column]) -> tuple[Size, list[float | None]]:
    """Choose the largest type in which all fits, and the widths of columns that wrap."""
    rows = len(columns[0].cells) if columns else 0
    none, every = [False] * len(columns), [True] * len(columns)
    left = [column.wraps for column in columns]
    sentences = [column.wraps and column.natural() > LABEL for column in columns]
    few = LINES if rows <= MANY else 2
    tries = (
        (none, SIZES[:3], 0), (sentences, SIZES[1:], few), (none, SIZES, 0), (left, SIZES[1:], 2),
        (every, SIZES[1:], few),
    )  # fmt: skip
    for wrapping, sizes, most in tries:
        for size in sizes:
            widths = _shares(columns, size, wrapping)
            if widths is None:
                continue
            highest = max(
                (
                    column.lines(row, share, size)
                    for column, share in zip(columns, widths, strict=True)
                    if share is not None
                    for row in range(len(column.cells))
                ),
                default=0,
            )
            if highest <= most or size is SIZES[-1]:
                return size, widths
    return SIZES[-1], [None for _ in columns]


def _shares(
    columns: Sequence[_Column], size: Size, wrapping: Sequence[bool]
) -> list[float | None] | None:
    """Share the text's width: what wraps has what the others leave; None where it is too little."""
    left = TEXT_WIDTH - 2 * size.gap * (len(columns) - 1)
    pairs = list(zip(columns, wrapping, strict=True))
    left -= sum(column.narrow() * size.scale for column, wraps in pairs if not wraps)
    least = {i: c.least() * size.scale + 1.0 for i, (c, wraps) in enumerate(pairs) if wraps}
    if sum(least.values()) > left or left < 0:
        return None
    wanted = {i: max(columns[i].full() * size.scale + 1.0, least[i]) for i in least}
    given: dict[int, float] = {}
    # who wants less than an equal share leaves the rest to the others
    open_, rest = dict(wanted), left
    while open_:
        equal = rest / len(open_)
        content = [i for i in open_ if open_[i] <= equal or least[i] >= equal]
        for i in content or list(open_):
            given[i] = max(min(open_.pop(i), equal), least[i])
            rest -= given[i]
    if sum(given.values()) > left + 0.1:
        spare = left - sum(least.values())
        over = sum(given[i] - least[i] for i in given) or 1.0
        given = {i: least[i] + spare * (given[i] - least[i]) / over for i in given}
    return [given.get(i) for i in range(len(columns))]


# ---- how it is written


@dataclass(frozen=True, slots=True)
class _Layout:
    cells: Cells
    columns: Sequence[_Column]
    size: Size
    widths: Sequence[float | None]

    def write(self, *, tall: bool) -> str:
        packages = "array, booktabs, siunitx" + (", longtable" if tall else "")
        wide = all(w is None for w in self.widths) and self.estimated() > TEXT_WIDTH + 2
        packages += ", graphicx" if wide else ""
        return "\n".join(
            [
                f"% It needs T1 fonts and the packages {packages}.",
                *(self._pages() if tall else self._float(wide=wide)),
                "",
            ]
        )

    def estimated(self) -> float:
        columns = sum(column.narrow() for column in self.columns) * self.size.scale
        return columns + 2 * self.size.gap * (len(self.columns) - 1)

    def _float(self, *, wide: bool) -> Iterator[str]:
        yield "\\begin{table}"
        yield "\\centering"
        yield self._caption()
        yield "\\par\\smallskip"
        yield from self._type()
        if wide:
            yield "\\resizebox{\\linewidth}{!}{%"
        yield f"\\begin{{tabular}}{{{self._spec()}}}"
        yield from self._head()
        yield from self._rows()
        yield "\\bottomrule"
        yield "\\end{tabular}" + ("}" if wide else "")
        yield from self._notes()
        yield "\\end{table}"

    def _pages(self) -> Iterator[str]:
        yield "\\begingroup"
        yield from self._type()
        yield f"\\begin{{longtable}}{{{self._spec()}}}"
        yield f"{self._caption()} \\\\"
        yield from self._head()
        yield "\\endfirsthead"
        yield from self._head()
        yield "\\endhead"
        yield "\\bottomrule"
        yield "\\endlastfoot"
        yield from self._rows()
        yield "\\end{longtable}"
        yield from self._notes()
        yield "\\endgroup"

    def _caption(self) -> str:
        return f"\\caption{{{_siunitx(self.cells.caption)}}}\\label{{tab:{self.cells.key}}}"

    def _type(self) -> Iterator[str]:
        if self.size.command:
            yield self.size.command
        yield f"\\setlength{{\\tabcolsep}}{{{self.size.gap:g}pt}}"

    def _notes(self) -> Iterator[str]:
        for note in self.cells.notes:
            yield "\\par\\smallskip"
            # outside a float a paragraph is indented, and the box would stand out by as much
            yield f"\\noindent\\parbox{{\\linewidth}}{{\\footnotesize {note}}}"

    def _spec(self) -> str:
        specs = []
        for column, share in zip(self.columns, self.widths, strict=True):
            if share is not None:
                ragged = "\\raggedleft" if column.align == "r" else "\\raggedright"
                part = math.floor(share / ARTICLE * 1000) / 1000
                specs.append(f">{{{ragged}\\arraybackslash}}p{{{part:.3f}\\linewidth}}")
            elif column.numbers:
                plus = ", retain-explicit-plus" if column.numbers[0] == "+" else ""
                specs.append(f"S[table-format={column.numbers}{plus}]")
            else:
                specs.append(column.align)
        return "@{}" + "".join(specs) + "@{}"

    def _head(self) -> Iterator[str]:
        yield "\\toprule"
        yield self._line(
            self._stacked(column, self._wrapped_head(column), share, bottom=True)
            for column, share in zip(self.columns, self.widths, strict=True)
        )
        yield "\\midrule"

    def _wrapped_head(self, column: _Column) -> list[str]:
        """Break a head into lines where the table needs the room, and share what is left of it."""
        pairs = list(zip(self.columns, self.widths, strict=True))
        free = [each for each, share in pairs if share is None]
        given = sum(share for share in self.widths if share is not None)
        spare = TEXT_WIDTH - given - 2 * self.size.gap * (len(pairs) - 1)
        spare /= self.size.scale
        longer = [each for each in free if each.full() > each.narrow()]
        enough = sum(each.full() for each in free) <= spare
        if enough or not any(each is column for each in longer):
            return column.head
        spare = max(spare - sum(each.narrow() for each in free), 0.0)
        wide = column.narrow() + spare / len(longer)
        return [line for head in column.head for line in _filled(head, wide)]

    def _rows(self) -> Iterator[str]:
        for row in range(len(self.cells.rows)):
            yield self._line(
                self._stacked(column, column.cells[row], share)
                for column, share in zip(self.columns, self.widths, strict=True)
            )

    @staticmethod
    def _line(cells: Iterator[str]) -> str:
        return " & ".join(cells) + " \\\\"

    @staticmethod
    def _stacked(
        column: _Column, lines: Sequence[str], share: float | None, *, bottom: bool = False
    ) -> str:
        # a line break would read a bracket or a star behind it as its own
        safe = [f"{{{line}}}" if line.startswith(("[", "*")) else line for line in lines]
        if share is not None:
            if column.numbers and not bottom and safe[0] not in EMPTY:
                safe = [f"\\num{{{safe[0]}}}"]
            return " \\newline ".join(_broken(line) for line in safe)
        text = safe[0]
        if len(safe) > 1:
            place = "b" if bottom else "t"
            stack = " \\\\ ".join(safe)
            text = f"\\begin{{tabular}}[{place}]{{@{{}}{column.align}@{{}}}}{stack}\\end{{tabular}}"
        bare = not column.numbers or (not bottom and text not in EMPTY)
        return text if bare else f"{{{text}}}"


# ---- how wide it is

WIDTHS: Final = {
    **dict.fromkeys("iljt.,:;!'|()[]~` ", 3.7),
    **dict.fromkeys("frsI", 3.95), **dict.fromkeys("acez0123456789?/", 5.0),
    **dict.fromkeys("bdhknopquvxygSJ", 5.56), **dict.fromkeys("mwMW", 9.2),
    "W": 10.3, "-": 3.4, "=": 7.8, "+": 7.8,
}  # fmt: skip
OTHER: Final = 8.4
TYPEWRITER: Final = 5.3
SCALED: Final = {"textbf": 1.17, "textsuperscript": 0.75, "textsubscript": 0.75}
TOKEN: Final = re.compile(r"\\([A-Za-z]+)\s*|\\(.)|([{}$])|(.)", re.DOTALL)
SILENT: Final = frozenset({"emph", "num", "text", "allowbreak", "newline", "(", ")", "ast"})


def width(latex: str) -> float:
    """Estimate how many points a line of our LaTeX takes at 10 pt, a little too many."""
    total, scales, code = 0.0, [1.0], [False]
    following, typed, exponent = 1.0, False, False
    in_num = 0
    for command, sign, brace, letter in TOKEN.findall(latex):
        if brace == "{":
            scales.append(scales[-1] * following)
            code.append(code[-1] or typed)
            in_num = in_num + 1 if (in_num or exponent) else 0
            following, typed, exponent = 1.0, False, False
        elif brace == "}":
            scales[:], code[:] = scales[:-1] or [1.0], code[:-1] or [False]
            in_num = max(in_num - 1, 0)
        elif command:
            following, typed, exponent = (
                SCALED.get(command, 1.0),
                command == "texttt",
                command == "num",
            )
            if command not in SILENT and command not in SCALED and not typed:
                total += scales[-1] * (TYPEWRITER if code[-1] else OTHER)
        elif letter or sign:
            character = letter or sign
            if sign and sign in SILENT:
                continue
            if in_num and character == "e":
                # times ten, with its thin spaces
                total += scales[-1] * 25.0
                continue
            each = TYPEWRITER if code[-1] else WIDTHS.get(character, OTHER)
            total += scales[-1] * each
    return total


def _words(latex: str, *, inside: bool = False) -> list[str]:
    """Part a line at blanks, or also at those inside of braces, and where a break is allowed."""
    words, depth, formula, word = [], 0, False, ""
    for match in TOKEN.finditer(latex):
        text = match[0]
        if match[3] == "{":
            depth += 1
        elif match[3] == "}":
            depth -= 1
        elif match[3] == "$":
            formula = not formula
        if inside and word.endswith("-") and text == "-":
            # TeX may break behind a dash
            words.append(word + text)
            word = ""
        elif match[1] == "allowbreak" or (text == " " and (inside or not depth) and not formula):
            words.append(word)
            word = ""
        else:
            word += text
    return [word for word in (*words, word) if word]


def _filled(line: str, wide: float) -> list[str]:
    """Fill lines of a width with words."""
    lines: list[str] = []
    for word in _words(line):
        if lines and width(f"{lines[-1]} {word}") <= wide:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def _lines(line: str, wide: float) -> int:
    """Estimate how many lines a text takes in a column that wraps."""
    lines, taken = 1, 0.0
    for word in _words(_broken(line), inside=True):
        each = width(word)
        if taken and taken + 3.4 + each > wide:
            lines, taken = lines + 1, each
        else:
            taken += 3.4 + each if taken else each
    return lines


def _broken(line: str) -> str:
    """Allow breaks in names: behind their signs, and within what has no sign for long."""
    # signs so far since a blank; the depth of braces that a name's code has, -1 just before them
    out, run, code, depth = "", 0, 0, 0
    for match in TOKEN.finditer(line):
        command, sign, brace, letter = match.groups()
        out += match[0]
        if brace == "{":
            depth += 1
            if code == -1:
                code = depth
        elif brace == "}":
            if code == depth:
                code = 0
            depth -= 1
        elif command:
            if command == "texttt":
                code = -1
            run += 1
        elif letter == " ":
            run = 0
        else:
            run += 1
        behind = code > 0 and (sign == "_" or (letter and letter in "/-.,"))
        long = (letter or sign) and run >= (WORD if code > 0 else 2 * WORD)
        if code >= 0 and (behind or long):
            out += BREAKABLE
            run = 0
    return out.removesuffix(BREAKABLE)
