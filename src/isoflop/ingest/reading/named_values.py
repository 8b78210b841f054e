r"""Names and values in lines of nobody's format: `step 100, loss: 3.21, lr: 3e-4`.

A line is words, numbers and what stands between them. Words right before a number, with nothing but
blanks, a colon or an equals sign between, are its name; other words are the line's kind, such as
`[val]`. What a line means depends on its form alone, which is the line without the digits of its
numbers: lines of one form are read together, by what one of them says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.textlog import LABEL_OF_RANK
from isoflop.ingest.words.names import COLUMNS, may_be_loss, plain
from isoflop.ingest.words.numbers import number
from isoflop.ingest.words.split_words import EVALUATED, TRAINED, word_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WORD: Final = r"[A-Za-z_][A-Za-z0-9_./@-]*"
_NUMBER: Final = r"[-+]?(?:[0-9]+(?:,[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
TOKEN: Final = f"({_WORD})|{_NUMBER}"
"""A word or a number; digits within a word are its own. Python and Rust read it alike."""
_NOT_FINITE: Final = ("nan", "inf", "infinity")
_JOINT: Final = re.compile(r"[ \t'\"`]*(?:[:=]|->|=>)?[ \t'\"`]*(?:\[ *)?[-+]?")
"""What may stand between a name and its value; `Step [100/600]` is common."""
_LEVELS: Final = frozenset(
    ("debug", "info", "warning", "warn", "error", "critical", "trace", "am", "pm", "utc", "gmt")
)
"""Words of time stamps and levels of loggers, which say nothing of a line's values."""
_UNIT: Final = re.compile(
    r"(?i)[munp]?s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?|[kmgt]i?b|[kmgtp]?flops?"
    r"|(?:tok|tokens?|it|iters?|steps?|samples?|seqs?|[kmgtp]?flops?)/(?:s|sec|second|gpu)"
    r"|[mu]?s(?:ec)?/(?:it|iter|step|tok)|tokens?|steps?|iters?|it|tok"
)
"""Units, which say nothing of a line's values where they stand alone."""
_BEFORE_STEPS: Final = ("at", "after")
"""Words that may stand between two values, `Eval 4 at step 8000`; prose begins with them."""
_ENDS: Final = "./@-"
_OTHER_LOSS: Final = re.compile(
    word_of(
        EVALUATED
        | {"held", "ema", "avg", "average", "averaged", "mean", "running", "moving", "smooth",
           "smoothed"}
    )
)  # fmt: skip
"""Words by which a line's loss is none of training, or not that of one step."""
_SETS: Final = TRAINED | EVALUATED
LONGEST: Final = 4_000
"""Characters of a line beyond which it is none of values."""
PAIRS: Final = 64
"""Values of a line beyond which it is a list of something."""
FORMS: Final = 1_000
"""Forms of lines that a file may have."""
AS_CSV: Final = (
    "Write a row a step to CSV, with columns step, train_loss and val_loss, and drop that in"
)
"""What always works."""

AXES: Final = frozenset(
    name for value in ("step", "tokens") for name in COLUMNS[value] if len(name) > 1
)
_COUNTED: Final = frozenset(
    name
    for value in ("step", "tokens", "params.total", "params.active", "params.nonembedding",
                  "tokens_per_step")
    for name in COLUMNS[value]
)  # fmt: skip
"""Names of whole numbers, in which a comma can be a thousands mark alone."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A named value in lines of one form.

    Attributes
    ----------
    name : the words before it.
    place : which token of the line it is.
    plain : whether it is a number and nothing more: no unit, no range, no time.
    """

    name: str
    place: int
    plain: bool


@dataclass(frozen=True, slots=True)
class Form:
    """What lines of one form say.

    Attributes
    ----------
    pairs : their named values; a name that comes twice has its count behind it.
    kind : the words that name no value, digits as #.
    """

    pairs: tuple[Pair, ...]
    kind: str

    @property
    def is_record(self) -> bool:
        """Whether such a line says how far training had gone, and a loss."""
        return self.tells_axis and self.tells_loss

    @property
    def tells_axis(self) -> bool:
        """Whether such a line says how far training had gone."""
        return any(plain(pair.name) in AXES for pair in self.pairs if pair.plain)

    @property
    def tells_loss(self) -> bool:
        """Whether something in such a line is called like a loss."""
        return any(may_be_loss(pair.name) for pair in self.pairs)

    @property
    def tells_set(self) -> bool:
        """Whether something in such a line is called by the bare name of a set."""
        return any(is_set(pair.name) for pair in self.pairs if pair.plain)


def is_set(name: str) -> bool:
    """Tell whether a value is called by the bare name of a set: a loss on it, or an accuracy."""
    return plain(name) in _SETS


def is_of_training(words: str) -> bool:
    """Tell whether words beside a loss leave no doubt that it is one of training, at one step."""
    return _OTHER_LOSS.search(words.lower()) is None


_LABEL: Final = f"^{LABEL_OF_RANK}:?"
_AsNamed = tuple[tuple[tuple[str, ...], str, str], ...]
_AS_NAMED: Final[_AsNamed] = (
    (
        ("16(", "32(", "64(", "int8(", "tensor(", "Array("),
        r"\b(?:(?:np|numpy|jnp|torch)\.)?(?:b?float(?:16|32|64)|u?int(?:8|16|32|64)|tensor|Array"
        r"|DeviceArray)\(\[?([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?|nan|inf)\]?"
        r"(?:, *[a-z_]+=[^()\n]*)?\)",
        r"\1",
    ),
    (("logging_writer.py:",), r"\blogging_writer\.py:[0-9]+\] \[([0-9]+)\]", r"step \1,"),
    (("Step... (",), r"\bStep\.\.\. \(([0-9]+)", r"step \1"),
    (("Iter(train)",), r"\bIter\(train\) +\[ *([0-9]+)/ *([0-9]+)\]", r"iter \1/\2"),
    (
        ("Epoch(train)",),
        r"\bEpoch\(train\) +\[([0-9]+)\]\[ *([0-9]+)/ *([0-9]+)\]",
        r"epoch \1, iter \2/\3",
    ),
    (
        ("inished ", "ompleted ", "one "),
        r"\b(?:[Ff]inished|[Cc]ompleted|[Dd]one)(?: training)? (step|iter|iteration)\b",
        r"\1",
    ),
)
"""What to read lines as: texts of which a line has one, the pattern (Python's and Rust's alike).

NumPy, PyTorch and JAX print numbers with their type: `np.float32(7.08)`, `tensor(7.08, device=..)`.
CLU, MMEngine, minimind and the examples of PyTorch and Flax print steps, or batches of an epoch,
without names.
"""
_BATCHES: Final[_AsNamed] = (
    (
        ("poch [", "poch:[", "poch: [", "poch[", "poch :"),
        r"\b[Ee]poch ?:? ?\[ *([0-9]+)/ *([0-9]+)\] ?[(\[] *([0-9]+)/ *([0-9]+)[)\]]",
        r"epoch \1/\2, iter \3/\4",
    ),
    ((" batches",), r"([|,] *)([0-9]+)/ *([0-9]+) batches\b", r"\1iter \2/\3"),
    (
        ("atch ", "atches ", "atch: ", "atches: "),
        r"\b[Bb]atch(?:es)?:? +\[?([0-9]+)/ *([0-9]+)\]?",
        r"iter \1/\2",
    ),
)
"""The same of batches of an epoch, which count updates where the line says no step besides."""
_STEPPED: Final = (
    r"(?:^|[^a-zA-Z/ _.@-]) *(?:(?:INFO|DEBUG|at|after) +)?(?:(?:[Gg]lobal|[Tt]raining)[ _])?"
    r"(?:[Ss]teps?|STEPS?|[Ii]ter(?:ation)?s?|ITER(?:ATION)?S?|[Nn]um_updates)"
    r"['\"]? *[:=]? *[\[(]? *[0-9]+(?:[^0-9.]|$)"
)
"""A step and its number; none is behind a slash, `per`, or words that make it another name."""


def unwrapped(line: str) -> str:
    """Write a line without the rank before it, with names and numbers as others print them."""
    line = re.sub(_LABEL, "", line)
    for _, pattern, written in _AS_NAMED:
        line = re.sub(pattern, written, line)
    for _, pattern, written in () if re.search(_STEPPED, line) else _BATCHES:
        line = re.sub(pattern, written, line)
    return line


def _unwrapped(lines: pl.Series, *, labelled: bool) -> pl.Series:
    """Do the same for many lines, some of which may have a rank before them."""
    lines = lines.str.replace(_LABEL, "") if labelled else lines
    for texts, pattern, written in _AS_NAMED:
        if lines.str.contains_any(list(texts)).any():
            lines = lines.str.replace_all(pattern, _in_rust(written))
    if not any(lines.str.contains_any(list(texts)).any() for texts, *_ in _BATCHES):
        return lines
    stepped = lines.str.contains(_STEPPED)
    for texts, pattern, written in _BATCHES:
        if lines.str.contains_any(list(texts)).any():
            read = lines.str.replace_all(pattern, _in_rust(written))
            lines = lines.zip_with(stepped, read)
    return lines


def _in_rust(written: str) -> str:
    """Write a replacement as Rust has it."""
    return re.sub(r"\\([0-9])", r"${\1}", written)


_SPLIT: Final = re.compile(TOKEN, re.ASCII)


def form_of(line: str) -> Form:
    """Say what a line means, and with it all lines that differ from it in their numbers alone."""
    tokens = [*_SPLIT.finditer(line)] if len(line) <= LONGEST else []
    pairs: list[Pair] = []
    words: list[str] = []
    free: list[str] = []
    begun: list[str] = []  # words with a colon behind them, before those of a name
    end, last = 0, ""  # last: what the token before was
    for place, token in enumerate(tokens):
        gap, end = line[end : token.start()], token.end()
        text = token[0]
        bare = text.rstrip(_ENDS)
        named = bool(words) and _JOINT.fullmatch(gap) is not None
        if token[1] is None or (bare.lower() in _NOT_FINITE and named):
            if named:
                before, words = _before_step(words, between=bool(pairs))
                free += before
                name = " ".join(words)
                of_loss = bool(begun) and may_be_loss(name)
                free += [] if of_loss else begun
                pairs.append(
                    Pair(f"{' '.join(begun)}: {name}" if of_loss else name, place, plain=True)
                )
                last = "value"
            else:
                free += begun + words
                behind = pairs if last == "value" else []
                _after_value(behind, gap, place, closed=line[end : end + 1] == ")")
                last = "number"
            words, begun = [], []
        elif last in {"value", "number"} and (gap == "" or _is_unit(line, tokens, place)):
            _with_unit(pairs, last, "" if gap == "" else bare)
            last = "unit"
        else:
            if words and gap not in {" ", "_"}:
                free += begun
                begun, words = words, []
                if not gap.startswith(":"):
                    free += begun
                    begun = []
            if bare.lower() not in _LEVELS:
                words.append(bare)
            last = "word"
        if last == "value" and line[end : end + 1] not in _CLOSES:
            follows = tokens[place + 1].start() == end if place + 1 < len(tokens) else False
            if not follows:
                _spoil(pairs, last)
    free += begun + words
    kind = re.sub("[0-9]+", "#", " ".join(word for word in free if not _UNIT.fullmatch(word)))
    return Form(_numbered(pairs) if len(pairs) <= PAIRS else (), kind)


_LOSS_UNITS: Final = frozenset({"bpb", "bpc", "bits", "nats", "nat", "bits/token", "nats/token"})


def _before_step(words: list[str], *, between: bool) -> tuple[list[str], list[str]]:
    """Divide words before a value into what is no name of it, and its name.

    `Eval 4 at step 8000` and `Validation at step 100: loss 6.1` name a step.
    """
    at = next((place for place, word in enumerate(words) if word in _BEFORE_STEPS), None)
    if at is None or not (words[at + 1 :] if at == 0 and between else is_axis(words[at + 1 :])):
        return [], words
    return words[:at], words[at + 1 :]


def is_axis(words: Sequence[str]) -> bool:
    """Tell whether words name how far training had gone."""
    return plain(" ".join(words)) in AXES


def _is_unit(line: str, tokens: Sequence[re.Match[str]], place: int) -> bool:
    """Tell whether a word is the unit of a loss before it, and has no value of its own."""
    if tokens[place][0].lower() not in _LOSS_UNITS:
        return False
    if place + 1 == len(tokens):
        return True
    gap = line[tokens[place].end() : tokens[place + 1].start()]
    return tokens[place + 1][1] is not None or _JOINT.fullmatch(gap) is None


def _with_unit(pairs: list[Pair], last: str, unit: str) -> None:
    """Note the unit of the last value; without a word of its own, it is no plain number."""
    if not unit:
        _spoil(pairs, last)
    elif last == "value":
        pairs[-1] = Pair(f"{pairs[-1].name} ({unit})", pairs[-1].place, pairs[-1].plain)


_CLOSES: Final = frozenset(["", *" \t\n,;|)]}>\"'`/:.&"])
"""What may stand right behind a number that is one; a percentage sign may not."""


def _after_value(pairs: list[Pair], gap: str, place: int, *, closed: bool) -> None:
    """Take in a number without a name.

    Parameters
    ----------
    pairs : the values so far, if the last of them is right before it.
    closed : whether a bracket is closed right behind it.
    """
    if not pairs:
        return
    if gap.strip() == "/":  # 100/5000
        pairs.append(Pair(f"{pairs[-1].name} of", place, plain=True))
    elif gap.strip() == "(" and closed:  # the value, and the mean of all so far
        pairs.append(Pair(f"{pairs[-1].name} in brackets", place, plain=True))
    elif not gap.strip() or gap.strip() in {":", "-", "+", "+/-"}:
        _spoil(pairs, "value")


def _spoil(pairs: list[Pair], last: str) -> None:
    """Note that the last value is no plain number."""
    if last == "value":
        pairs[-1] = Pair(pairs[-1].name, pairs[-1].place, plain=False)


def _numbered(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Tell values of one name apart by their order."""
    seen: dict[str, int] = {}
    named = []
    for pair in pairs:
        seen[pair.name] = count = seen.get(pair.name, 0) + 1
        name = pair.name if count == 1 else f"{pair.name} ({count})"
        named.append(Pair(name, pair.place, pair.plain))
    return tuple(named)


def value_of(name: str, text: str) -> float | None:
    """Read a value; None of one whose comma could be a decimal or a thousands mark."""
    if text.rstrip(_ENDS).lower() in _NOT_FINITE:
        return float(text.rstrip(_ENDS))
    if "," in text and plain(name) not in _COUNTED:
        return None
    return number(text)


# -- many lines ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Alike:
    """Lines of one form.

    Attributes
    ----------
    form : their form.
    rows : their numbers in the file.
    texts : of each pair the values as written, line by line.
    ranks : the rank before each line, where a launcher wrote one.
    """

    form: Form
    rows: pl.Series
    texts: tuple[pl.Series, ...]
    ranks: pl.Series


_SKELETON: Final = "\0"
"""Stands for a number, and ends a word, where only the form of a line is asked; no log has it."""
MAY_TELL_LOSS: Final = r"(?i)loss|entropy|nll|xent|bpc|bpb|bits?|ppl|perplexity|nat|ce"
"""Something without which no name is one of a loss."""
MAY_TELL_SET: Final = r"(?i)train|val|test|dev"
"""Something without which no name is one of a set."""


class Lines:
    """Says what a file's lines mean, some at a time.

    Only those with something that is called like a loss are looked at.

    Parameters
    ----------
    bare : whether those with something that is called by the bare name of a set are, instead.
    """

    def __init__(self, *, bare: bool = False) -> None:
        self._forms: dict[str, Form] = {}
        self._bare = bare
        self._words = MAY_TELL_SET if bare else MAY_TELL_LOSS

    def alike(self, lines: Sequence[str], first: int) -> Iterator[Alike]:
        """Say what lines mean, those of one form at once.

        Parameters
        ----------
        lines : without their ends.
        first : the number of the first one in the file.

        Raises
        ------
        RefusedError : too many of them have a form of their own.
        """
        frame = (
            pl.DataFrame({"line": pl.Series(lines, dtype=pl.String)})
            .with_row_index("row", offset=first)
            .cast({"row": pl.Int64})
            .filter(
                pl.col("line").str.contains(self._words),
                pl.col("line").str.len_chars() <= LONGEST,
            )
        )
        labelled = frame["line"].str.contains(_LABEL).any()
        label = pl.coalesce(pl.col("line").str.extract(_LABEL, at) for at in (1, 2))
        frame = frame.with_columns(
            _unwrapped(frame["line"], labelled=labelled),
            rank=label if labelled else pl.lit(None, pl.String),
        ).with_columns(skeleton=pl.col("line").str.replace_all(TOKEN, f"${{1}}{_SKELETON}"))
        heads = frame.unique("skeleton", keep="first", maintain_order=True)
        for skeleton, line in heads.select("skeleton", "line").iter_rows():
            self._form(skeleton, line)
        for (skeleton,), group in frame.group_by("skeleton", maintain_order=True):
            form = self._forms[str(skeleton)]
            if self._is_told(form):
                tokens = group.select(pl.col("line").str.extract_all(TOKEN)).to_series()
                texts = (tokens.list.get(pair.place) for pair in form.pairs)
                yield Alike(form, group["row"], tuple(texts), group["rank"])

    def alike_one_by_one(self, lines: Sequence[str], first: int) -> Iterator[Alike]:
        """Say what lines mean one by one: slow, and what `alike` must agree with."""
        for row, labelled in enumerate(lines, first):
            if len(labelled) > LONGEST or not re.search(self._words, labelled):
                continue
            label = re.match(_LABEL, labelled)
            line = unwrapped(labelled)
            ranks = pl.Series([label and (label[1] or label[2])], dtype=pl.String)
            skeleton = _SPLIT.sub(lambda token: (token[1] or "") + _SKELETON, line)
            self._form(skeleton, line)
            form = form_of(line)
            if self._is_told(form):
                tokens = [token[0] for token in _SPLIT.finditer(line)]
                texts = [pl.Series([tokens[pair.place]], dtype=pl.String) for pair in form.pairs]
                yield Alike(form, pl.Series([row], dtype=pl.Int64), tuple(texts), ranks)

    def _is_told(self, form: Form) -> bool:
        """Tell whether lines of a form have what is looked for."""
        return form.tells_set if self._bare else form.tells_loss

    def _form(self, skeleton: str, line: str) -> None:
        """Remember the form of a line, which its skeleton decides."""
        if skeleton in self._forms:
            return
        if len(self._forms) == FORMS:
            raise RefusedError(
                f"lines with names and values of no known format, of more than {FORMS} forms that "
                f"differ in their words: too irregular to be read. {AS_CSV}"
            )
        self._forms[skeleton] = form_of(line)
