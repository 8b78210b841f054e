"""The first screen: one recommendation, how each law stands, and what Kaplan against Chinchilla is.

Everything here follows from rules (estimates/recommendation.py, estimates/allocation.py): nobody
chooses words or numbers by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.approach import ANSWERS, APPROACHES, IN_PROSE, LAWS, NAMES
from isoflop.choices import CHOICES
from isoflop.counting import PARAMS, SIZES
from isoflop.escape import BREAK
from isoflop.estimates.allocation import UNDETERMINED, UNKNOWN, reach, trust
from isoflop.estimates.diagnostics import KaplanDiagnostics, expect
from isoflop.estimates.estimate import Estimate
from isoflop.estimates.levels import NoLevel
from isoflop.estimates.mixture import KEY, Mixture, of_rejected
from isoflop.estimates.recommendation import (
    DOUBTED,
    OF_REJECTED,
    REJECTED_TRUTHS,
    against_all,
    not_exact,
    standing,
)
from isoflop.laws import EQUAL_SCALING
from isoflop.numbers import (
    MINUS,
    NBSP,
    NONE,
    PLAIN,
    SHORT,
    UNSURE,
    count,
    decades_beyond,
    distance,
    fixed,
    interval,
    listed,
    percent,
    plain_p,
    power,
    ratio,
    signed,
)
from isoflop.published_laws import published_optima
from isoflop.report.sections.answer import flat
from isoflop.report.sections.data import words
from isoflop.report.sections.diagnostics import form_p_value, marked_p
from isoflop.report.sections.specifications import (
    HOFFMANN_COUNTS,
    KAPLAN_COUNTS,
    published_exponents,
    shift,
)
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Optimum
    from isoflop.estimates.mixture import Member
    from isoflop.estimates.quantities import Quantity
    from isoflop.estimates.recommendation import Recommendation, Standing
    from isoflop.numbers import WriteP
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

LEVEL: Final = 0.95
WITHOUT: Final = f"[{NONE}]{{.ci}}"
"""What stands below a number without an interval, where it was to have one."""
NOT_CHECKED, NO_LEVEL, EXCLUDED = "not checked", "none does", "none given"
"""What stands in the column of coverage where no share does."""
INEXACT: Final = ", not exact"
"""What stands beside the weight of a law that misses the runs by more than replicates differ."""
SHOWN_PUBLISHED: Final = ("Hoffmann 1 Envelope", "Kaplan, Cmin = C")
"""The published laws that stand below the sweep's own; the CSV has all."""
DATA: Final = (
    "flops", "law", "source", "params_counted", "flops_counted",
    "params", "params_lo80", "params_hi80", "params_lo95", "params_hi95",
    "tokens", "tokens_lo80", "tokens_hi80", "tokens_lo95", "tokens_hi95",
    "tokens_per_param", "tokens_per_param_lo80", "tokens_per_param_hi80",
    "tokens_per_param_lo95", "tokens_per_param_hi95",
    "loss_nats_per_token", "loss_lo80", "loss_hi80", "loss_lo95", "loss_hi95", "loss_doubted",
    "decades_beyond_data", "covers", "tried_on_rejected", "forecasts", "weight", "left_out",
    "against_all",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FirstScreen:
    """What stands before everything else.

    Attributes
    ----------
    title : what was found, in plain text.
    subtitle : how size and data grow, in plain text.
    headline : N, D, D/N and loss of the recommendation, each in a block of its own.
    distance : how far the budget lies from the data, and what that means.
    against : that no law of the loss holds on these runs; empty where one does.
    reason : whose answer it is, and by which rule.
    rejected : the laws whose form these runs reject, or that replicates show to be inexact; empty
        where there is none.
    apart : what of Kaplan against Chinchilla is counting, schedule and law on these runs.
    standing : a row per approach, the mixture and published laws, at the headline's budget.
    budgets : N and D/N of every law at every budget.
    caption : of the figure beside it, which states what it shows.
    """

    title: str
    subtitle: str
    headline: str
    distance: str
    reason: str
    rejected: str
    apart: str
    standing: Table | None
    budgets: Table | None
    caption: str = ""
    against: str = ""


def first_screen(inputs: ReportInputs) -> FirstScreen:
    """Say what the sweep recommends; that it recommends nothing, where nothing was fitted."""
    chosen = inputs.recommended
    flops = headline_budget(inputs)
    if chosen is None or flops is None:
        return FirstScreen(
            title="No allocation: "
            + (
                f"the runs of sweep {inputs.sweep} leave the best size open"
                if inputs.fitted
                else f"no approach could be fitted to sweep {inputs.sweep}"
            ),
            subtitle="The reasons stand below.",
            headline="",
            distance="",
            reason="",
            rejected="",
            apart="",
            standing=None,
            budgets=None,
        )
    answer = chosen.answer
    optimum = inputs.answered(flops)[chosen.key]
    stands = {
        name: standing(answer, inputs.forecasts) for name, answer in inputs.every_answer.items()
    }
    return FirstScreen(
        title=_title(answer, optimum),
        subtitle=_subtitle(inputs, answer),
        headline=_headline(inputs, answer, optimum),
        distance=f"{distance(flops, answer.flops_range)}: "
        f"{trust(optimum.decades_beyond_data, optimum.params, optimum.tokens)}",
        reason=_reason(chosen, inputs),
        rejected=_rejected(inputs),
        apart=_apart(inputs),
        standing=_standing_table(inputs, flops, stands),
        budgets=_budget_table(inputs, stands),
        caption=_caption(inputs, answer, optimum),
        against=_against(inputs, marked_p),
    )


def _against(inputs: ReportInputs, write: WriteP = plain_p) -> str:
    """Say that no law of the loss holds on these runs; empty where one does."""
    answers = inputs.every_answer.items()
    fitted = {name: answer for name, answer in answers if isinstance(answer, Estimate)}
    return against_all(fitted, inputs.forecasts, inputs.mixture, write)


def _caption(inputs: ReportInputs, answer: Estimate | Mixture, optimum: Optimum) -> str:
    """State what twice the compute buys, and where the published laws stand."""
    more = [percent(2.0**exponent - 1.0) for exponent in (answer.a.value, answer.b.value)]
    published = {law.plain: law for law in published_optima(inputs.reference, optimum.flops)}
    hoffmann, kaplan = (published[name] for name in SHOWN_PUBLISHED)
    dots = "Dots: measured minima of the IsoFLOP profiles. " if "profiles" in inputs.fitted else ""
    return (
        f"Twice the compute buys {more[0]} more parameters and {more[1]} more tokens; at "
        f"{power(optimum.flops)} FLOPs the optimum lies at {ratio(optimum.tokens_per_param.value)} "
        f"tokens per parameter, where Hoffmann’s line gives "
        f"{ratio(hoffmann.tokens / hoffmann.params)} and Kaplan’s "
        f"{ratio(kaplan.tokens / kaplan.params)}. {dots}"
        f"Diamonds: recommended, with 95{NBSP}% intervals. Band: 95{NBSP}%, pointwise."
    )


def headline_budget(inputs: ReportInputs) -> float | None:
    """Choose the budget of the first screen [FLOP].

    The first that config.yaml or sweep.yaml asks for, as long as it lies where the sweep says
    something; else a decade beyond the largest fitted one.
    """
    chosen = inputs.recommended
    if chosen is None or not inputs.budgets:
        return None
    data = chosen.answer.flops_range
    of_sweep = [flops for flops in inputs.budgets if flops not in inputs.settings.budgets]
    wanted = [*inputs.settings.budgets, *of_sweep[1:2], *of_sweep, *inputs.budgets]
    return next(
        (
            flops
            for flops in wanted
            if flops in inputs.budgets
            and reach(decades_beyond(flops, data)) != UNKNOWN
            and chosen.key in inputs.answered(flops)
        ),
        None,
    )


def _title(answer: Estimate | Mixture, optimum: Optimum) -> str:
    """Say what was found."""
    return (
        f"At {power(optimum.flops, hand=PLAIN)} FLOPs, train "
        f"{count(optimum.params.value, hand=PLAIN)} {SIZES[answer.counting.params]} on "
        f"{count(optimum.tokens.value, hand=PLAIN)} tokens"
    )


def _why_no_ends(a: Quantity) -> str:
    """Say why an exponent has no interval at the level of this page."""
    if f"{LEVEL:g}" in a.levels or a.intervals:
        return f"no interval of {percent(LEVEL)} covers it in simulated sweeps, so none is given"
    return "how precise that is, is unknown: no runs were resampled"


def _subtitle(inputs: ReportInputs, answer: Estimate | Mixture) -> str:
    """Say how size and data grow with compute, beside both papers."""
    published = [row.a for row in inputs.reference.hoffmann.exponents.rows]
    least, most = min(published), max(published)
    kaplan = inputs.reference.kaplan.optimal_allocation.p_N
    a = answer.a
    ends = a.intervals.get(f"{LEVEL:g}")
    value = f"a = {fixed(a.value)}"
    if ends is None:
        return f"N grows as C to the {fixed(a.value)}; {_why_no_ends(a)}."
    shown = f"{value}, {percent(LEVEL)}: {interval(*ends, fixed)}"
    # the paper's own three approaches differ: what lies among them is Chinchilla's
    half, three = ends[0] <= most and least <= ends[1], ends[0] <= kaplan <= ends[1]
    h, k = interval(least, most, _second), fixed(kaplan, 2)
    pace = "The interval contains equal growth of size and data"
    if ends[1] < EQUAL_SCALING:
        pace = "Data grow somewhat faster than size"
    elif ends[0] > EQUAL_SCALING:
        pace = "Size grows somewhat faster than data"
    opening = (
        (
            half and three,
            f"These runs do not decide between Hoffmann’s {h} and Kaplan’s {k} ({shown})",
        ),
        (
            half,
            f"{pace} ({shown}), as in Chinchilla ({h}), not as in Kaplan et al. ({k})",
        ),
        (
            three,
            f"Size grows faster than data ({shown}), as in Kaplan et al. ({k}), not as in "
            f"Chinchilla ({h})",
        ),
        (
            ends[1] < least,
            f"Data grow faster than size ({shown}), more so than in Chinchilla ({h})",
        ),
        (
            ends[0] > kaplan,
            f"Size grows faster than data ({shown}), more so than in Kaplan et al. ({k})",
        ),
        (True, f"Size grows faster than data ({shown}): between Chinchilla ({h}) and Kaplan ({k})"),
    )
    return next(f"{sentence}." for holds, sentence in opening if holds)


def _second(value: float) -> str:
    return fixed(value, 2)


def _headline(inputs: ReportInputs, answer: Estimate | Mixture, optimum: Optimum) -> str:
    """Write the recommendation as four numbers, which both outputs show large."""
    stands = standing(answer, inputs.forecasts)
    numbers = (
        ("Parameters *N*", _with_interval(optimum.params, count, large=True)),
        ("Tokens *D*", _with_interval(optimum.tokens, count, large=True)),
        ("*D*/*N*", _with_interval(optimum.tokens_per_param, ratio, large=True)),
        ("Loss, nats per token", _loss_cell(stands, optimum.loss, large=True)),
    )
    return "\n\n".join(
        f"::: {{.number}}\n[{what}]{{.what}} {BREAK} {value}\n:::" for what, value in numbers
    )


def _with_interval(
    quantity: Quantity | None, write: Callable[[float], str], *, large: bool = False, mark: str = ""
) -> str:
    """Write a value and its 95 % interval below it."""
    if quantity is None:
        return f"{NONE} {BREAK} [not predicted]{{.ci}}" if large else NONE
    value = f"{write(quantity.value)}{mark}"
    if large:
        value = f"**{value}**"
    ends = quantity.intervals.get(f"{LEVEL:g}")
    if ends is None:
        return f"{value} {BREAK} {WITHOUT}" if f"{LEVEL:g}" in quantity.levels else value
    short = SHORT if quantity.undercovers(LEVEL) else ""
    name = f"{percent(LEVEL)}: " if large else ""
    return f"{value} {BREAK} [{name}{interval(*ends, write)}{short}]{{.ci}}"


def _loss_cell(stands: Standing, loss: Quantity | None, *, large: bool = False) -> str:
    return _with_interval(loss, fixed, large=large, mark=stands.loss_mark)


def _reason(chosen: Recommendation, inputs: ReportInputs) -> str:
    """Say whose answer it is, and why."""
    why = f"From {chosen.row.in_prose}: {chosen.reason}."
    if not isinstance(chosen.answer, Mixture):
        return " ".join([why, *_with_priors([chosen.answer.approach], inputs)])
    doubts = (chosen.answer.absent, chosen.answer.loss_doubt)
    mixed = [member.approach for member in chosen.answer.mixed]
    return " ".join(
        [why, *(words(doubt) for doubt in doubts if doubt), *_with_priors(mixed, inputs)]
    )


def _with_priors(approaches: Sequence[Approach], inputs: ReportInputs) -> list[str]:
    """Say whose exponents have priors, in one sentence; none where nobody's have."""
    known = [
        IN_PROSE[name]
        for name in approaches
        if (estimate := inputs.leaned_on.get(name)) is not None and estimate.priors
    ]
    if not known:
        return []
    return [f"Priors of exponents take part in {listed(known)} ([which ones](#cautions))."]


def _rejected(inputs: ReportInputs) -> str:
    """Say which laws the runs contradict, whatever their intervals cover."""
    estimates = [e for e in inputs.every_answer.values() if isinstance(e, Estimate)]
    rejected = [f"{IN_PROSE[e.approach]} ({p})" for e in estimates if (p := form_p_value(e))]
    beside = not_exact(estimates, marked_p)
    if isinstance(inputs.mixture, Mixture):
        mixed = of_rejected(inputs.mixture.members, marked_p)
        beside = f"{beside} {mixed}".strip()
    # where all are, the first paragraph says so
    if not rejected or len(rejected) == sum(e.approach in LAWS for e in estimates):
        return beside
    it = "what it says" if len(rejected) == 1 else "what they say"
    return (
        f"These runs reject the form of {listed(rejected)}: {it} of a budget beyond the data "
        f"follows a curve that the data do not. {beside}"
    ).rstrip()


def _apart(inputs: ReportInputs) -> str:
    """Say what moves a from Hoffmann's towards Kaplan's on these runs; empty where nothing can."""
    hoffmann, kaplan = published_exponents(inputs.reference)
    gap = kaplan - hoffmann
    counted, counting = _counting_shift(inputs)
    moves = [
        (what, whose, moved)
        for what, whose, moved in (
            ("counting without embeddings", counted, counting),
            ("reading unfinished schedules", "envelope", _schedule_shift(inputs)),
            ("Kaplan’s form of the law", "parametric", _law_shift(inputs)),
        )
        if moved is not None
    ]
    if not moves:
        return ""
    parts = [
        f"{what} makes {signed(moved, 2)}{_part(moved / gap)} in {_plainly(whose)}"
        for what, whose, moved in moves
    ]
    several = " Shifts of several approaches do not add up." if _differ(moves) else ""
    return (
        f"Of the {fixed(gap, 2)} between Kaplan’s *a* of {fixed(kaplan, 2)} and Chinchilla’s "
        f"{fixed(hoffmann, 2)}, on these runs {listed(parts)}.{several}"
    )


def _plainly(approach: Approach) -> str:
    """Name an approach in the middle of a sentence, without what it is in brackets."""
    return IN_PROSE[approach].partition(" (")[0].replace("Approach", "approach")


def _differ(moves: Sequence[tuple[str, Approach, float]]) -> bool:
    return len({whose for _, whose, _ in moves}) > 1


def _part(share: float) -> str:
    """Say how much of the papers' distance a shift is; one away from Kaplan's is no part of it."""
    return f" ({percent(share)})" if share > 0.0 else " (the other way)" if share < 0.0 else ""


def _matched(
    inputs: ReportInputs, approach: Approach, choice: str, before: object, after: object
) -> float | None:
    """Give the median shift between two options of a choice, all else equal."""
    fitted = inputs.specifications.filter(pl.col("a").is_not_null())
    wanted = next(option for option in CHOICES if option.name == choice)
    moved = shift(fitted, approach, wanted, before, after)  # type: ignore[arg-type]
    # where no pair moved at all the runs do not know the choice: final losses have no schedule
    return None if moved is None or not moved.moves else moved.median


def _counting_shift(inputs: ReportInputs) -> tuple[Approach, float | None]:
    """Give what Kaplan's counting moves: in the parametric law, or else in Kaplan's."""
    order: tuple[Approach, ...] = ("parametric", "kaplan", "envelope", "profiles")
    for approach in order:
        moved = _matched(inputs, approach, "Counting", HOFFMANN_COUNTS, KAPLAN_COUNTS)
        if moved is not None:
            return approach, moved
    return order[0], None


def _schedule_shift(inputs: ReportInputs) -> float | None:
    """Give what points from unfinished schedules move in the envelope."""
    schedule = next(choice for choice in CHOICES if choice.name == "Schedule")
    fitted = inputs.specifications.filter(pl.col("a").is_not_null())
    options = sorted(
        (option for option in schedule.options(fitted) if option[0] is not None), key=_share
    )
    if len(options) < 2:
        return None
    return _matched(inputs, "envelope", "Schedule", options[-1], options[0])


def _share(option: Sequence[object]) -> float:
    return float(option[0])  # type: ignore[arg-type]


def _law_shift(inputs: ReportInputs) -> float | None:
    """Give a of Kaplan's L(N, D) less a of Hoffmann's, fitted to the same losses, counted alike."""
    kaplan, parametric = inputs.fitted.get("kaplan"), inputs.fitted.get("parametric")
    if kaplan is None or parametric is None:
        return None
    conventions = (parametric.counting.params, parametric.counting.flops)
    for counted in expect(kaplan.diagnostics, KaplanDiagnostics).countings:
        if (counted.params, counted.flops) == conventions and counted.parameters is not None:
            return counted.parameters["a_joint"] - parametric.a.value
    return None


def _standing_table(
    inputs: ReportInputs,
    flops: float,
    stands: dict[str, Standing],
) -> Table:
    """Tabulate every law at one budget, with how it did in both tests."""
    rows: list[list[str]] = []
    answers, optima = inputs.every_answer, inputs.every_answered(flops)
    first = next(iter(answers))
    for name, optimum in optima.items():
        answer = answers[name]
        rows.append([
            _name(name, answer, bold=name == first, mixed=_mixed(inputs, name, stands[name])),
            _with_interval(optimum.params, count),
            _with_interval(optimum.tokens_per_param, ratio),
            _loss_cell(stands[name], optimum.loss),
            _covered(answer, stands[name]),
            _forecast(stands[name]),
        ])  # fmt: skip
    for law in published_optima(inputs.reference, flops):
        if law.plain in SHOWN_PUBLISHED:
            name = "Hoffmann 2022" if law.plain.startswith("Hoffmann") else "Kaplan 2020"
            # as its own count has it: a column of total N otherwise
            of = PARAMS["nonembedding"] if law.approach == "kaplan" else NAMES[law.approach]
            per_param = ratio(law.tokens / law.params)
            rows.append([
                f"*{name}* {BREAK} [{of}]{{.ci}}", count(law.params), per_param, NONE, NONE, NONE
            ])  # fmt: skip
    return Table(
        key="answer",
        caption=f"Allocations of {power(flops)} FLOPs with {percent(LEVEL)} intervals; the "
        "recommended one in bold. Covers: share of simulated sweeps of this design in which the "
        f"{percent(LEVEL)} interval for *a* covers the truth; of the mixture the least over its "
        "laws, *a*, *N*\\* and *L*\\*. Forecast: whether intervals from the "
        "part of the sweep below the highest cut covered the part above it as often as a right "
        "forecast’s would, its losses not all off to one side at every cut, and their mean error "
        "above the highest cut alone, predicted less measured; [every cut](#forecast) stands below."
        + _of_minima(stands)
        + _of_weights(inputs),
        columns=(
            Column("Law", "left"), Column("*N*\\*"), Column("*D*\\*/*N*\\*"),
            Column("Loss"), Column("Covers"), Column("Forecast"),
        ),
        rows=rows,
        data_columns=DATA,
        data=_data(inputs, [flops], stands),
        classes=' .wide .answer widths="1.35 1.1 1 1.1 0.8 1"',
        notes=[*_signs(rows), *_open(inputs, [flops])],
    )  # fmt: skip


def _open(inputs: ReportInputs, budgets: Sequence[float]) -> list[str]:
    """Say which answers do not stand at some budgets, since their runs leave them open."""
    names = dict.fromkeys(key for flops in budgets for key in inputs.open_at(flops))
    if not names:
        return []
    why = f"{UNDETERMINED[0].lower()}{UNDETERMINED[1:]}"
    return [f"Without {listed([ANSWERS[key].label for key in names])}: {why}"]


def _of_minima(stands: dict[str, Standing]) -> str:
    """Say that forecasts rest on losses where too few minima were measured to fail one on N."""
    numbers = [s.n for each in stands.values() for s in each.scores if s.quantity == "params_opt"]
    if not numbers or max(numbers) > 1:
        return ""
    return (
        " Forecasts are judged by losses: above that cut *N*\\* was measured once, and a right "
        "forecast may miss one."
    )


def _of_weights(inputs: ReportInputs) -> str:
    """Say what the weights are; nothing where nothing is mixed."""
    return " Weight: share of the mixture’s draws." if _member(inputs, "parametric") else ""


def _signs(rows: Sequence[Sequence[str]]) -> list[str]:
    """Explain the signs that a table has."""
    cells = [cell for row in rows for cell in row]
    notes = []
    if any(SHORT in cell for cell in cells):
        notes.append(f"{SHORT} covers the truth less often than its confidence level.")
    if any(WITHOUT in cell for cell in cells):
        notes.append(
            f"{NONE} below a number: no interval from its resamples covers as often as it should, "
            "whichever law is true that the runs do not reject, or none that contains the number; "
            "the section on coverage says where."
        )
    if NO_LEVEL in cells:
        notes.append(
            f"“{NO_LEVEL}”: no width of its interval for *a* covers as often as it should."
        )
    if EXCLUDED in cells:
        notes.append(f"“{EXCLUDED}”: the interval for *a* that covers excludes the number itself.")
    if any(UNSURE in cell for cell in cells):
        notes.append(DOUBTED)
    if any(REJECTED_TRUTHS in cell for cell in cells):
        notes.append(f"{OF_REJECTED}.")
    if any(INEXACT in cell for cell in cells):
        notes.append(
            "Not exact: it misses the runs by more than runs of one size and token count differ."
        )
    return [" ".join(notes)] if notes else []


def _name(name: str, answer: Estimate | Mixture, *, bold: bool, mixed: str = "") -> str:
    """Name an answer, with its counting and what it is to the mixture; a law in smaller type."""
    called = ANSWERS[name].label
    shown = f"**{called}**" if bold else called
    if name not in {*APPROACHES, KEY}:
        shown = f"[{called}]{{.law}}"
    lines = [shown]
    if answer.counting.params != "total":
        lines.append(f"[{PARAMS[answer.counting.params]}]{{.ci}}")
    if mixed:
        lines.append(f"[{mixed}]{{.ci}}")
    return f" {BREAK} ".join(lines)


def _mixed(inputs: ReportInputs, name: str, stands: Standing) -> str:
    """Say what a law is to the mixture; nothing of what is no law of the set."""
    member = _member(inputs, name)
    if member is None:
        return ""
    if member.weight == 0.0 and stands.rejected:
        return "rejected by the runs"
    return f"weight {percent(member.weight)}{INEXACT if stands.misses else ''}"


def _member(inputs: ReportInputs, name: str) -> Member | None:
    return inputs.mixture.member(name) if isinstance(inputs.mixture, Mixture) else None


def _covered(answer: Estimate | Mixture, stands: Standing) -> str:
    """Say whether intervals cover: those for a, or of the mixture the worst of all its checks."""
    if isinstance(answer, Mixture) and answer.checks:
        least, _, _ = answer.worst(LEVEL)
        return f"{_covers(stands)}, ≥{NBSP}{percent(least)}"
    if isinstance(answer.a.levels.get(f"{LEVEL:g}"), NoLevel):
        return NO_LEVEL
    if answer.a.excluded(LEVEL):
        return EXCLUDED
    share = answer.a.coverage.get(f"{LEVEL:g}")
    if share is None or stands.covers is None:
        return NOT_CHECKED
    return f"{_covers(stands)}, {percent(share)}"


def _covers(stands: Standing) -> str:
    return f"{'yes' if stands.covers else 'no'}{REJECTED_TRUTHS * stands.tried_on_rejected}"


def _forecast(stands: Standing) -> str:
    """Say whether a law forecast the upper part, with the mean error of its losses."""
    if stands.forecasts is None:
        return NOT_CHECKED
    word = "yes" if stands.forecasts else "no"
    biases = {score.quantity: score.bias for score in stands.scores}
    bias = biases.get("loss", biases.get("loss_opt"))
    if bias is None:
        return word
    shown = fixed(bias)
    rests = f" {BREAK} [on one loss]{{.ci}}" if stands.forecast_losses == 1 else ""
    return f"{word}, {shown if shown.startswith(MINUS) else f'+{shown}'}{rests}"


def _budget_table(inputs: ReportInputs, stands: dict[str, Standing]) -> Table:
    """Tabulate N and D/N of every law at every budget, Gopher's last.

    Nothing stands where the sweep does not say.
    """
    budgets = sorted({*inputs.budgets, inputs.reference.gopher_budget})
    answers = inputs.every_answer
    best = next(iter(answers))
    data = answers[best].flops_range
    trust = {flops: reach(decades_beyond(flops, data)) for flops in budgets}
    rows: list[list[str]] = []
    for name, answer in answers.items():
        cells = [_name(name, answer, bold=name == best)]
        for flops in budgets:
            optimum = inputs.every_answered(flops).get(name)
            unknown = optimum is None or reach(decades_beyond(flops, answer.flops_range)) == UNKNOWN
            cells.append(NONE if unknown or optimum is None else _size_and_ratio(optimum))
        rows.append(cells)
    published = {
        flops: [law for law in published_optima(inputs.reference, flops) if not law.rounded]
        for flops in budgets
    }
    for place, first in enumerate(published[budgets[0]]):
        at = [published[flops][place] for flops in budgets]
        rows.append([
            f"*{first.name}*" if "*" not in first.name else first.name,
            *(f"{count(law.params)} {BREAK} [{ratio(law.tokens / law.params)}]{{.ci}}"
              for law in at),
        ])  # fmt: skip
    for model in inputs.reference.gopher_chinchilla.models.rows:
        trained = f"{count(model.params)} {BREAK} [{ratio(model.tokens / model.params)}]{{.ci}}"
        rows.append([
            f"*{model.name}, as trained*",
            *(trained if flops == inputs.reference.gopher_budget else NONE for flops in budgets),
        ])  # fmt: skip
    return Table(
        key="budgets",
        caption=f"*N*\\* of every law at every budget, with its {percent(LEVEL)} interval, and "
        f"below it *D*\\*/*N*\\*; {power(inputs.reference.gopher_budget)} FLOPs are Gopher’s. The "
        "CSV has *D*\\*, losses and 80 % intervals too.",
        columns=(
            Column("Law", "left"),
            *(
                Column(f"{power(flops)}{NBSP}FLOPs {BREAK} [{trust[flops]}]{{.ci}}")
                for flops in budgets
            ),
        ),
        rows=rows,
        data_columns=DATA,
        data=_data(inputs, budgets, stands),
        classes=' .dense widths="1.5' + " 1" * len(budgets) + '"',
        notes=[*_signs(rows), *_open(inputs, budgets)],
    )


def _size_and_ratio(optimum: Optimum) -> str:
    per_param = _plain_interval(optimum.tokens_per_param, ratio)
    return f"{_with_interval(optimum.params, count)} {BREAK} [{per_param}]{{.ci}}"


def _plain_interval(quantity: Quantity, write: Callable[[float], str]) -> str:
    ends = quantity.intervals.get(f"{LEVEL:g}")
    shown = write(quantity.value)
    return shown if ends is None else f"{shown} ({interval(*ends, write)})"


def _data(
    inputs: ReportInputs, budgets: Sequence[float], stands: dict[str, Standing]
) -> list[list[Value]]:
    """Lay out every law at some budgets with every digit."""
    data: list[list[Value]] = []
    against = _against(inputs)
    for flops in budgets:
        for name, optimum in inputs.every_answered(flops).items():
            member, counting = _member(inputs, name), inputs.every_answer[name].counting
            quantities = (optimum.params, optimum.tokens, optimum.tokens_per_param, optimum.loss)
            data.append([
                flops, name, "sweep", counting.params, counting.flops,
                *(value for quantity in quantities for value in flat(quantity)),
                None if optimum.loss is None else _passed(stands[name].doubts_loss),
                optimum.decades_beyond_data,
                _passed(stands[name].covers),
                None if stands[name].covers is None else _passed(stands[name].tried_on_rejected),
                _passed(stands[name].forecasts),
                *((None, None) if member is None else (member.weight, member.left_out)),
                against or None,
            ])  # fmt: skip
        for law in published_optima(inputs.reference, flops):
            if law.rounded:
                continue
            blank: list[Value] = [None] * 4
            counted = ("nonembedding", "kaplan") if law.approach == "kaplan" else ("total", "6nd")
            data.append([
                flops, law.plain, "published", *counted, law.params, *blank, law.tokens, *blank,
                law.tokens / law.params, *blank, *[None] * 6, *[None] * 7,
            ])  # fmt: skip
    return data


def _passed(passed: bool | None) -> str | None:  # noqa: FBT001  a fact, not a switch
    return None if passed is None else "yes" if passed else "no"
