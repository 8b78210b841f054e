"""Losses that were announced before their runs were trained, beside what was measured since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.approach import ANSWERS, MIXTURE
from isoflop.escape import code
from isoflop.estimates.intervals import LEVELS, interval_score
from isoflop.numbers import (
    NBSP,
    NONE,
    count,
    fixed,
    interval,
    listed,
    percent,
    power,
    signed,
    times,
)
from isoflop.report.sections.check import difference_error
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.estimates.announced import (
        AnnouncedBasis,
        AnnouncedLoss,
        Announcement,
        PairAnnouncement,
    )
    from isoflop.pairs import PairWord
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

LEAST_DIFFERENCE: Final = 1e-9
"""Between two weights that are not alike."""
SHOWN: Final = tuple(str(level) for level in LEVELS)


@dataclass(frozen=True, slots=True)
class Scored:
    """How one law's announced losses turned out."""

    key: str
    n: int
    bias: float
    rms: float
    inside: dict[str, int]
    score: dict[str, float]
    """Level to the mean interval score."""


@dataclass(frozen=True, slots=True)
class AnnouncedFacts:
    """The announcement in words, and its tables."""

    summary: str
    verdict: str
    """One sentence of it for the first screen; empty while nothing of it is measured."""
    rule: str
    fitted: str
    weights: str
    table: Table
    scores: Table | None = None
    """Of the losses of single runs; the difference of a pair has its error in the table."""


def announced_facts(inputs: ReportInputs) -> AnnouncedFacts | None:
    """Set announced losses beside measured ones; None where none were announced."""
    announcement = inputs.announcement
    if announcement is None:
        return None
    measured = measured_losses(inputs)
    scored = score(announcement, measured)
    return AnnouncedFacts(
        summary=_summary(announcement, inputs, measured, scored),
        verdict=_verdict(_early(announcement, inputs, measured), scored),
        rule=announcement.rule,
        fitted=_basis(announcement),
        weights=_weights(announcement),
        table=_table(announcement, measured),
        scores=_scores(scored) if scored else None,
    )


def pair_facts(inputs: ReportInputs) -> AnnouncedFacts | None:
    """Set the announced difference of a matched pair beside the measured one; None without."""
    pair = inputs.announced_pair
    if pair is None:
        return None
    difference = _difference(inputs, pair)
    mixture = pair.difference[MIXTURE.key]
    return AnnouncedFacts(
        summary=_pair_summary(pair, difference),
        verdict=""
        if difference.measured is None
        else "The announced difference in loss between runs of Kaplan’s and of Chinchilla’s size, "
        f"[{fixed(mixture.predicted, 4)}](#announced-pair), came out at "
        f"{fixed(difference.measured, 4)} nats per token.",
        rule=pair.rule,
        fitted=_basis(pair),
        weights=_weights(pair),
        table=_pair_table(pair, difference.measured),
    )


@dataclass(frozen=True, slots=True)
class _Difference:
    """What became of a pair: runs with a loss by whose exponent sized them, and the rest."""

    measured: float | None
    """Mean of Kaplan's size less that of Chinchilla's [nat/token]; None while one has no run."""
    error: float | None
    """Its standard error; None where a size has fewer than two runs."""
    known_before: float | None
    """The same of other runs of both sizes; None where a size has no other."""
    missing: tuple[str, ...]


def _difference(inputs: ReportInputs, pair: PairAnnouncement) -> _Difference:
    finals = dict(inputs.losses.filter("is_final").select("run", "loss").iter_rows())
    above, below = (
        np.array([finals[run] for run in pair.runs[word] if run in finals])
        for word in ("kaplan", "chinchilla")
    )
    missing = tuple(run for runs in pair.runs.values() for run in runs if run not in finals)
    sized = inputs.losses.filter("is_final").drop_nulls("sized_by")
    others: dict[PairWord, list[float]] = {}
    for run, word, loss in sized.select("run", "sized_by", "loss").iter_rows():
        if run not in pair.runs[word]:
            others.setdefault(word, []).append(loss)
    before = None
    if len(others) == len(pair.runs):
        before = float(np.mean(others["kaplan"]) - np.mean(others["chinchilla"]))
    if not (len(above) and len(below)):
        return _Difference(None, None, before, missing)
    measured = float(above.mean() - below.mean())
    return _Difference(measured, difference_error(above, below), before, missing)


def _pair_summary(pair: PairAnnouncement, difference: _Difference) -> str:
    mixture = pair.difference[MIXTURE.key]
    kaplan, chinchilla = (len(pair.runs[word]) for word in ("kaplan", "chinchilla"))
    far = (
        ""
        if pair.noise is None
        else f", {fixed(mixture.predicted / pair.noise, 1)} times the standard deviation "
        f"({fixed(pair.noise, 4)}) that the seeds of the fitted runs let one expect of its "
        "measurement"
    )
    told = [
        f"By how much the mean final loss of {times(kaplan, 'run')} of Kaplan’s size would lie "
        f"above that of {chinchilla} of Chinchilla’s, all of {power(pair.flops)} FLOPs, was "
        f"announced before any of them was trained: {fixed(mixture.predicted, 4)} nats per token "
        f"by the mixture (80{NBSP}%: {interval(*mixture.intervals[SHOWN[0]], _loss)}){far}."
    ]
    if difference.measured is not None:
        inside = next(
            (
                f"inside the announced {percent(float(level))} interval"
                for level in SHOWN
                if _inside(mixture, difference.measured, level)
            ),
            "outside every announced interval",
        )
        error = (
            f" with a standard error of {fixed(difference.error, 4)}"
            if difference.error is not None
            else ""
        )
        told.append(
            f"Measured is {fixed(difference.measured, 4)}{error}: predicted less measured is "
            f"{signed(mixture.predicted - difference.measured, 4)}, {inside}."
        )
    if difference.known_before is not None:
        told.append(
            "Runs of these sizes that were trained before, left out here, differed by "
            f"{fixed(difference.known_before, 4)}, which was known; the check below counts all. "
            "The standard error is that of seeds: a rate that suits one size better than the other "
            "is not in it."
        )
    if len(difference.missing) == kaplan + chinchilla:
        told.append("None is trained yet.")
    elif difference.missing:
        told.append(
            f"No final loss is there of {listed([code(run) for run in difference.missing])}; the "
            "means are those of the others."
        )
    return " ".join(told)


def _pair_table(pair: PairAnnouncement, measured: float | None) -> Table:
    rows, data = [], []
    for key in sorted(pair.difference, key=lambda key: key != MIXTURE.key):
        law = pair.difference[key]
        rows.append([
            ANSWERS[key].label,
            _loss(law.predicted),
            interval(*law.intervals[SHOWN[0]], _loss),
            interval(*law.intervals[SHOWN[1]], _loss),
            NONE if measured is None else _loss(measured),
            NONE if measured is None else signed(law.predicted - measured, 4),
        ])  # fmt: skip
        ends = [end for level in SHOWN for end in law.intervals[level]]
        row: list[Value] = [key, law.predicted, *ends, measured]
        data.append(row)
    return Table(
        key="announced-pair",
        caption="The announced difference: mean final loss of Kaplan’s size less that of "
        "Chinchilla’s, in nats per token, with the intervals in which the measured one should "
        "lie, its noise included.",
        columns=(
            Column("Law", "left"), Column("Announced"), Column("80 %"), Column("95 %"),
            Column("Measured"), Column("Error"),
        ),
        rows=rows,
        data_columns=(
            "law", "pair_difference", "pair_difference_lo80", "pair_difference_hi80",
            "pair_difference_lo95", "pair_difference_hi95", "pair_measured",
        ),
        data=data,
    )  # fmt: skip


def measured_losses(inputs: ReportInputs) -> dict[str, float]:
    """Give the final losses of the announced runs that have one [nat/token]."""
    if inputs.announcement is None:
        return {}
    names = [run.run for run in inputs.announcement.runs]
    finals = inputs.losses.filter(pl.col("is_final") & pl.col("run").is_in(names))
    return dict(finals.select("run", "loss").iter_rows())


def score(announcement: Announcement, measured: dict[str, float]) -> list[Scored]:
    """Score every law by the announced rule; empty while nothing is measured."""
    known = [run for run in announcement.runs if run.run in measured]
    if not known:
        return []
    scores = []
    for key in _keys(announcement):
        pairs = [(run.losses[key], measured[run.run]) for run in known]
        errors = np.array([loss.predicted - true for loss, true in pairs])
        scores.append(
            Scored(
                key=key,
                n=len(pairs),
                bias=float(errors.mean()),
                rms=float(np.sqrt(np.mean(errors**2))),
                inside={
                    level: sum(_inside(loss, true, level) for loss, true in pairs)
                    for level in SHOWN
                },
                score={level: _mean_score(pairs, level) for level in SHOWN},
            )
        )
    return scores


def _inside(loss: AnnouncedLoss, true: float, level: str) -> bool:
    low, high = loss.intervals[level]
    return low <= true <= high


def _mean_score(pairs: Sequence[tuple[AnnouncedLoss, float]], level: str) -> float:
    ends = np.array([loss.intervals[level] for loss, _ in pairs])
    measured = np.array([true for _, true in pairs])
    return float(interval_score(ends[:, 0], ends[:, 1], measured, float(level)).mean())


def _keys(announcement: Announcement) -> list[str]:
    """Name the mixture, then the laws, as every run has them."""
    first = announcement.runs[0].losses
    return sorted(first, key=lambda key: key != MIXTURE.key)


def _summary(
    announcement: Announcement,
    inputs: ReportInputs,
    measured: dict[str, float],
    scored: Sequence[Scored],
) -> str:
    budgets = sorted({power(run.flops) for run in announcement.runs})
    opening = (
        f"The final losses of {times(len(announcement.runs), 'run')} of {listed(budgets)} FLOPs "
        "were announced before any of them was trained."
    )
    early = _early(announcement, inputs, measured)
    untrained = len(announcement.runs) - len(measured) - len(early)
    told = [opening]
    if scored:
        mixture = scored[0]
        measured_words = times(mixture.n, "measured loss", "measured losses")
        told.append(
            f"The announced mixture missed the {measured_words} by "
            f"{signed(mixture.bias, 4)} nats per token on average (rms {fixed(mixture.rms, 4)}); "
            f"{mixture.inside[SHOWN[0]]} lie inside its 80 % intervals and "
            f"{mixture.inside[SHOWN[1]]} inside its 95 %."
        )
    if early:
        told.append(
            f"{listed([code(run) for run in early])} ended without a final loss, which counts as "
            "a miss of every law."
        )
    if untrained:
        told.append(
            "None is trained yet."
            if untrained == len(announcement.runs)
            else f"{times(untrained, 'run')} of them is not trained yet."
            if untrained == 1
            else f"{times(untrained, 'run')} of them are not trained yet."
        )
    return " ".join(told)


def _early(
    announcement: Announcement, inputs: ReportInputs, measured: dict[str, float]
) -> list[str]:
    """Name the announced runs that were begun and have no final loss."""
    begun = set(inputs.runs["run"])
    return [r.run for r in announcement.runs if r.run in begun and r.run not in measured]


def _verdict(early: Sequence[str], scored: Sequence[Scored]) -> str:
    """Say how many announced losses the announced mixture covered; early ends are misses."""
    inside = scored[0].inside[SHOWN[0]] if scored else 0
    ended = len(early) + (scored[0].n if scored else 0)
    if not ended:
        return ""
    lie = "lies" if inside == 1 else "lie"
    return (
        f"Of {times(ended, 'final loss', 'final losses')} "
        f"[announced before training](#announced-losses), {inside} {lie} inside the 80{NBSP}% "
        "intervals of the mixture announced then."
    )


def _basis(prediction: AnnouncedBasis) -> str:
    """Say what an announcement rests on."""
    low, high = prediction.flops_fitted
    return f"{times(prediction.runs_fitted, 'run')} of {power(low)} to {power(high)} FLOPs"


def _weights(announcement: AnnouncedBasis) -> str:
    """Say which laws the announced mixture is of: today's may be of others."""
    laws = [ANSWERS[law].in_prose for law in announcement.weights]
    shares = list(announcement.weights.values())
    if max(shares) - min(shares) < LEAST_DIFFERENCE:
        return f"{listed(laws)}, all alike" if len(laws) > 1 else laws[0]
    return listed([f"{law} ({percent(s)})" for law, s in zip(laws, shares, strict=True)])


def _loss(value: float) -> str:
    return fixed(value, 4)


def _table(announcement: Announcement, measured: dict[str, float]) -> Table:
    rows, data = [], []
    for run in announcement.runs:
        for key in _keys(announcement):
            loss = run.losses[key]
            true = measured.get(run.run)
            rows.append([
                f"{count(run.params)} on {count(run.tokens)}",
                ANSWERS[key].label,
                _loss(loss.predicted),
                interval(*loss.intervals[SHOWN[0]], _loss),
                interval(*loss.intervals[SHOWN[1]], _loss),
                NONE if true is None else _loss(true),
                NONE if true is None else signed(loss.predicted - true, 4),
            ])  # fmt: skip
            row: list[Value] = [run.run, run.params, run.tokens, run.flops, key, loss.predicted]
            row += [end for level in SHOWN for end in loss.intervals[level]]
            data.append([*row, true])
    return Table(
        key="announced",
        caption="Announced final losses in nats per token, each law's and the mixture's, with the "
        "intervals in which a measured loss should lie, its noise included.",
        columns=(
            Column("*N* on *D*", "left"), Column("Law", "left"), Column("Announced"),
            Column("80 %"), Column("95 %"), Column("Measured"), Column("Error"),
        ),
        rows=rows,
        data_columns=(
            "run", "params", "tokens", "flops", "law", "predicted", "predicted_lo80",
            "predicted_hi80", "predicted_lo95", "predicted_hi95", "loss",
        ),
        data=data,
        classes=" .dense",
    )  # fmt: skip


def _scores(scored: Sequence[Scored]) -> Table:
    return Table(
        key="announced-scores",
        caption="Announced losses scored by the rule that was announced with them. Errors are "
        "predicted less measured, in nats per token; the smaller an interval score, the better.",
        columns=(
            Column("Law", "left"), Column("Runs"), Column("Mean error"), Column("Rms error"),
            Column("In 80 %"), Column("In 95 %"), Column("Score, 80 %"), Column("Score, 95 %"),
        ),
        rows=[
            [
                ANSWERS[each.key].label, str(each.n), signed(each.bias, 4), fixed(each.rms, 4),
                str(each.inside[SHOWN[0]]), str(each.inside[SHOWN[1]]),
                fixed(each.score[SHOWN[0]], 4), fixed(each.score[SHOWN[1]], 4),
            ]
            for each in scored
        ],
        data_columns=(
            "law", "runs", "bias", "rms", "inside_80", "inside_95", "score_80", "score_95",
        ),
        data=[
            [
                each.key, each.n, each.bias, each.rms, each.inside[SHOWN[0]], each.inside[SHOWN[1]],
                each.score[SHOWN[0]], each.score[SHOWN[1]],
            ]
            for each in scored
        ],
    )  # fmt: skip
