"""What columns mean that no trainer calls so: `Modellgröße`, `log10_N`, `steps trained`.

No such name is taken without being asked about: a map that is proposed has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from isoflop.ingest.words.names import (
    COLUMNS,
    compute_unit,
    counted_by_words,
    plain,
    without_unit,
)
from isoflop.ingest.words.split_words import EVALUATED, TRAINED

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class LikelyCount:
    """A column that is rather a count.

    Attributes
    ----------
    name : the column's.
    scale : what one of its unit counts.
    base : of which number it is the logarithm, if it is one.
    """

    name: str
    scale: float = 1.0
    base: Literal["10", "e"] | None = None

    @property
    def formula(self) -> str:
        """The count, as SQL."""
        match self.base:
            case "10":
                return f'POWER(10, "{self.name}")'
            case "e":
                return f'EXP("{self.name}")'
        if self.scale == 1.0:
            return f'"{self.name}"'
        factor = f"{self.scale:g}".replace("e+0", "e").replace("e+", "e")
        return f'{factor} * "{self.name}"'


_MUCH: Final = frozenset(
    {"number", "no", "num", "count", "of", "the", "total", "all", "in", "amount", "size", "anzahl",
     "gesamt", "nombre", "de"}
)  # fmt: skip
"""Words that say nothing of what is counted."""
_NAMED: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "params.total": (
        frozenset(
            {"n", "size", "param", "params", "parameter", "parameters", "modellgröße",
             "modellgroesse", "größe", "groesse", "parameterzahl", "parameteranzahl", "paramètres",
             "taille"}
        ),
        _MUCH | {"model", "modell", "modèle", "network", "net"},
    ),
    "tokens": (
        frozenset(
            {"d", "token", "tokens", "tok", "toks", "data", "dataset", "trainingstoken",
             "trainingstokens", "trainingsdaten", "daten", "jetons"}
        ),
        _MUCH | {"train", "training", "trained", "seen", "used", "processed", "consumed", "read"},
    ),
    "steps": (
        frozenset(
            {"step", "steps", "update", "updates", "iteration", "iterations", "iters", "schritte",
             "trainingsschritte"}
        ),
        _MUCH | {"train", "training", "trained", "max", "final", "last", "optimizer", "optimiser",
                 "optim", "gradient", "done"},
    ),
    "compute": (
        frozenset(
            {"c", "compute", "flop", "flops", "budget", "rechenaufwand", "rechenleistung", "calcul"}
        ),
        _MUCH | {"train", "training", "trained", "used", "spent", "est", "estimated", "approx",
                 "target", "cost"},
    ),
}  # fmt: skip
"""By what is counted the words of which a name has one, and those that it may have beside it."""


def find_likely(what: str, names: Iterable[str]) -> LikelyCount | None:
    """Find which of some names is rather that of a count; None if none is.

    Parameters
    ----------
    what : `params.total`, `tokens`, `steps` or `compute`.

    Examples
    --------
    >>> find_likely("tokens", ["Trainingstoken (Mrd.)"]).formula
    '1e9 * "Trainingstoken (Mrd.)"'
    >>> find_likely("params.total", ["tokens", "log10_N"]).formula
    'POWER(10, "log10_N")'
    """
    return next((told for name in names if (told := _likely(what, name)) is not None), None)


def _likely(what: str, name: str) -> LikelyCount | None:
    if match := re.fullmatch(r"(?i)(log_?10|lg|log|ln|log_?e)[ _]*\(?[ _]*(.+?)[ _]*\)?", name):
        of_e = match[1].lower() in {"ln", "log_e", "loge"}
        return LikelyCount(name, base="e" if of_e else "10") if _means(what, match[2]) else None
    if _means(what, name):
        return LikelyCount(name)
    words = plain(name)
    if what == "compute":
        unit = re.search(r"_?([(\[].+[)\]])$", words)
        if unit is None or not _means(what, words[: unit.start()]):
            return None
        flops = compute_unit(f"compute_{unit[1]}")
        return None if flops is None or flops[0] is None else LikelyCount(name, flops[0])
    divided = without_unit(words)
    if divided is None or not _means(what, divided[0]):
        return None
    return LikelyCount(name, divided[1])


def _means(what: str, name: str) -> bool:
    """Tell whether a name without a unit is rather that of a count."""
    if counted_by_words(name) == what or plain(name) in COLUMNS.get(what, ()):
        return True
    of_it, beside = _NAMED[what]
    words = {*re.findall(r"[^\W\d_]+", name.lower())}
    return bool(words & of_it) and words <= of_it | beside


def eval_sets_by_words(names: Iterable[str]) -> dict[str, str]:
    """Tell which eval sets losses may be of whose names a word tells apart; none of others.

    Examples
    --------
    >>> eval_sets_by_words(["c4_loss", "wikitext_loss"])
    {'c4': 'c4_loss', 'wikitext': 'wikitext_loss'}
    """
    listed = list(names)
    sets = {without_words_of_losses(name)[0]: name for name in listed}
    told = len(sets) == len(listed) > 1 and all(sets)
    told = told and not any(TRAINED & {*re.split(r"[-_/. ]+", plain(name))} for name in listed)
    words = {word for each in sets for word in re.split(r"[-_/. ]+", plain(each))}
    return sets if told and not words & OF_PARTS else {}


OF_LOSSES: Final = EVALUATED | TRAINED | {"loss", "ce", "lm", "xent", "nll"}
"""Words around what a loss is of."""


def without_words_of_losses(name: str) -> tuple[str, str]:
    """Take the words of a loss from either end of a column's name.

    Returns
    -------
    What is left, and `val_loss` or `loss`.
    """
    pieces = re.split(r"([-_/. ]+)", name)
    begin, end = 0, len(pieces)
    while begin < end and (pieces[begin].lower() in OF_LOSSES or _is_mark(pieces[begin])):
        begin += 1
    while end > begin and (pieces[end - 1].lower() in OF_LOSSES or _is_mark(pieces[end - 1])):
        end -= 1
    affixes = {piece.lower() for piece in [*pieces[:begin], *pieces[end:]]}
    return "".join(pieces[begin:end]), "val_loss" if affixes & EVALUATED else "loss"


def _is_mark(piece: str) -> bool:
    """Tell what stands between words."""
    return not piece.strip("-_/. ")


OF_PARTS: Final = frozenset(
    {
        "aux", "z", "balance", "balancing", "router", "moe", "mtp", "ntp", "kl", "reg", "total",
        "main", "lb", "distill", "mean", "avg", "average", "smooth", "smoothed", "ema", "final",
        "last", "best", "min", "max", "std", "scale", "weight", "time", "end", "at", "reached",
    }
)  # fmt: skip
"""Words of what a loss is the sum of, and of what else is told of one."""
