"""Does it forecast? Errors of fits below a cut at what was measured above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoflop.approach import APPROACHES, IN_PROSE, NAMES
from isoflop.escape import BREAK
from isoflop.estimates.forecasts import NoForecasts
from isoflop.numbers import fixed, interval, listed, percent, power, times
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from isoflop.approach import Approach
    from isoflop.estimates.forecasts import Cut, Forecast, Forecasts, Score
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value


@dataclass(frozen=True, slots=True)
class LawVerdict:
    """What one law said of the runs above one cut, in words."""

    name: str
    cut: str
    decades: str
    runs: str
    bias: str
    bias_level: str
    bias_ends: str
    direction: str
    """high or low; empty where the interval of the mean error contains zero."""
    one_sided: str
    inside: str
    least: str
    covers: bool


@dataclass(frozen=True, slots=True)
class SizeVerdict:
    """How far one approach's best sizes lay from the measured minima, over all cuts, in words."""

    name: str
    predictions: str
    ratio: str
    inside: str
    level: str


@dataclass(frozen=True, slots=True)
class ForecastFacts:
    """The forecasts in words, and their tables."""

    cuts: str
    below: str
    noise: str
    noise_cells: str
    laws: tuple[LawVerdict, ...]
    sizes: tuple[SizeVerdict, ...]
    refused: tuple[tuple[str, str, str], ...]
    """Approach, cut, reason."""
    tables: tuple[Table, ...]

    @property
    def biased(self) -> str:
        """Name the laws whose errors lie on one side at some cut."""
        names = [law.name for law in self.laws if law.direction]
        return listed(list(dict.fromkeys(names)))


def forecast_facts(inputs: ReportInputs) -> ForecastFacts | None:
    """Say how the forecasts turned out; None where the sweep cannot be split."""
    forecasts = inputs.forecasts
    if isinstance(forecasts, NoForecasts):
        return None
    noise = forecasts.noise
    tables = (_loss_table(forecasts), _size_table(forecasts))
    return ForecastFacts(
        cuts=times(len(forecasts.cuts), "cut"),
        below=times(len(forecasts.cuts[0].budgets_below), "budget"),
        noise=fixed(noise.sd, 4) if noise else "",
        noise_cells=times(noise.cells, "cell") if noise else "",
        laws=tuple(_law_verdict(*found) for found in _scores(forecasts, "loss")),
        sizes=tuple(_size_verdicts(forecasts)),
        refused=tuple(
            (NAMES[forecast.approach], power(cut.flops), forecast.refused)
            for cut in forecasts.cuts
            for forecast in cut.among(APPROACHES)
            if forecast.refused
        ),
        tables=tuple(table for table in tables if table is not None),
    )


def _scores(forecasts: Forecasts, *quantities: str) -> Iterator[tuple[Cut, Forecast, Score]]:
    """Yield the scores of some quantities, approach by approach, then by increasing cut."""
    for approach in APPROACHES:
        for cut in forecasts.cuts:
            for forecast in cut.among((approach,)):
                for score in forecast.scores:
                    if score.quantity in quantities:
                        yield cut, forecast, score


def _law_verdict(cut: Cut, forecast: Forecast, score: Score) -> LawVerdict:
    widest = max(score.bias_intervals, key=float)
    low, high = score.bias_intervals[widest]
    above = sum(p.predicted > p.measured for p in score.predictions)
    side, most = ("above", above) if 2 * above >= score.n else ("below", score.n - above)
    return LawVerdict(
        name=IN_PROSE[forecast.approach],
        cut=power(cut.flops),
        decades=_span(score.decades, _tenth),
        runs=times(score.n, "run"),
        bias=fixed(score.bias, 4),
        bias_level=percent(float(widest)),
        bias_ends=interval(low, high, _fourth),
        direction="high" if low > 0.0 else "low" if high < 0.0 else "",
        one_sided=f"{most} of {score.n} lie {side} what was measured",
        inside=listed(
            [f"{_of(v, score)} ({percent(float(level))})" for level, v in score.inside.items()]
        ),
        least=listed([_of(share, score) for share in score.inside_least.values()]),
        covers=score.covers,
    )


def missed(inputs: ReportInputs, approach: Approach) -> str:
    """Say that an approach missed the losses above the highest cut; empty where it did not."""
    if isinstance(inputs.forecasts, NoForecasts):
        return ""
    found = [
        (cut, score)
        for cut, forecast, score in _scores(inputs.forecasts, "loss")
        if forecast.approach == approach
    ]
    if not found or found[-1][1].covers:
        return ""
    cut, score = found[-1]
    side = "over" if score.bias > 0.0 else "under"
    return (
        f"Fitted to the runs up to {power(cut.flops)} FLOPs alone, it {side}predicts losses by "
        f"{fixed(abs(score.bias), 3)} nats per token on average, and its intervals "
        "[undercover](#forecast)."
    )


def _size_verdicts(forecasts: Forecasts) -> Iterator[SizeVerdict]:
    """Pool each approach's predictions of N_opt over the cuts."""
    pooled: dict[Approach, list[Score]] = {}
    for _, forecast, score in _scores(forecasts, "params_opt"):
        pooled.setdefault(forecast.approach, []).append(score)
    for approach, scores in pooled.items():
        found = [p for score in scores for p in score.predictions]
        ratios = [p.predicted / p.measured for p in found]
        widest = max(found[0].intervals, key=float)
        inside = sum(p.intervals[widest][0] <= p.measured <= p.intervals[widest][1] for p in found)
        yield SizeVerdict(
            name=IN_PROSE[approach],
            predictions=times(len(found), "prediction"),
            ratio=_span((min(ratios), max(ratios)), _hundredth),
            inside=f"{inside} of {times(len(found), 'minimum', 'minima')}",
            level=percent(float(widest)),
        )


def _loss_table(forecasts: Forecasts) -> Table | None:
    """Tabulate the errors of losses: of runs by the laws, of minima by the power laws."""
    return _table(
        list(_scores(forecasts, "loss", "loss_opt")),
        key="forecast-losses",
        caption="Errors of predicted losses, predicted less measured, in nats per token: of the "
        "final losses of runs, and of the lowest losses of budgets. RMS also in units of the noise "
        "of a run.",
        write=_fourth,
    )


def _size_table(forecasts: Forecasts) -> Table | None:
    """Tabulate the errors of the best sizes."""
    return _table(
        list(_scores(forecasts, "params_opt")),
        key="forecast-sizes",
        caption="Errors of predicted *N*~opt~ against the minima of the budgets’ profiles, as "
        "natural logarithms of predicted over measured.",
        write=_third,
    )


MEASURES = ("inside", "inside_least", "width", "interval_score")
WHAT = {"loss": "run", "loss_opt": "budget", "params_opt": "budget"}


def _table(
    scores: Sequence[tuple[Cut, Forecast, Score]],
    *,
    key: str,
    caption: str,
    write: Callable[[float], str],
) -> Table | None:
    """Tabulate scores, one row per approach and cut; None without any."""
    if not scores:
        return None
    levels = list(scores[0][2].inside)
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for cut, forecast, score in scores:
        rows.append([
            f"**{NAMES[forecast.approach]}** {BREAK} [up to {power(cut.flops)} FLOPs]{{.ci}}",
            f"{times(score.n, WHAT[score.quantity])} {BREAK} "
            f"[{_span(score.decades, _tenth)} decades]{{.ci}}",
            f"{write(score.bias)} {BREAK} "
            f"[{interval(*score.bias_intervals[levels[-1]], write)}]{{.ci}}",
            _rms(score, write),
            f"{', '.join(_of(score.inside[k], score) for k in levels)} of {score.n}",
            write(score.width[levels[-1]]), write(score.interval_score[levels[-1]]),
        ])  # fmt: skip
        data.append([
            forecast.approach, score.quantity, cut.flops, score.n, *score.decades, score.bias,
            *(end for k in levels for end in score.bias_intervals[k]),
            score.rms, score.rms_per_noise,
            *(getattr(score, what)[k] for what in MEASURES for k in levels),
        ])  # fmt: skip
    names = [percent(float(k)) for k in levels]
    short = [f"{100.0 * float(k):g}" for k in levels]
    return Table(
        key=key,
        caption=f"{caption} The score is the mean interval score: smaller is better.",
        columns=(
            Column("Fitted", "left"), Column("Predicted"),
            Column(f"Mean error ⏎ {names[-1]}"), Column("RMS"),
            Column(f"Inside ⏎ {', '.join(names)}"),
            Column(f"Width ⏎ {names[-1]}"), Column(f"Score ⏎ {names[-1]}"),
        ),
        rows=rows,
        data_columns=(
            "approach", "quantity", "cut_flops", "n", "decades_least", "decades_most", "bias",
            *(f"bias_{end}{k}" for k in short for end in ("lo", "hi")),
            "rms", "rms_per_noise",
            *(f"{what}_{k}" for what in MEASURES for k in short),
        ),
        data=data,
        classes=" .wide",
    )  # fmt: skip


def _rms(score: Score, write: Callable[[float], str]) -> str:
    if score.rms_per_noise is None:
        return write(score.rms)
    return f"{write(score.rms)} {BREAK} [{fixed(score.rms_per_noise, 1)} × noise]{{.ci}}"


def _of(share: float, score: Score) -> str:
    return str(round(share * score.n))


def _span(ends: tuple[float, float], write: Callable[[float], str]) -> str:
    """Write a range, or the one value that both ends share."""
    low, high = ends
    return write(low) if write(low) == write(high) else interval(low, high, write)


def _tenth(value: float) -> str:
    return fixed(value, 1)


def _hundredth(value: float) -> str:
    return fixed(value, 2)


def _third(value: float) -> str:
    return fixed(value, 3)


def _fourth(value: float) -> str:
    return fixed(value, 4)
