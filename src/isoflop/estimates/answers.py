"""One question put to every law at once, and the answers as a table of text."""

from __future__ import annotations

import math
import re
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import Field

from isoflop.accelerators import Machine, read_accelerators
from isoflop.approach import ANSWERS, FITTED, IN_PROSE, NAMES
from isoflop.config.approaches import ExponentPrior
from isoflop.config.reading import Section, read_yaml
from isoflop.counting import SIZES, unusual_words
from isoflop.errors import IsoflopError
from isoflop.escape import html, unmarked
from isoflop.estimates.allocation import (
    UNDETERMINED,
    UNKNOWN,
    Allocation,
    allocate,
    is_doubtful,
    least_flops_of,
    lowest_loss_of,
    open_words,
    reach,
)
from isoflop.estimates.estimate import (
    Counting,
    Estimate,
    prior_words,
    read_draws,
    read_draws_of,
    read_estimates,
)
from isoflop.estimates.forecasts import read_forecasts
from isoflop.estimates.inference import ServedAllocation, allocate_served, served_columns
from isoflop.estimates.levels import NoLevel
from isoflop.estimates.mixture import (
    KEY,
    Mixture,
    NoMixture,
    answers_of,
    of_rejected,
    read_mixture,
)
from isoflop.estimates.power_frontier import ASKED, Asked
from isoflop.estimates.quantities import Quantity
from isoflop.estimates.recommendation import (
    DOUBTED,
    OF_REJECTED,
    REJECTED_TRUTHS,
    RULES,
    Rule,
    against_all,
    not_exact,
    recommend,
    standing,
)
from isoflop.estimates.refusals import pointing, refusal_lines
from isoflop.estimates.repeats import RepeatedAllocation, allocate_repeated
from isoflop.estimates.targets import Target, columns_at, lowest_losses
from isoflop.limits import LIMITS, UTILISATION
from isoflop.numbers import (
    NONE,
    PLAIN,
    UNSURE,
    count,
    first_of,
    fixed,
    interval,
    listed,
    per_cent,
    power,
    ratio,
)
from isoflop.project import facts_folder
from isoflop.published_laws import PublishedFit, published_exponents, published_fits
from isoflop.reference import REFERENCE_FILES, Besiroglu, Hoffmann, Kaplan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from isoflop.approach import Approach
    from isoflop.estimates.draws import Draws
    from isoflop.estimates.estimate import Refusal
    from isoflop.estimates.forecasts import Forecasts, NoForecasts
    from isoflop.estimates.mixture import Member

ZEROS: Final = re.compile(r"(?<=\d)\.0+(?=\D|$)|(?<=\.\d)0+(?=\D|$)")
PASSED: Final = {True: "yes", False: "no", None: NONE}
REPEATS: Final = "data_constrained"
"""Key of the law that knows what repeated tokens are worth."""
SERVED_INTERVALS: Final = (
    "These intervals end as far out among the draws as those of N and of the loss without serving, "
    "whichever lie farther out; how often they then cover was not counted."
)
NOT_ASKED: Final = (
    "it was not asked for. It takes runs that repeat their unique tokens unequally often; if these "
    "do, in Python name the approach too: sweep.fit([*isoflop.approach.FITTED, "
    f'"{REPEATS}"], settings={{"{REPEATS}": {{...}}}}), with the law of fresh tokens as settings'
)
ANY_FLOPS: Final = 1e20
"""A compute at which every published law has a best size [FLOP]."""
LEAST_SHARE: Final = 0.0001
"""Share of draws below which it is written as less than that."""
LEVEL: Final = "0.95"
"""Confidence level of the intervals in text; JSON has all."""


class Answer(Section):
    """What one law says."""

    law: str
    """Key of an approach, ``mixture``, or a published law's name."""
    counting: str
    """How its N and C are counted, as in "total N, 6nd C"."""
    sizes: str = SIZES["total"]
    """What its N is a number of."""
    counted: str = ""
    """Its counting in a reader's words; empty where it is total N and C = 6ND."""
    covers: bool | None = None
    """Whether its intervals cover in simulated sweeps; None where nobody checked."""
    tried_on_rejected: bool = False
    """Whether those sweeps are of laws alone that the runs reject."""
    forecasts: bool | None = None
    """Whether it predicted the upper part of its sweep; None where nobody checked."""
    forecast_losses: int | None = None
    """How many losses that rests on, above the highest cut; None where on none."""
    doubts_loss: bool | None = None
    """Whether it did not, or its runs reject its form; None where nobody checked."""
    misses: bool = False
    """Whether it misses its runs by more than replicates differ; see ``Answers.not_exact``."""
    weight: float | None = None
    """Its share of the mixture's draws; None where it is no law of the set, or nothing is mixed."""
    left_out: str | None = None
    """Why it has none, in words; None where it has."""
    by_form: str | None = None
    """From what its numbers come where not from the runs, in words; None where from these."""
    allocation: Allocation | None
    """None where no compute meets the target."""
    determined: bool = True
    """Whether the runs determine it within their own data; see ``Allocation.is_determined``."""
    least_flops: float | None = None
    """Compute below which the law has no best size [FLOP]; None where it has one at every."""
    lowest_loss: float | None = None
    """Loss that its best trainings approach as C grows; None where it predicts none."""
    predicts_loss: bool = True
    """Whether it says what loss an allocation has."""
    hours: Quantity | None = None
    """Of one card, to train it."""
    cost: Quantity | None = None
    """Of these hours."""
    served: ServedAllocation | None = None
    """The allocation that is cheapest to train and serve at the loss of this one."""
    served_hours: Quantity | None = None
    """Of one card, to train it; serving has a utilisation of its own, which nobody said."""
    served_cost: Quantity | None = None
    """Of these hours."""


class Answers(Section):
    """What every law says."""

    asked: Asked
    value: float
    sweep: str | None
    reach: str | None
    """How far the recommended answer is to be trusted, by its distance from the data."""
    recommended: str | None
    """Key of the approach, or ``mixture``; None without a sweep."""
    rule: Rule | None
    """Why it is recommended."""
    mixes_rejected: str = ""
    """Which laws take part in the mixture though the runs reject them; empty where none does."""
    leaves_open: bool = False
    """Whether the laws of the loss together leave the best size open; see ``NoMixture``."""
    open_by: str = ""
    """By what that is known, in whole sentences; why single laws have no part is in ``refused``."""
    against_all: str = ""
    """That the runs reject every law of the loss, or none forecast them, in words; else empty."""
    not_exact: str = ""
    """Which laws miss the runs by more than replicates differ, in words; empty where none does."""
    card: str | None
    served_tokens: float | None
    unique_tokens: float | None = None
    by: str = ""
    """By what word it is asked what repeated tokens are worth; empty where it cannot be asked."""
    published_slopes: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Between which ends b - a lies by the interval of a that a paper prints."""
    repeated: RepeatedAllocation | None = None
    """What is best with these unique tokens, by the data-constrained law; None unasked."""
    priors: dict[str, dict[str, ExponentPrior]] = Field(default_factory=dict)
    """Of each law that was not fitted to the runs alone: what it knew of its exponents."""
    laws: list[Answer]
    """The recommended one first, then the sweep's others, then the published ones."""
    refused: dict[str, str]
    """Approaches that could not be fitted, and why."""

    @property
    def has_answer(self) -> bool:
        """Whether any law of the sweep has an answer; without a sweep, any published one."""
        asked = [law for law in self.laws if self.sweep is None or law.law in ANSWERS]
        return any(law.allocation is not None for law in asked)

    def __str__(self) -> str:
        """Give the table that `isoflop allocate` prints."""
        return as_text(self)

    def __repr__(self) -> str:
        """Give the same in a session."""
        return as_text(self)

    def _repr_html_(self) -> str:
        """Give it to a notebook."""
        return as_html(self)


ASK: Final = "FLOPS, --loss, --params, --tokens, --ratio or --gpu-hours"
EXAMPLE: Final = "isoflop allocate 1e21"
"""How the command is asked, for messages; Python has words of its own."""


def one_target(
    *,
    hours: float | None = None,
    machine: Machine | None = None,
    words: tuple[str, str] = (ASK, EXAMPLE),
    **asked: float | None,
) -> Target:
    """Make the one target that somebody asked for.

    Parameters
    ----------
    hours : hours of one card, instead of a compute.
    machine : that card.
    words : by what to ask, and an example, for the message.
    asked : by the names of ``Asked``; all but one are None.

    Raises
    ------
    IsoflopError : not exactly one was given, or hours without a card.
    """
    given = [(name, asked.get(name)) for name in ASKED]
    if hours is not None:
        if machine is None:
            raise IsoflopError("hours are of a card: name it, as in --gpu-hours 1000 --gpu h100")
        given.append(("flops", LIMITS["hours"].require(hours) * machine.flops_per_hour))
    targets = [(name, value) for name, value in given if value is not None]
    if len(targets) != 1:
        raise IsoflopError(
            f"ask one question: {words[0]} ({len(targets)} given). Example: {words[1]}"
        )
    return Target(*targets[0])


def machine_of(
    gpu: str | None, utilisation: float | None, price: float | None, reference: Path | None
) -> Machine | None:
    """Look a card up; None without one.

    Raises
    ------
    IsoflopError : there is no such card, or a price or a utilisation without one.
    """
    if gpu is None:
        for given, what in ((price, "a price is of an hour"), (utilisation, "a utilisation is")):
            if given is not None:
                raise IsoflopError(f"{what} of a card: name it, as in --gpu h100")
        return None
    accelerator = read_accelerators(_facts(reference)).named(gpu)
    return Machine(accelerator, UTILISATION if utilisation is None else utilisation, price)


def answer(
    target: Target,
    *,
    sweep: str | None,
    estimates: Path,
    reference: Path | None,
    machine: Machine | None = None,
    served: float | None = None,
    unique: float | None = None,
) -> Answers:
    """Put a question to every law of a sweep and to every published one.

    Parameters
    ----------
    target : what is given.
    sweep : whose estimates answer; None: the published laws alone.
    estimates : folder of all sweeps' estimates, data/estimates.
    reference : data/reference; None finds it.
    machine : card, utilisation and price, for hours and cost.
    served : tokens served over the model's life.
    unique : unique tokens, where they are so few that they must be repeated.

    Raises
    ------
    IsoflopError : the sweep has no estimates, or unique tokens are asked of one without their law.
    """
    if unique is not None and sweep is None:
        raise IsoflopError(
            "what repeated tokens are worth is a sweep's to say: name one whose data-constrained "
            "law was fitted, as in --sweep NAME"
        )
    if sweep is None:
        return ask(target, reference=reference, machine=machine, served=served)
    sweep = sweep.strip().rstrip("/")
    if not sweep:
        raise IsoflopError(f"--sweep is empty: name a sweep, {_sweeps(estimates)}")
    folder = estimates / sweep
    if not any(folder.glob("*.json")):
        raise IsoflopError(
            f"{folder} has no estimates. Build them with `python3 run.py report`, or name "
            f"another sweep: {_sweeps(estimates)}"
        )
    if unique is not None and not (folder / f"{REPEATS}.json").exists():
        raise IsoflopError(
            f"what repeated tokens are worth is not known of sweep {sweep}: no report fits the "
            f"data-constrained law. It takes runs that repeat their unique tokens unequally often; "
            f"if this sweep has such, set the law for fresh tokens under "
            f"approaches.{REPEATS} and run "
            f"`snakemake {(folder / REPEATS).as_posix()}.json`. Its report's calculator says what "
            "repeats are worth by Muennighoff et al. (2023)"
        )
    # read where it is asked for alone
    repeats = (folder / f"{REPEATS}.json").exists()
    wanted = FITTED if unique is None else (*FITTED, REPEATS)
    return ask(
        target,
        sweep=sweep,
        by="--unique-tokens" if repeats else "",
        outcomes=read_estimates(folder, wanted),
        draws=read_draws(folder, wanted),
        forecasts=read_forecasts(folder / "forecast.json"),
        mixture=read_mixture(folder / "mixture.json"),
        mixture_draws=read_draws_of(folder, KEY),
        reference=reference,
        machine=machine,
        served=served,
        unique=unique,
    )


def ask(
    target: Target,
    *,
    sweep: str | None = None,
    outcomes: Mapping[Approach, Estimate | Refusal] | None = None,
    draws: Mapping[Approach, Draws] | None = None,
    forecasts: Forecasts | NoForecasts | None = None,
    mixture: Mixture | NoMixture | None = None,
    mixture_draws: Draws | None = None,
    reference: Path | None = None,
    machine: Machine | None = None,
    served: float | None = None,
    unique: float | None = None,
    by: str = "",
) -> Answers:
    """Put a question to estimates at hand, and to every published law.

    Parameters
    ----------
    outcomes, draws, forecasts, mixture, mixture_draws : of the sweep; None asks the published laws
        alone.
    target, sweep, reference, machine, served, unique : as of ``answer``.
    by : by what word it is asked what repeats are worth; empty where no law of them was fitted.
    """
    if served is not None:
        served = LIMITS["served"].require(served)
    if unique is not None:
        unique = LIMITS["unique"].require(unique)
    outcomes, drawn = outcomes or {}, dict(draws or {})
    fitted = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Estimate)}
    estimates = answers_of(fitted, None if mixture_draws is None else mixture)
    if mixture_draws is not None:
        drawn[KEY] = mixture_draws
    chosen = None if forecasts is None or mixture is None else recommend(fitted, forecasts, mixture)
    laws: list[Answer] = []
    first = "" if chosen is None else chosen.key
    for name in sorted(estimates, key=lambda key: key != first):
        estimate = estimates[name]
        allocation = allocate(estimate, drawn[name], target)
        stands = None if forecasts is None else standing(estimate, forecasts)
        member = mixture.member(name) if isinstance(mixture, Mixture) else None
        laws.append(
            _answer(
                name,
                f"{estimate.counting.params} N, {estimate.counting.flops} C",
                allocation,
                machine,
                allocate_served(estimate, drawn[name], target, served)
                if allocation is not None and served is not None
                else None,
                covers=None if stands is None else stands.covers,
                forecasts=None if stands is None else stands.forecasts,
                doubts_loss=None if stands is None else stands.doubts_loss,
                misses=stands is not None and stands.misses,
                member=member,
            ).model_copy(
                update={
                    "tried_on_rejected": stands is not None and stands.tried_on_rejected,
                    "by_form": estimate.by_form if isinstance(estimate, Estimate) else None,
                    **_counted(estimate.counting),
                    "least_flops": least_flops_of(estimate, drawn[name]),
                    "lowest_loss": lowest_loss_of(estimate, drawn[name]),
                    "forecast_losses": None if stands is None else stands.forecast_losses,
                }
            )
        )
    repeated = None if unique is None else _repeated(target, outcomes, drawn, unique)
    best = laws[0].allocation if laws else None
    published, slopes = _published(target, _facts(reference), machine, served)
    laws += published
    return Answers(
        asked=target.asked,
        value=target.value,
        sweep=sweep,
        reach=None if best is None or (chosen is None and mixture is not None) else best.reach,
        recommended=None if chosen is None else chosen.key,
        rule=None if chosen is None else chosen.rule,
        mixes_rejected=of_rejected(mixture.members) if isinstance(mixture, Mixture) else "",
        leaves_open=isinstance(mixture, NoMixture) and mixture.leaves_open,
        open_by=mixture.summary
        if isinstance(mixture, NoMixture) and mixture.leaves_open and chosen is None
        else "",
        against_all=""
        if forecasts is None
        else against_all(fitted, forecasts, None if mixture_draws is None else mixture),
        not_exact=not_exact(fitted.values()),
        card=None
        if machine is None
        else f"{machine.accelerator.name} at {100.0 * machine.utilisation:g} %",
        served_tokens=served,
        unique_tokens=unique,
        # they go with a compute
        by=by if target.asked == "flops" else "",
        published_slopes=slopes,
        repeated=repeated,
        priors={name: fit.priors for name, fit in fitted.items() if fit.priors},
        laws=laws,
        refused={
            name: outcome.refused
            for name, outcome in outcomes.items()
            if not isinstance(outcome, Estimate)
        },
    )


def _repeated(
    target: Target,
    outcomes: Mapping[Approach, Estimate | Refusal],
    draws: Mapping[str, Draws],
    unique: float,
) -> RepeatedAllocation:
    """Say what is best with few unique tokens.

    Raises
    ------
    IsoflopError : something else than a compute is given, or nobody fitted what repeats are worth.
    """
    if target.asked != "flops":
        raise IsoflopError(
            "unique tokens go with a compute: ask by FLOPS or --gpu-hours, not by "
            f"{NUMBERS[target.asked](target.value)}"
        )
    outcome = outcomes.get(REPEATS)
    if not isinstance(outcome, Estimate):
        why = NOT_ASKED if outcome is None else outcome.refused
        raise IsoflopError(f"what repeated tokens are worth was not fitted to this sweep: {why}")
    return allocate_repeated(outcome, draws[REPEATS], target.value, unique)


def _sweeps(estimates: Path) -> str:
    """List the sweeps that have estimates."""
    scored = [*estimates.glob("*/forecast.json"), *estimates.glob("*/*/forecast.json")]
    names = sorted(path.parent.relative_to(estimates).as_posix() for path in scored)
    return ", ".join(names) or f"there is none in {estimates} yet"


def _counted(counting: Counting) -> dict[str, str]:
    """Say what N and C are numbers of."""
    words = unmarked(unusual_words(counting.params, counting.flops))
    return {"sizes": SIZES[counting.params], "counted": words}


def _answer(
    law: str,
    counting: str,
    allocation: Allocation | None,
    machine: Machine | None,
    served: ServedAllocation | None,
    *,
    covers: bool | None = None,
    forecasts: bool | None = None,
    doubts_loss: bool | None = None,
    misses: bool = False,
    member: Member | None = None,
) -> Answer:
    """Add hours and money to an allocation, and what a law is to the mixture."""
    hours, cost = _paid(None if allocation is None else allocation.flops, machine)
    served_hours, served_cost = _paid(None if served is None else served.training_flops, machine)
    return Answer(
        law=law,
        counting=counting,
        covers=covers,
        forecasts=forecasts,
        doubts_loss=doubts_loss,
        misses=misses,
        weight=None if member is None else member.weight,
        left_out=None if member is None else member.left_out,
        allocation=allocation,
        determined=allocation is None or allocation.is_determined,
        hours=hours,
        cost=cost,
        served=served,
        served_hours=served_hours,
        served_cost=served_cost,
    )


def _paid(
    training: Quantity | None, machine: Machine | None
) -> tuple[Quantity | None, Quantity | None]:
    """Give the hours of one card that a training's C takes, and what they cost."""
    if training is None or machine is None:
        return None, None
    hours = _scaled(training, 1.0 / machine.flops_per_hour)
    return hours, None if machine.price is None else _scaled(hours, machine.price)


def _scaled(quantity: Quantity, factor: float) -> Quantity:
    """Give a quantity in another unit; its intervals cover as often."""
    return Quantity(
        value=quantity.value * factor,
        intervals={
            level: (low * factor, high * factor)
            for level, (low, high) in quantity.intervals.items()
        },
        coverage=quantity.coverage,
        levels=quantity.levels,
    )


def _facts(reference: Path | None) -> Path:
    """Give the folder of published facts; refuse another that lacks them."""
    if reference is None:
        return facts_folder()
    missing = [name for name in REFERENCE_FILES.values() if not (reference / name).is_file()]
    if missing:
        raise IsoflopError(
            f"{reference} is no folder of published facts: it has no {first_of(missing, 1)}. Leave "
            "--reference out for the project's, or name a copy of data/reference"
        )
    return reference


def _published(
    target: Target, folder: Path, machine: Machine | None, served: float | None
) -> tuple[list[Answer], dict[str, tuple[float, float]]]:
    """Put the question to the published laws; those with rounded constants stay out.

    Returns
    -------
    Their answers, and the ends of b - a of those whose papers print an interval of a.
    """
    papers = (
        read_yaml(folder / REFERENCE_FILES["hoffmann"], Hoffmann),
        read_yaml(folder / REFERENCE_FILES["besiroglu"], Besiroglu),
        read_yaml(folder / REFERENCE_FILES["kaplan"], Kaplan),
    )
    slopes = {
        row.label: (1.0 - 2.0 * ends[1], 1.0 - 2.0 * ends[0])
        for row in published_exponents(*papers)
        if (ends := row.a95 or row.a80) is not None
    }
    listed = []
    for fit in published_fits(*papers):
        if fit.rounded:
            continue
        allocation = _of_published(fit, target)
        counting = "nonembedding N, kaplan C" if fit.approach == "kaplan" else "total N, 6nd C"
        best = None
        if allocation is not None and served is not None:
            best = _served_of_published(fit, allocation.flops.value, served)
        answer = _answer(fit.plain, counting, allocation, machine, best)
        # a law without a loss says so of any compute
        at_any = columns_at(fit.law, fit.row, Target("flops", ANY_FLOPS))
        predicts = bool(np.isfinite(at_any["loss"]).all())
        lowest = float(lowest_losses(fit.law, fit.row)[0])
        known = {"predicts_loss": predicts, "lowest_loss": lowest if predicts else None}
        listed.append(answer.model_copy(update=known))
    return listed, slopes


def _of_published(fit: PublishedFit, target: Target) -> Allocation | None:
    """Answer by a published law, which comes without draws."""
    columns = {name: float(v[0]) for name, v in columns_at(fit.law, fit.row, target).items()}
    if math.isnan(columns["flops"]):
        return None
    quantities = {n: Quantity(value=v) for n, v in columns.items() if not math.isnan(v)}
    return Allocation.of(quantities, flops_range=None)


def _served_of_published(fit: PublishedFit, flops: float, served: float) -> ServedAllocation | None:
    columns = served_columns(fit.law, fit.row, np.array([flops]), served)
    if columns is None:
        return None
    return ServedAllocation.model_validate(
        {name: Quantity(value=float(column[0])) for name, column in columns.items()}
    )


def as_text(answers: Answers) -> str:
    """Write the answers as a table, with a line above it that says what is recommended and why."""
    fitted = [answer for answer in answers.laws if answer.law in ANSWERS]
    lines = [*_summary(answers), ""]
    for title, laws in (
        (answers.sweep or "", fitted),
        ("published", [answer for answer in answers.laws if answer.law not in ANSWERS]),
    ):
        rows = [_row(answer, answers) for answer in laws]
        # without a row of numbers there is nothing that columns could head
        answered = any(len(row) > 1 for row in rows)
        if rows and answered:
            lines += [*_aligned([_head(title, answers), *rows]), ""]
        elif rows:
            lines += [f"{title}: no law has an answer", *(cell for row in rows for cell in row), ""]
    if answers.served_tokens is not None:
        lines += _served_lines(answers)
    if answers.repeated is not None:
        lines += _repeated_lines(answers.repeated, answers.unique_tokens or 0.0)
    lines += refusal_lines(answers.refused)
    lines += _notes(answers)
    return "\n".join(lines).rstrip()


def as_html(answers: Answers) -> str:
    """Write the answers as a table for a notebook, with the sentence above it."""
    sentence = "".join(f"<p>{html(line)}</p>" for line in _summary(answers))
    heads = _head(answers.sweep or "law", answers)
    head = "".join(f"<th>{html(cell)}</th>" for cell in heads)
    rows = [_row(answer, answers) for answer in answers.laws]
    body = ""
    for cells in [*rows, *([why] for why in refusal_lines(answers.refused))]:
        # a law without an answer says so in the cell that is all it has
        wide = f' colspan="{len(heads)}"' if len(cells) == 1 else ""
        # what only a sweep's laws have, a published one lacks
        lacking = [NONE] * (len(heads) - len(cells)) if len(cells) > 1 else []
        body += f"<tr>{''.join(f'<td{wide}>{html(cell)}</td>' for cell in [*cells, *lacking])}</tr>"
    return f"{sentence}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


LEFT_OPEN: Final = "the laws of the loss leave the best size open, whatever one of them says alone"
NUMBERS: Final[dict[Asked, Callable[[float], str]]] = {
    "flops": lambda value: f"{power(value, hand=PLAIN)} FLOPs",
    "loss": lambda value: f"a loss of {value:g}",
    "params": lambda value: f"{_asked(count(value, hand=PLAIN))} parameters",
    "tokens": lambda value: f"{_asked(count(value, hand=PLAIN))} tokens",
    "tokens_per_param": lambda value: f"{_asked(ratio(value, PLAIN))} tokens per parameter",
}
"""How each question is written."""


def _asked(written: str) -> str:
    """Leave out the zeros behind a point that nobody typed: 1.00B is asked as 1B."""
    return ZEROS.sub("", written)


def _summary(answers: Answers) -> list[str]:
    """Say the recommendation in a sentence or two."""
    asked = NUMBERS[answers.asked](answers.value)
    if answers.sweep is None:
        return [f"{asked}, by the published laws (no --sweep given)"]
    best = answers.laws[0]
    allocation = best.allocation
    if answers.recommended is None or allocation is None:
        why = f": {LEFT_OPEN}" if answers.leaves_open else ""
        if answers.recommended is not None:
            why = f": {_unmet(best, answers)}"
        told = [f"{answers.open_by[0].upper()}{answers.open_by[1:]}"] if answers.open_by else []
        return [f"{asked}: sweep {answers.sweep} has no answer{why}", *told]
    words = RULES[answers.rule] if answers.rule is not None else ""
    sizes = (
        f"{_written(allocation.params, _count)} {best.sizes} on "
        f"{_written(allocation.tokens, _count)} tokens"
    )
    law = ANSWERS[best.law].in_prose
    doubts = [doubt for doubt in (answers.against_all, answers.not_exact) if doubt]
    served = _served_summary(asked, best, answers)
    if not best.determined:
        return [f"{asked}, by {law}: {UNDETERMINED[0].lower()}{UNDETERMINED[1:]}", *doubts]
    if served and best.served is not None:
        known = best.served.reach != UNKNOWN
        far = f"{best.served.distance}: {best.served.reach}. " if known else ""
        return [*served, f"{far}By {law}; {words}.", *doubts]
    if allocation.reach == UNKNOWN:
        return [
            f"{asked}: {allocation.distance}, where this sweep does not say what to train",
            f"Drawn out that far, {law} has {sizes}; {words}.",
            *doubts,
        ]
    return [
        f"{asked}: train {sizes}",
        f"{allocation.distance}: {allocation.reach}. By {law}; {words}.",
        *doubts,
    ]


def _served_summary(asked: str, best: Answer, answers: Answers) -> list[str]:
    """Say what to train where serving is asked of; empty where it is not, or nobody says."""
    if answers.served_tokens is None or best.served is None or best.allocation is None:
        return []
    served, alone = best.served, best.allocation
    loss = "that loss" if answers.asked == "loss" else f"the loss of the best training of {asked}"
    sizes = (
        f"{_written(served.params, _count)} {best.sizes} on "
        f"{_written(served.tokens, _count)} tokens"
    )
    told = f"{asked}, and {_asked(_count(answers.served_tokens))} tokens served"
    cheapest = (
        f"cheapest to train and to serve at {loss}; cheapest to train alone are "
        f"{_count(alone.params.value)} {best.sizes} on {_count(alone.tokens.value)} tokens."
    )
    if served.reach == UNKNOWN:
        return [
            f"{told}: {served.distance}, where this sweep does not say what to train",
            f"Drawn out that far, {sizes} are {cheapest}",
        ]
    return [f"{told}: train {sizes}", f"That is {cheapest}"]


def _head(title: str, answers: Answers) -> list[str]:
    head = [title]
    if answers.asked != "flops":
        head.append("C")
    head += ["N", "D", "D/N", "loss"]
    if any(answer.hours is not None for answer in answers.laws):
        head.append("hours")
    if any(answer.cost is not None for answer in answers.laws):
        head.append("cost")
    if title and title == answers.sweep:
        head += [*(["distance"] if _distances(answers) else []), "covers", "forecast"]
        if _mixes(answers):
            head.append("weight")
    return head


def _distances(answers: Answers) -> bool:
    """Tell whether the laws' answers lie at unlike distances from the data."""
    known = {
        reach(answer.allocation.decades_beyond_data)
        for answer in answers.laws
        if answer.allocation is not None and answer.allocation.decades_beyond_data is not None
    }
    return len(known) > 1


def _mixes(answers: Answers) -> bool:
    return any(answer.weight is not None for answer in answers.laws)


def _row(answer: Answer, answers: Answers) -> list[str]:
    allocation = answer.allocation
    is_fitted = answer.law in ANSWERS
    name = _name(answer.law)
    if allocation is None:
        return [f"{name}: {_unmet(answer, answers)}"]
    if not answer.determined:
        return [f"{name}: {UNDETERMINED[0].lower()}{UNDETERMINED[1:]}"]
    written = _writer(answer)
    cells = [name]
    if answers.asked != "flops":
        cells.append(written(allocation.flops, _power))
    cells += [
        *(
            _written(quantity, write) if name == answers.asked else written(quantity, write)
            for name, quantity, write in (
                ("params", allocation.params, _count),
                ("tokens", allocation.tokens, _count),
                ("tokens_per_param", allocation.tokens_per_param, _ratio),
            )
        ),
        NONE
        if allocation.loss is None
        else (_written if answers.asked == "loss" else written)(
            allocation.loss, fixed, mark=UNSURE if answer.doubts_loss else ""
        ),
    ]
    if answer.hours is not None:
        cells.append(_written(answer.hours, _time))
    if answer.cost is not None:
        cells.append(_written(answer.cost, _cost))
    if is_fitted:
        if _distances(answers):
            cells.append(f"{allocation.distance}: {reach(allocation.decades_beyond_data or 0.0)}")
        of_one = " (1)" if answer.forecast_losses == 1 else ""
        tried = REJECTED_TRUTHS if answer.tried_on_rejected else ""
        cells += [f"{PASSED[answer.covers]}{tried}", f"{PASSED[answer.forecasts]}{of_one}"]
        if _mixes(answers):
            cells.append(NONE if answer.weight is None else per_cent(answer.weight))
    return cells


def _unmet(answer: Answer, answers: Answers) -> str:
    """Say why a law has no answer."""
    if answers.asked == "loss" and not answer.predicts_loss:
        return "predicts no loss here"
    if answers.asked == "loss" and (lowest := answer.lowest_loss or 0.0) >= answers.value:
        return f"no compute gives that; at no compute is its loss below {fixed(lowest)}"
    words = "no best size at that compute"
    if answers.asked != "flops":
        words = "no compute gives that"
    elif answer.least_flops is not None and answers.value < answer.least_flops:
        return f"no best size below {_power(answer.least_flops)} FLOPs"
    if answer.least_flops is None:
        return words
    return f"{words}; there is no best size below {_power(answer.least_flops)} FLOPs"


def _name(law: str) -> str:
    """Name an approach or the mixture; a published law's key is its name."""
    return ANSWERS[law].label if law in ANSWERS else law


def _served_lines(answers: Answers) -> list[str]:
    """Tabulate what is cheapest to train and to serve."""
    rows = [
        _served_row(answer, answer.served) for answer in answers.laws if answer.served is not None
    ]
    tokens = _asked(_count(answers.served_tokens or 0.0))
    if not rows:
        return [
            f"No law here says what {tokens} served tokens change: they know the optimum alone."
        ]
    head = ["at the same loss", "N", "D", "D/N", "training C", "training + serving", "saved"]
    head += ["hours", "cost"][: len(rows[0]) - len(head)]
    return [
        f"Cheapest to train and to serve on {tokens} tokens (6ND + 2N per token served):",
        *_aligned([head, *rows]),
        *([] if answers.sweep is None else [SERVED_INTERVALS]),
        "",
    ]


def _served_row(answer: Answer, served: ServedAllocation) -> list[str]:
    written = _writer(answer)
    return [
        _name(answer.law),
        written(served.params, _count),
        written(served.tokens, _count),
        written(served.tokens_per_param, _ratio),
        written(served.training_flops, _power),
        written(served.total_flops, _power),
        written(served.saved, _percent),
        *(
            written(paid, write)
            for paid, write in ((answer.served_hours, _time), (answer.served_cost, _cost))
            if paid
        ),
    ]


def _repeated_lines(repeated: RepeatedAllocation, unique: float) -> list[str]:
    """Tabulate what is best with few unique tokens."""
    row = [
        NAMES[REPEATS],
        _written(repeated.params, _count),
        _written(repeated.tokens, _count),
        _written(repeated.tokens_per_param, ratio),
        _written(repeated.epochs, ratio),
        _written(repeated.worth, _count),
        _written(repeated.loss, fixed),
    ]
    head = ["unique tokens", "N", "D", "D/N", "epochs", "worth in fresh tokens", "loss"]
    return [
        f"Best with {_asked(_count(unique))} unique tokens, repeated as often as that pays:",
        *_aligned([head, row]),
        *([_beyond_seen(repeated)] if repeated.is_beyond else []),
        "",
    ]


def _beyond_seen(repeated: RepeatedAllocation) -> str:
    """Warn that the data-constrained law was fitted to fewer repeats than it is asked for."""
    seen, wanted = ratio(repeated.seen or 1.0, PLAIN), ratio(repeated.epochs.value, PLAIN)
    return (
        f"These runs saw their unique tokens {seen} times at most, and {IN_PROSE[REPEATS]} was "
        f"fitted to no more: what {wanted} times are worth is drawn out beyond them."
    )


def _notes(answers: Answers) -> list[str]:
    shown = [answer for answer in answers.laws if answer.law in ANSWERS and answer.allocation]
    # without a row of the sweep there are no columns and intervals to explain
    notes = [_of_intervals(answers), _legend(answers)] if shown else []
    notes += _of_counting(answers)
    if answers.card is not None:
        notes.append(
            f"Hours{' and cost' if any(answer.cost for answer in answers.laws) else ''}: of "
            f"training on one {answers.card} of its peak"
            f"{'' if answers.served_tokens is None else ', without serving'}."
        )
    if shown and answers.repeated is None:
        asked = f"; what more repeats are worth is asked by {answers.by}" if answers.by else ""
        notes.append(f"N and loss are of tokens seen as often as those of these runs{asked}.")
    notes.append(
        "Published laws are of their own text and tokenizer, losses above all; Kaplan’s N and C "
        "count no embeddings. They stand without intervals: their papers print such of exponents "
        "alone, and no draws."
    )
    if answers.asked == "tokens_per_param" and answers.published_slopes:
        notes.append(_of_slopes(answers.published_slopes))
    doubtful = [
        f"{_name(answer.law)} ({_share(answer.allocation.unanswered)})"
        for answer in answers.laws
        if answer.allocation is not None and answer.allocation.unanswered > 0.0
    ]
    if doubtful:
        notes.append(
            f"Draws in which no compute gives that: {', '.join(doubtful)}. Where they are more "
            f"than {per_cent(0.1 * (1.0 - float(LEVEL)), 1)}, no interval is given ({NONE}): its "
            "ends may lie among them."
        )
    opened = [
        f"{_name(answer.law)}: {words}"
        for answer in answers.laws
        if answer.allocation is not None
        and answer.determined
        and (words := open_words(answer.allocation.params, answer.allocation.tokens))
    ]
    if opened:
        notes.append(f"No answer to build on, however near the data: {'; '.join(opened)}.")
    without = [
        f"{_name(answer.law)} ({', '.join(reasons)})"
        for answer in answers.laws
        if answer.allocation is not None and (reasons := _without(answer.allocation))
    ]
    notes += _of_priors(answers)
    notes += _of_mixture(answers)
    if any(answer.doubts_loss for answer in answers.laws):
        notes.append(DOUBTED)
    if without:
        notes.append(
            f"{NONE} beside a number: no interval from its resamples covers in simulated sweeps as "
            f"often as it should, or none that contains the number: {'; '.join(without)}."
        )
    return notes


def _of_counting(answers: Answers) -> list[str]:
    """Name the answers whose N or C are others than total N and C = 6ND."""
    otherwise: dict[str, list[str]] = {}
    for answer in answers.laws:
        if answer.counted:
            otherwise.setdefault(answer.counted, []).append(_name(answer.law))
    return [f"N and C of {listed(names)}: {counted}." for counted, names in otherwise.items()]


def _of_mixture(answers: Answers) -> list[str]:
    """Say which laws the mixture lacks, or takes though the runs reject them, and why."""
    notes = []
    unmixed = [
        f"{_name(answer.law)}: {pointing(why, answers.refused).removesuffix('.')}"
        for answer in answers.laws
        if (why := answer.left_out)
    ]
    if unmixed:
        notes.append(f"No part of the mixture: {'; '.join(unmixed)}.")
    notes += [
        f"The numbers of {_name(answer.law)} come from {pointing(why, answers.refused)}"
        for answer in answers.laws
        if (why := answer.by_form) and not answer.left_out
    ]
    if answers.leaves_open and answers.recommended is not None:
        notes.append(f"No law of the loss is recommended: {LEFT_OPEN}.")
    if answers.mixes_rejected:
        notes.append(answers.mixes_rejected)
    return notes


def _of_slopes(slopes: Mapping[str, tuple[float, float]]) -> str:
    """Say how little published laws know of the C that has a given D/N."""
    known = [f"{interval(low, high, fixed)} ({name})" for name, (low, high) in slopes.items()]
    words = (
        "The C at which a published law has a given D/N is an order of magnitude at best: D/N "
        f"changes as C to the power b − a, and that is by its paper’s interval {listed(known)}"
    )
    level = [name for name, (low, high) in slopes.items() if low <= 0.0 <= high]
    if not level:
        return f"{words}."
    verb = "allows" if len(level) == 1 else "allow"
    return f"{words}; {listed(level)} {verb} 0, at which D/N is the same at every C."


def _of_intervals(answers: Answers) -> str:
    """Say how the intervals came about, of those laws that have any."""
    level = f"Intervals: {per_cent(float(LEVEL))}"
    known = {
        _name(answer.law): bool(quantity.levels)
        for answer in answers.laws
        if answer.allocation is not None
        for quantity in (answer.allocation.params, answer.allocation.tokens)
        if LEVEL in quantity.intervals
    }
    plain = [name for name, placed in known.items() if not placed]
    if not plain:
        return f"{level}." if not known else f"{level}, placed by simulated sweeps."
    whose = "" if len(plain) == len(known) else f" of {listed(plain)}"
    return f"{level}; those{whose} are uncalibrated percentiles: how often they cover is unknown."


def _legend(answers: Answers) -> str:
    """Explain the columns that only a sweep has."""
    mixed = "; weight: share of the mixture’s draws" if _mixes(answers) else ""
    alone = any(answer.forecast_losses == 1 for answer in answers.laws)
    rejected = any(answer.tried_on_rejected for answer in answers.laws)
    return (
        "covers: whether its intervals cover the truth in simulated sweeps of this design; "
        f"{f'{OF_REJECTED}; ' if rejected else ''}"
        "forecast: whether fits to the lower part of the sweep predicted the upper part"
        f"{', (1) on one loss' if alone else ''}{mixed}; {NONE}: not checked, or no part of it."
    )


def _of_priors(answers: Answers) -> list[str]:
    """Name the laws that rest on more than the runs, and on what; none where all rest on these."""
    known = [f"{IN_PROSE[law]} (of {prior_words(of)})" for law, of in answers.priors.items()]
    if not known:
        return []
    mixes = any(answer.weight for answer in answers.laws if answer.law in answers.priors)
    whose = "their numbers and intervals" if len(known) > 1 else "its numbers and intervals"
    whose += ", and those of the mixture," if mixes else ""
    return [
        f"Priors of exponents take part in {listed(known)}: {whose} are not of the sweep's runs "
        "alone."
    ]


def _without(allocation: Allocation) -> list[str]:
    """Name the quantities of an allocation that were to have an interval and have none, by why."""
    named = {
        "N": allocation.params,
        "D": allocation.tokens,
        "D/N": allocation.tokens_per_param,
        "loss": allocation.loss,
        "C": allocation.flops,
    }
    reasons: dict[str, list[str]] = {}
    for name, quantity in named.items():
        if quantity is None or LEVEL not in quantity.levels or LEVEL in quantity.intervals:
            continue
        missing = quantity.levels[LEVEL]
        why = f" where {IN_PROSE[missing.truth]} is true" if isinstance(missing, NoLevel) else ""
        reasons.setdefault(why, []).append(name)
    return [f"{listed(names)}{why}" for why, names in reasons.items()]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad cells to columns, names to the left and numbers to the right."""
    full = [row for row in rows if len(row) == max(map(len, rows))]
    widths = [max(len(row[i]) for row in full) for i in range(len(full[0]))]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    ]


def _written(
    quantity: Quantity, write: Callable[[float], str], *, mark: str = "", withheld: bool = False
) -> str:
    """Write a value with its interval: 560k (523k–727k); a dash where that is withheld."""
    ends = quantity.intervals.get(LEVEL)
    value = f"{write(quantity.value)}{mark}"
    if ends is not None:
        return f"{value} ({interval(*ends, write)})"
    return f"{value} ({NONE})" if withheld or LEVEL in quantity.levels else value


def _writer(answer: Answer) -> Callable[..., str]:
    """Give ``_written`` for a law, whose intervals may be withheld since its draws have none."""
    unanswered = 0.0 if answer.allocation is None else answer.allocation.unanswered
    return partial(_written, withheld=is_doubtful(unanswered, float(LEVEL)))


def _count(value: float) -> str:
    return count(value, hand=PLAIN)


def _ratio(value: float) -> str:
    return ratio(value, PLAIN)


def _share(value: float) -> str:
    """Write a share of draws as finely as tells it from the one that withholds an interval."""
    return per_cent(value, 2) if value >= LEAST_SHARE else f"<{per_cent(LEAST_SHARE, 2)}"


def _power(value: float) -> str:
    """Write an estimate of C: to three digits, zeros among them."""
    return power(value, hand=PLAIN, zeros=True)


def _cost(value: float) -> str:
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.3g}"


def _time(hours: float) -> str:
    """Write hours, and minutes or seconds where they are less than one."""
    if hours >= 1.0:
        return _cost(hours)
    minutes = 60.0 * hours
    return f"{minutes:.3g} min" if minutes >= 1.0 else f"{60.0 * minutes:.3g} s"


def _percent(value: float) -> str:
    # rounded first: a saving of nothing is no negative one
    return per_cent(round(value, 2) + 0.0)
