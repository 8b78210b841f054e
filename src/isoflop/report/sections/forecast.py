"""Does it forecast? Errors of fits below a cut at what was measured above it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from isoflop.approach import APPROACHES, IN_PROSE, NAMES
from isoflop.escape import BREAK
from isoflop.estimates.forecasts import NoForecasts, side_of
from isoflop.numbers import NONE, fixed, interval, listed, percent, power, times
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from isoflop.approach import Approach
    from isoflop.estimates.forecasts import Cut, Forecast, Forecasts, Score
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value


DIGITS: Final = 4
"""Decimals of an error [nat/token]."""
FEW: Final = 5
"""Measurements below which an interval that covers none of them may still be right."""


@dataclass(frozen=True, slots=True)
class LawVerdict:
    """What one approach predicted of the losses above every cut, in words."""

    name: str
    biases: str
    direction: str
    """high or low; empty unless the mean errors lie on one side at every cut."""
    errors: str
    """Where the errors lie, as a sentence."""
    covers: bool
    """Whether its intervals cover at every cut."""
    few: str
    """Measurements with their verb, where they are too few to tell intervals that cover from
    others; else empty."""


@dataclass(frozen=True, slots=True)
class SizeVerdict:
    """How far one approach's best sizes lay from the measured minima, over all cuts, in words."""

    name: str
    predictions: str
    ratio: str
    inside: str
    """How many of the minima lie in its intervals, as a sentence."""


@dataclass(frozen=True, slots=True)
class ForecastFacts:
    """The forecasts in words, and their table."""

    cuts: str
    below: str
    noise: str
    noise_cells: str
    laws: tuple[LawVerdict, ...]
    sizes: tuple[SizeVerdict, ...]
    nowhere: str
    """Names the approaches that neither the whole sweep nor any part of it allows."""
    refused: tuple[tuple[str, str], ...]
    """What was not fitted below which cuts, and why at the lowest of them; an approach once."""
    table: Table | None

    @property
    def biased(self) -> str:
        """Name the approaches whose errors lie on one side."""
        names = [law.name for law in self.laws if law.direction]
        return listed(list(dict.fromkeys(names)))


def forecast_facts(inputs: ReportInputs) -> ForecastFacts | None:
    """Say how the forecasts turned out; None where the sweep cannot be split."""
    forecasts = inputs.forecasts
    if isinstance(forecasts, NoForecasts):
        return None
    noise = forecasts.noise
    return ForecastFacts(
        cuts=times(len(forecasts.cuts), "cut"),
        below=times(len(forecasts.cuts[0].budgets_below), "budget"),
        noise=fixed(noise.sd, 4) if noise else "",
        noise_cells=times(noise.cells, "cell") if noise else "",
        laws=tuple(_law_verdicts(forecasts)),
        sizes=tuple(_size_verdicts(forecasts)),
        nowhere=listed([
            NAMES[name]
            for name in inputs.refused
            if all(forecast.refused for cut in forecasts.cuts for forecast in cut.among((name,)))
        ]),
        refused=tuple(_refusals(inputs, forecasts)),
        table=_table(forecasts),
    )  # fmt: skip


def _refusals(inputs: ReportInputs, forecasts: Forecasts) -> Iterator[tuple[str, str]]:
    """Say of each approach that the whole sweep allows below which cuts it was refused."""
    for approach in APPROACHES:
        refused = [
            (power(cut.flops), forecast.refused)
            for cut in forecasts.cuts
            for forecast in cut.among((approach,))
            if forecast.refused
        ]
        if refused and approach not in inputs.refused:
            cuts = listed([flops for flops, _ in refused])
            lowest = "" if len(refused) == 1 else " At the lowest:"
            yield f"{NAMES[approach]} was not fitted up to {cuts} FLOPs.{lowest}", refused[0][1]


def _scores(forecasts: Forecasts, *quantities: str) -> Iterator[tuple[Cut, Forecast, Score]]:
    """Yield the scores of some quantities, approach by approach, then by increasing cut."""
    for approach in APPROACHES:
        for cut in forecasts.cuts:
            for forecast in cut.among((approach,)):
                for score in forecast.scores:
                    if score.quantity in quantities:
                        yield cut, forecast, score


def _law_verdicts(forecasts: Forecasts) -> Iterator[LawVerdict]:
    """Put together what each predicted of losses, over the cuts: of runs, or of best runs."""
    pooled: dict[Approach, list[tuple[Cut, Score]]] = {}
    for cut, forecast, score in _scores(forecasts, "loss", "loss_opt"):
        pooled.setdefault(forecast.approach, []).append((cut, score))
    for approach, pool in pooled.items():
        scores = [score for _, score in pool]
        direction = side_of(scores)
        every = [p for score in scores for p in score.predictions]
        above = sum(p.predicted > p.measured for p in every)
        side, most = ("above", above) if 2 * above >= len(every) else ("below", len(every) - above)
        biases = listed([_fourth(abs(s.bias) if direction else s.bias) for s in scores])
        at = ("at the cut of " if len(pool) == 1 else "at the cuts of ") + listed(
            [power(cut.flops) for cut, _ in pool]
        )
        single = len(every) == 1
        losses = LOSSES_OF[scores[0].quantity]
        lie = (
            f"the only predicted {losses.single} lies"
            if single
            else f"{most} of {len(every)} predicted {losses.several} lie"
        )
        yield LawVerdict(
            name=IN_PROSE[approach],
            biases=biases,
            direction=direction,
            errors=f"{_where(scores, biases)} {at} FLOPs; {lie} {side} what was measured.",
            covers=all(score.covers for score in scores),
            few="" if len(every) >= FEW else "1 loss does" if single else f"{len(every)} losses do",
        )


def _size_verdicts(forecasts: Forecasts) -> Iterator[SizeVerdict]:
    """Pool each approach's predictions of N_opt over the cuts."""
    pooled: dict[Approach, list[Score]] = {}
    for _, forecast, score in _scores(forecasts, "params_opt"):
        pooled.setdefault(forecast.approach, []).append(score)
    for approach, scores in pooled.items():
        predictions = [p for score in scores for p in score.predictions]
        ratios = [p.predicted / p.measured for p in predictions]
        widest = max(predictions[0].intervals, key=float)
        inside = sum(
            p.intervals[widest][0] <= p.measured <= p.intervals[widest][1] for p in predictions
        )
        yield SizeVerdict(
            name=IN_PROSE[approach],
            predictions=times(len(predictions), "prediction"),
            ratio=_span((min(ratios), max(ratios)), _hundredth),
            inside=_lying(inside, len(predictions), f"{percent(float(widest))} interval"),
        )


def _lying(inside: int, number: int, interval: str) -> str:
    """Say how many measured minima lie in intervals."""
    if number == 1:
        return f"the minimum {'lies' if inside else 'does not lie'} in its {interval}"
    return f"{inside} of {number} minima lie in their {interval}s"


def _where(scores: Sequence[Score], biases: str) -> str:
    """Say on which side the mean errors lie, and whether at every cut by more than chance."""
    direction = side_of(scores)
    if direction:
        return (
            f"the predicted losses are too **{direction}**, by {biases} nats per token on average"
        )
    sides = {math.copysign(1.0, score.bias) for score in scores if round(score.bias, DIGITS)}
    if len(sides) == 1:
        side = "high" if sides == {1.0} else "low"
        chance = "by no more than" if len(scores) == 1 else "but not at every cut by more than"
        words = f"are on average too {side}, {chance} their intervals allow"
    else:
        words = "are not off to one side"
    return f"the predicted losses {words}: their mean error is {biases} nats per token"


class _Losses(NamedTuple):
    single: str
    several: str


LOSSES_OF = {
    "loss": _Losses("loss", "losses"),
    "loss_opt": _Losses("lowest loss of a budget", "lowest losses of budgets"),
}
"""Which losses a score is of, where not those of all runs."""
MEASURES = ("inside", "inside_least", "width", "interval_score")


def _table(forecasts: Forecasts) -> Table | None:
    """Tabulate the errors, one row per approach and cut; None without any.

    The data have a row per quantity.
    """
    scores = list(_scores(forecasts, "loss", "loss_opt", "params_opt"))
    if not scores:
        return None
    levels = list(scores[0][2].inside)
    scores_of: dict[tuple[Approach, float], dict[str, Score]] = {}
    data: list[list[Value]] = []
    for cut, forecast, score in scores:
        by_quantity = scores_of.setdefault((forecast.approach, cut.flops), {})
        by_quantity["sizes" if score.quantity == "params_opt" else "losses"] = score
        data.append([
            forecast.approach, score.quantity, cut.flops, score.n, *score.decades, score.bias,
            *(end for k in levels for end in score.bias_intervals[k]),
            score.rms, score.rms_per_noise,
            *(getattr(score, what)[k] for what in MEASURES for k in levels),
        ])  # fmt: skip
    rows = [
        [
            f"**{NAMES[approach]}** {BREAK} [up to {power(flops)} FLOPs]{{.ci}}",
            *_error(by_quantity.get("losses"), levels, _fourth),
            *_error(by_quantity.get("sizes"), levels, _factor),
        ]
        for (approach, flops), by_quantity in scores_of.items()
    ]
    names = ", ".join(percent(float(k)) for k in levels)
    short = [f"{100.0 * float(k):g}" for k in levels]
    return Table(
        key="forecast",
        caption="Forecasts from below each cut: mean error of losses, predicted less measured, in "
        "nats per token (of the final losses of runs for the laws of the loss, seeds of one *N* "
        "and *D* by their mean, and of the lowest losses of budgets for the others), and "
        "predicted *N*~opt~ over the minimum of the budget’s profile (geometric mean), each with "
        f"its {percent(float(levels[-1]))} interval. Inside: measurements in their {names} "
        "intervals.",
        columns=(
            Column("Fitted", "left"), Column("Error of losses"), Column("Inside"),
            Column("*N*~opt~ over measured"), Column("Inside"),
        ),
        rows=rows,
        data_columns=(
            "approach", "quantity", "cut_flops", "n", "decades_least", "decades_most", "bias",
            *(f"bias_{end}{k}" for k in short for end in ("lo", "hi")),
            "rms", "rms_per_noise",
            *(f"{what}_{k}" for what in MEASURES for k in short),
        ),
        data=data,
        classes=" .dense",
    )  # fmt: skip


def _error(
    score: Score | None, levels: Sequence[str], write: Callable[[float], str]
) -> tuple[str, str]:
    """Write a mean error with its interval, and how many measurements lie inside theirs."""
    if score is None:
        return NONE, NONE
    ends = interval(*score.bias_intervals[levels[-1]], write)
    inside = ", ".join(_of(score.inside[k], score) for k in levels)
    return f"{write(score.bias)} {BREAK} [{ends}]{{.ci}}", f"{inside} of {score.n}"


def _of(share: float, score: Score) -> str:
    return str(round(share * score.n))


def _span(ends: tuple[float, float], write: Callable[[float], str]) -> str:
    """Write a range, or the one value that both ends share."""
    low, high = ends
    return write(low) if write(low) == write(high) else interval(low, high, write)


def _hundredth(value: float) -> str:
    return fixed(value, 2)


def _factor(value: float) -> str:
    """Write an error of a natural logarithm as a factor."""
    return fixed(math.exp(value), 2)


def _fourth(value: float) -> str:
    return fixed(value, DIGITS)
