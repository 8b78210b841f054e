"""Lines of nobody's format that name their values: `step 100, loss: 3.21, lr: 3e-4`.

Read where no format is recognised. Lines with a step (or tokens) and a loss become rows, names
become columns, and the table's aliases say what they mean. What a name does not settle is asked
for: the unit of the losses and what a training loss averages over; which of several losses is
meant, which of several steps, whether tokens are D. `table:` in sweep.yaml answers by name.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.ingest.formats.table import blocks_of_frame, taken
from isoflop.ingest.reading.blocks import Block
from isoflop.ingest.reading.events import Event, Remark, Truncated
from isoflop.ingest.reading.named_values import (
    AS_CSV,
    AXES,
    Alike,
    Lines,
    is_of_training,
    is_set,
    value_of,
)
from isoflop.ingest.reading.patterns import shape_of_line
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.changing_sizes import misnamed, rewarded
from isoflop.ingest.tables.outline import Outline, guess, some
from isoflop.ingest.tables.ranks_of_lines import OneOfRanks, lowest_of_ranks
from isoflop.ingest.words.names import (
    COLUMNS,
    MAY_NAME_RUNS,
    REWARDED,
    find,
    find_epoch,
    may_be_loss,
    plain,
    unit_of,
    updates_by_epoch,
)
from isoflop.ingest.words.split_words import EVALUATED, word_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 13
TAKES_MAP = True
ASKS: Final = ("loss_unit", "loss_kind")
"""Facts that no trainer's habits settle, and that a run asks for."""

BLOCK: Final = 8 << 20
"""Bytes of text taken at once."""
GAPS: Final = 0.01
"""Share of a name's values that may be no plain numbers; with more it is not read."""
FALLS: Final = 0.05
"""Share of the lines whose step may be no higher than that of the line before."""
RISES: Final = 0.99
"""Share of the lines on which tokens rise that are a count of all so far."""
KINDS: Final = 8
"""Kinds of lines with a loss that a file may have."""
_ROW: Final = "line"
_RANK: Final = "rank of the line"
_Asked = tuple[str, dict[str, Any]]
"""What is asked, and what a map may say to it."""
_SAYS: Final = "lines with names and values of no known format"


def scan(file: RawFile, table: TableMap | None) -> Iterator[Block]:
    """Yield what the lines say; see `formats.Reader`."""
    yield from _blocks(gathered(file), table, file)


def read_slowly(file: RawFile, table: TableMap | None) -> Iterator[Block]:
    """Yield the same, read line by line: what `scan` must agree with."""
    yield from _blocks(gathered(file, slowly=True), table, file)


@dataclass(slots=True)
class Gathered:
    """The lines of a file that name values.

    Attributes
    ----------
    pieces : rows of lines with a step and a loss, some at a time, columns by name.
    kinds : of such lines by the words that name no value how many.
    losses : the names of losses, each with the words of a line that has it; a set in order.
    odd : by name its values that are no plain numbers: how many, and the first one's line and text.
    aside : by name the losses on lines that say no step: how many.
    truncated : whether the file ends within a line.
    bare : whether what is called by the bare name of a set is looked for, and no loss by name.
    columns_of_losses : the columns that are losses.
    ranks : whose lines are left out, once that is known.
    """

    bare: bool = False
    ranks: OneOfRanks | None = None
    pieces: list[pl.DataFrame] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    losses: dict[tuple[str, str], None] = field(default_factory=dict)
    columns_of_losses: set[str] = field(default_factory=set)
    odd: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    aside: Counter[str] = field(default_factory=Counter)
    truncated: bool = False

    def add(self, alike: Alike) -> None:
        """Take in lines of one form."""
        form, rows = alike.form, alike.rows
        if not form.tells_axis:
            names = {pair.name for pair in form.pairs if self._is_loss(pair.name)}
            self.aside.update(dict.fromkeys(names, rows.len()))
            return
        kind = shape_of_line(form.kind)  # without what may be private
        self.kinds[kind] += rows.len()
        ranks = alike.ranks.cast(pl.Int64, strict=False)
        columns: dict[str, pl.Series] = {_ROW: rows, _RANK: ranks}
        for pair, texts in zip(form.pairs, alike.texts, strict=True):
            loss = self._is_loss(pair.name)
            name = f"{kind}: {pair.name}" if kind else pair.name
            name = name if loss else plain(pair.name)
            if loss:
                self.losses.setdefault((pair.name, kind))
            numbers = _numbers(pair.name, texts) if pair.plain else texts.clear(texts.len())
            wrong = numbers.is_null()
            if wrong.any():
                self._odd(name, rows.filter(wrong), texts.filter(wrong))
            if name in columns:  # two names that differ in their case
                name = f"{name} ({pair.place})"
            self.columns_of_losses |= {name} if loss else set()
            columns[name] = numbers.cast(pl.Float64)
        self.pieces.append(pl.DataFrame(columns))

    def _is_loss(self, name: str) -> bool:
        """Tell whether a value is one that is looked for."""
        return is_set(name) if self.bare else may_be_loss(name)

    def _odd(self, name: str, rows: pl.Series, texts: pl.Series) -> None:
        at = int(rows.arg_min() or 0)
        count, row, text = self.odd.get(name, (0, int(rows[at]), str(texts[at])))
        if rows[at] < row:
            row, text = int(rows[at]), str(texts[at])
        self.odd[name] = count + rows.len(), row, text

    def frame(self) -> pl.DataFrame:
        """Give all rows in the order of the file; names that are mostly no numbers are left out.

        Losses have the words of their line before their names, unless all lines that have the name
        have the same words, which do not say that it is none of training.
        """
        raw = pl.concat(self.pieces, how="diagonal").sort(_ROW)
        axes = [name for name in raw.columns if plain(name) in AXES]
        self.ranks = lowest_of_ranks(
            raw, row=_ROW, rank=_RANK, axes=axes, losses=self.columns_of_losses
        )
        raw = self.ranks.kept.drop(_RANK)
        bare = self._bare()
        raw = raw.rename(lambda name: bare.get(name, name))
        self.odd = {bare.get(name, name): told for name, told in self.odd.items()}
        filled = {name: raw[name].count() for name in raw.columns if name != _ROW}
        kept = [n for n, c in filled.items() if c and self.odd.get(n, (0,))[0] <= GAPS * raw.height]
        return raw.select(kept)

    def _bare(self) -> dict[str, str]:
        """Name the losses that need no words of their line before them."""
        kinds: dict[str, list[str]] = {}
        for name, kind in self.losses:
            kinds.setdefault(name, []).append(kind)
        return {
            f"{of_name[0]}: {name}": name
            for name, of_name in kinds.items()
            if len(of_name) == 1 and of_name[0]
            and (is_of_training(of_name[0]) or not is_of_training(name))
        }  # fmt: skip

    def remarks(self, read: Sequence[str]) -> Iterator[str]:
        """Say what else the lines have.

        Parameters
        ----------
        read : the names that became columns.
        """
        if self.ranks is not None and self.ranks.lowest is not None:
            lowest, others = self.ranks.lowest, some([str(rank) for rank in self.ranks.others])
            yield f"of the lines of ranks {lowest}, {others} those of {lowest} are read"
        for name, (count, row, text) in sorted(self.odd.items(), key=lambda told: told[1][1]):
            what = "are gaps" if name in read else "so it is not read"
            why = "are no plain numbers"
            if "," in text:
                why = "may have a decimal or a thousands mark"
            yield f"{count} values of '{name}' {why} (first in line {row}: '{text}'), {what}"
        if self.aside:
            listed = ", ".join(f"'{name}' on {count}" for name, count in sorted(self.aside.items()))
            yield f"not read, since their lines say no step: {listed} lines"


def _numbers(name: str, texts: pl.Series) -> pl.Series:
    """Read the values of a name."""
    numbers = texts.cast(pl.Float64, strict=False)
    odd = texts.filter(numbers.is_null()).unique()
    read = {text: value for text in odd if (value := value_of(name, text)) is not None}
    if not read:
        return numbers
    return numbers.fill_null(texts.replace_strict(read, default=None, return_dtype=pl.Float64))


def gathered(file: RawFile, *, slowly: bool = False) -> Gathered:
    """Gather the lines of a file that name a loss, or else those that name a set: `train 3.21`.

    Raises
    ------
    RefusedError : too many of them have a form of their own.
    """
    told = _gathered(file, slowly=slowly, bare=False)
    if told.pieces:
        return told
    return _gathered(file, slowly=slowly, bare=True)


def _gathered(file: RawFile, *, slowly: bool, bare: bool) -> Gathered:
    told, lines, row = Gathered(bare=bare), Lines(bare=bare), 1
    for piece in file.blocks(BLOCK):
        end = piece.rfind(b"\n") + 1
        complete = piece[:end].decode().split("\n")[:-1]
        for alike in (lines.alike_one_by_one if slowly else lines.alike)(complete, row):
            told.add(alike)
        row += len(complete)
        if piece[end:] or not piece:  # an empty piece: damaged compression ended the text
            told.truncated = True
    return told


def _blocks(told: Gathered, table: TableMap | None, file: RawFile) -> Iterator[Block]:
    """Yield the records, and what to know of the file."""
    if told.truncated:
        yield _told([Truncated()])
    if not told.pieces:
        raise RefusedError(f"no line has a step, or tokens, and a loss by name. {AS_CSV}")
    if len(told.kinds) > KINDS:
        raise RefusedError(
            f"{_SAYS}; those with a step and a loss are of {len(told.kinds)} kinds by their other "
            f"words: too irregular to be read. {AS_CSV}"
        )
    raw = told.frame()
    if table is None and (reward := rewarded(raw)) is not None:
        raise RefusedError(f"{REWARDED.format(reward)}; a map reads it all the same ('table:')")
    remarks = [*told.remarks(raw.columns)]
    if table is None and told.bare:
        raise _sets_asked(raw)
    if table is None:
        others = misnamed(raw)
        raw = raw.drop(others)
        table, words = _settled(raw, remarks, told.ranks)
        remarks = [*words, *remarks, *others.values()]
    yield _told([Remark(words) for words in remarks])
    yield from blocks_of_frame(raw, table, stem=file.stem, restarts=file.run is not None)


def _told(events: Sequence[Event]) -> Block:
    return Block(pl.DataFrame(schema={"row": pl.Int64}), tuple((-1, event) for event in events))


def _settled(
    raw: pl.DataFrame, remarks: Sequence[str], ranks: OneOfRanks | None
) -> tuple[TableMap, list[str]]:
    """Map names by the table's aliases, where nothing is left to guess.

    Parameters
    ----------
    raw : the rows.
    remarks : what else the lines have.
    ranks : whose lines are left out.

    Raises
    ------
    RefusedError : something is; and the map that sweep.yaml can give instead.
    """
    beside = f" ({'; '.join(remarks)})" if remarks else ""
    known = [name for name in raw.columns if len(plain(name)) > 1 and not _names_run(name)]
    if not any(may_be_loss(name) for name in known):
        raise RefusedError(f"{_SAYS}{beside}. {AS_CSV}")
    outline = Outline.of(raw.select(known))
    outline.what = f"{_SAYS}{beside}; the names"
    table = guess(outline, lambda *_: True)
    sets = {*table.evals.values(), *table.bits_per_byte.values()}
    columns = {value: origin.column for value, origin in table.columns.items()}
    sets |= {columns.get("eval_loss")}  # type: ignore[arg-type]
    losses = [name for name in raw.columns if name not in sets and _may_be_trained_on(name)]
    if (evaluated := _evaluated_beside(losses, table)) is not None:
        table.columns["eval_loss"] = TableColumn(column=evaluated)
        losses.remove(evaluated)
    asked = [*_names_asked(raw, columns, losses), *_steps_asked(raw, columns)]
    asked += [] if ranks is None else ranks.asked()
    if asked:
        raise _refusal(asked, columns, raw.columns)
    return table, taken(Outline.of(raw), table)


def _evaluated_beside(losses: Sequence[str], table: TableMap) -> str | None:
    """Find the loss of other lines that say that they evaluate: `Validation at step 8: loss 3.2`.

    Parameters
    ----------
    losses : the names that may be of training, and are of no eval set by themselves.
    """
    known = table.columns.get("train_loss")
    evaluated = [name for name in losses if _EVALUATED.search(name.lower())]
    if table.evals or "eval_loss" in table.columns or known is None or len(evaluated) != 1:
        return None
    return evaluated[0] if known.column != evaluated[0] else None


def _sets_asked(raw: pl.DataFrame) -> RefusedError:
    """Ask whether values that are called by the bare names of sets are losses."""
    sets = [name for name in raw.columns if is_set(name.rpartition(": ")[2])]
    if not sets:  # none of them has plain numbers
        return RefusedError(f"{_SAYS}. {AS_CSV}")
    trained = next((n for n in sets if is_of_training(n)), None)
    evaluated = next((n for n in sets if n != trained), None)
    columns = {value: find(value, raw.columns) for value in ("step", "tokens", "lr")}
    are = "are losses, and no accuracies" if len(sets) > 1 else "is a loss, and no accuracy"
    why = f"they name no loss: if {_listed(sets)} {are}, say so"
    return _refusal([(why, {"train_loss": trained, "eval_loss": evaluated})], columns, raw.columns)


def _names_asked(
    raw: pl.DataFrame, columns: Mapping[str, str | None], losses: Sequence[str]
) -> Iterator[_Asked]:
    """Ask which name is meant where several of equal standing may be.

    Parameters
    ----------
    columns : by value the name that its aliases give.
    losses : the names that may be the training loss.
    """
    if len(losses) > 1 or (losses and "train_loss" not in columns):
        several = "several losses" if len(losses) > 1 else "a loss that may be another's"
        evaluated = [name for name in losses if _EVALUATED.search(name.lower())]
        trained = [name for name in losses if name not in evaluated]
        likely = {"train_loss": columns.get("train_loss", next(iter(trained), losses[0]))}
        if len(evaluated) == 1 and columns.get("eval_loss") is None and trained:
            likely["eval_loss"] = evaluated[0]
        yield f"they have {several}, {_listed(losses)}: say which is the training loss", likely
    steps = sorted(filter(_counts, raw.columns), key=_rather_of_updates)
    if len(steps) > 1 and any(_rivals(raw, columns.get("step"), name) for name in steps):
        apart = raw.select(pl.sum_horizontal(pl.col(n).is_not_null() for n in steps).max()).item()
        quoted = ", ".join(json.dumps(name) for name in steps)
        step = {"formula": f"coalesce({quoted})"} if apart == 1 else steps[0]
        yield f"they have several steps, {_listed(steps)}: say which counts updates", {"step": step}
    counts = [name for name in raw.columns if len(name) > 1 and plain(name) in COLUMNS["tokens"]]
    if len(counts) > 1:
        why = f"they have several counts of tokens, {_listed(counts)}: say which is D"
        yield why, {"tokens": counts[0]}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _names_run(name: str) -> bool:
    return plain(name) in {*COLUMNS["run"], *MAY_NAME_RUNS}


def _counts(name: str) -> bool:
    """Tell what may count updates: `global iter` beside `iter`, which then counts micro-batches."""
    words = plain(name)
    rate = re.search(r"(?:^|[^a-z])per(?:$|[^a-z])|/", words) is not None
    known = len(name) > 1 and words in COLUMNS["step"]
    return known or (not rate and _COUNT.fullmatch(words) is not None)


def _rivals(raw: pl.DataFrame, step: str | None, name: str) -> bool:
    """Tell whether a name may count updates in place of the step, by its values.

    Sizes of updates (`update 0.011`) and updates between two lines (`updates 10`) count none, and
    a name whose values are the step's counts the same.

    Parameters
    ----------
    step : the name that is known as the step; None where none is.
    """
    if step is None or not _is_count(raw[step].drop_nulls()):
        return True
    values = raw.select(pl.col(step), there=pl.col(name)).drop_nulls("there")
    equal = values.select((pl.col(step) == pl.col("there")).fill_null(value=False).all()).item()
    return name != step and not equal and _is_count(values["there"])


def _is_count(values: pl.Series) -> bool:
    """Tell whether numbers are whole, and rise somewhere."""
    return bool((values == values.floor()).all() and (values.diff() > 0).any())


_COUNT: Final = re.compile(r"(?:.*[^a-z])?(?:steps?|iters?|iterations?|updates?)")


_OF_UPDATES: Final = word_of(frozenset({"opt", "optim", "optimizer", "optimiser", "global"}))
_OF_BATCHES: Final = word_of(frozenset({"micro", "microbatch", "local", "accum", "accumulation"}))
_EVALUATED: Final = re.compile(word_of(EVALUATED))


def _rather_of_updates(name: str) -> tuple[int, int]:
    """Give the place of a step among several, the likeliest count of updates first."""
    words, known = plain(name), COLUMNS["step"]
    of_batches = re.search(_OF_BATCHES, words) is not None
    place = 2 if of_batches else 1 - (re.search(_OF_UPDATES, words) is not None)
    return place, known.index(words) if words in known else len(known)


def _may_be_trained_on(name: str) -> bool:
    """Tell a loss that may be the training loss, or a part or a mean of it."""
    scales = re.search("scale|weight|coef", plain(name)) is not None  # of mixed precision, or parts
    return may_be_loss(name) and not scales and unit_of(name) in {None, "nats_per_token"}


def _refusal(
    asked: Sequence[_Asked], columns: Mapping[str, str | None], names: Sequence[str]
) -> RefusedError:
    """Refuse the lines, and propose a map; a choice of None leaves a value out."""
    values = ("step", "tokens", "train_loss", "eval_loss", "lr")
    wanted: dict[str, Any] = {value: columns.get(value) for value in values}
    for _, chosen in asked:
        wanted |= chosen
    reasons = "; ".join(why for why, _ in asked)
    flow = ", ".join(
        f"{value}: {json.dumps(name, ensure_ascii=False)}"
        for value, name in wanted.items()
        if name is not None
    )
    proposal = f"table:\n    rows: points\n    columns: {{{flow}}}"
    return RefusedError(
        f"{_SAYS}; {reasons}; in sweep.yaml, by a map of names such as:\n  {proposal}\n"
        f"The names are: {some(names)}",
        proposal,
    )


def _steps_asked(raw: pl.DataFrame, columns: Mapping[str, str | None]) -> Iterator[_Asked]:
    """Ask about steps that are none of a run, and tokens that are no count of all so far."""
    step, tokens = columns.get("step"), columns.get("tokens")
    loss = columns.get("train_loss") or columns.get("eval_loss")
    rows = raw if loss is None else raw.filter(pl.col(loss).is_not_null())
    axis = step if step is not None else tokens
    if axis is None or rows.is_empty():
        return
    back = rows[axis].diff() <= 0
    falls = int(back.sum())
    epoch = find_epoch(raw.columns)
    anew = 0 if epoch is None else int((back & (rows[epoch].diff() > 0)).sum())
    if step is not None and epoch is not None and anew and 2 * anew > falls:
        first = int(raw[epoch].min() or 0)  # type: ignore[arg-type]
        formula = updates_by_epoch(epoch, first, step)
        of = f"{step}_of"
        if of in raw.columns and (rows[step] <= rows[of]).all():
            formula = formula.replace("<steps of an epoch>", f'"{of}"')
        yield (
            f"'{step}' counts anew in every epoch ({anew} times): say how many updates have been "
            f"made",
            {"step": {"formula": formula}},
        )
    elif falls > FALLS * rows.height:
        yield (
            f"'{axis}' is no higher than on the line before on {falls} of {rows.height} lines, as "
            f"where several ranks, runs or micro-batches print: leave the lines of one, or say "
            f"what counts updates",
            {},
        )
    if tokens is not None and step is not None:
        both = rows.drop_nulls([step, tokens])
        further = both[step].diff() > 0
        rising = int((further & (both[tokens].diff() > 0)).sum())
        if rising < RISES * int(further.sum()):
            yield (
                f"'{tokens}' does not rise with '{step}', so it is no count of all tokens so far: "
                f"if it counts those of a step, leave it out and say tokens_per_step under facts:",
                {"tokens": None},
            )
