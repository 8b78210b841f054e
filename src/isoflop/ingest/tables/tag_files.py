"""What TensorBoard's pages export: a tag of a run as `Wall time,Step,Value`, a file each.

Nothing but the file's name says which run and which tag it is: `run-N0-tag-train_loss.csv`,
`N0_val_loss.csv`, `N0/train_loss.csv`. Slashes of either are underscores there. Trainers that write
a file a metric, `step,value`, are read so, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from isoflop.config.sidecar import TableColumn, TableMap
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.outline import OR_EVALUATED, as_block
from isoflop.ingest.words.names import COLUMNS, EVAL_LOSS, loss_by_words, may_be_loss, plain
from isoflop.ingest.words.split_words import EVALUATED, TRAINED, VALIDATED, any_of, word_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

_EXPORT: Final = ("wall_time", "step", "value")
_PAIR: Final = 2
_TOLD: Final = re.compile(r"(?:run-)?(.*?)[-_. ]?\btag-(.+)")
_SPLIT: Final = re.compile(r"[-_. ]+")
_EVALUATED: Final = re.compile(word_of(EVALUATED))
_OF_SET: Final = re.compile(r"(?:eval|val|valid|validation)_(.+)_(?:loss|ce_loss|lm_loss)")
_FOLDER: Final = re.compile(rf"(?:^|[-_. ])({any_of(TRAINED | VALIDATED)})$")
"""Ends the name of a run that wrote a folder a split, as Keras does."""
_SPLIT_WORDS: Final = re.compile(any_of(TRAINED | EVALUATED))
"""Is in tags that say their split themselves."""
UNNAMED: Final = "run"
"""Names the one run of files that have nothing but their tags in their names."""


def with_its_tag(raw: pl.DataFrame, stem: str) -> tuple[pl.DataFrame, str, str] | None:
    """Call the values of such a file what its name says.

    Parameters
    ----------
    raw : its rows.
    stem : its path without endings.

    Returns
    -------
    The rows, the run, and words for both; None of another table.

    Raises
    ------
    RefusedError : its name has no loss's tag; and the map by which it is one.
    """
    names = tuple(map(plain, raw.columns))
    folder, _, last = stem.rpartition("/")
    run, tag = _run_and_tag(last)
    if names != _EXPORT and not _is_of_metric(names, tag):
        return None
    split = None if _SPLIT_WORDS.search(_flat(tag)) else _FOLDER.search(run.lower())
    column = _column(tag, evaluated=split is not None and not split[1].startswith("train"))
    if split is not None:
        run = run[: split.start()]
    run = "/".join(filter(None, [folder, run])) or UNNAMED
    if column is None:
        raise _refusal(raw, tag, run if tag else stem)
    what = "TensorBoard's export of the tag" if names == _EXPORT else "a file of the metric"
    words = f"{what} '{tag}' of run '{run}', by the file's name: {column}"
    return raw.rename({raw.columns[-1]: column}), run, words


def _is_of_metric(names: Sequence[str], tag: str) -> bool:
    """Tell a file of one metric, `N0/val_loss.csv`: steps and values, and a loss's name."""
    if len(names) != _PAIR or names[0] not in COLUMNS["step"]:
        return False
    says_more = names[1] == "value" or (names[1] == "loss" and _SPLIT_WORDS.search(_flat(tag)))
    return bool(says_more) and _KNOWN.get(_flat(tag)) in ("train_loss", "val_loss")


def _run_and_tag(name: str) -> tuple[str, str]:
    """Divide a file's name; the tag is empty where nothing in it is known."""
    if told := _TOLD.fullmatch(name):
        return told[1], told[2]
    places = [0, *(match.end() for match in _SPLIT.finditer(name))]
    at = next((place for place in places if _flat(name[place:]) in _KNOWN), None)
    return (name, "") if at is None else (name[:at].rstrip("-_. "), name[at:])


def _column(tag: str, *, evaluated: bool) -> str | None:
    """Name a tag as tables name such columns; None of what is no loss.

    Parameters
    ----------
    evaluated : whether its run's folder is that of an eval set.
    """
    flat = _flat(tag)
    if (told := _OF_SET.fullmatch(flat)) and not loss_by_words(flat):
        return f"eval/{told[1]}/loss"
    kind = _KNOWN.get(flat) or ("train_loss" if loss_by_words(tag) else None)
    if kind not in ("train_loss", "val_loss"):
        return None
    return "val_loss" if evaluated or _EVALUATED.search(flat) else kind


def _flat(name: str) -> str:
    """Write a name as those of files are."""
    return re.sub(r"[^a-z0-9]+", "_", plain(name))


_KNOWN: Final = {
    _flat(name): kind
    for kind, names in (
        *((value, COLUMNS[value]) for value in ("lr", "grad_norm")),
        ("train_loss", COLUMNS["train_loss"]),
        ("val_loss", EVAL_LOSS),
    )
    for name in names
}
"""What tags are, by their names as files have them."""


def _refusal(raw: pl.DataFrame, tag: str, run: str) -> RefusedError:
    """Refuse a file whose tag is none of a loss, or is not known."""
    _, step, value = raw.columns
    columns = {
        "run": TableColumn(formula="'{}'".format(run.replace("'", "''"))),
        "step": TableColumn(column=step),
        "train_loss": TableColumn(column=value),
    }
    example = as_block(TableMap(rows="points", columns=columns))
    what = f"of the tag '{tag}' of run '{run}', which is not known as a loss"
    asked = not tag or may_be_loss(tag)
    if not tag:
        what = "of a tag that its file's name does not say"
    return RefusedError(
        f"TensorBoard's export {what}: if it is one in training, say so by a rule for this file in "
        f"sweep.yaml, and if it is one on an eval set, call it eval_loss there:\n  {example}",
        f"{example}{OR_EVALUATED}" if asked else "",
    )
