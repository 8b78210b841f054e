"""Plausibility: one table of named checks, over every run once all its facts are merged.

A check gives a number and the range in which it is plausible. Whether a run that fails it is left
out or only told of is settled by config.yaml (`ingest.gates`); `overrule:` in a sweep.yaml accepts
one run that fails one check, with a reason that is printed. Every number goes into table `Gates`.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from isoflop import counting
from isoflop.cells import cells_of
from isoflop.config.ingest import AtLeast, AtMost
from isoflop.errors import ConfigError
from isoflop.ingest.checks.measures import RESOLVED, constant_rate
from isoflop.ingest.checks.row_copies import rows_of_curves
from isoflop.ingest.checks.trend import distances
from isoflop.ingest.checks.two_logs import is_copy, logged_twice
from isoflop.ingest.facts import sidecar as side
from isoflop.ingest.formats import takes_map
from isoflop.tables import Gates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from isoflop.config.ingest import GatesSettings
    from isoflop.config.sidecar import SweepFile
    from isoflop.ingest.runs.logical_runs import Part, Run

TOKENS_PER_PARAMETER: Final = 10.0
"""A run with more is well trained, whatever its size: `high_loss` says nothing of one with less."""
START: Final = 0.02
"""Share of a run's steps within which a model has hardly learnt."""
LEAST_SPIKE: Final = 0.1
"""A lower spike is none, however quiet the lines around it are [nat/token]."""
SAMPLES: Final = 500
"""Rows of W&B's run.history(), unless its caller asks for more or fewer."""
LEAST_VALUES: Final = 8
"""Losses from which the number of their digits is read: a few may end in zeros by chance."""


class Finding(NamedTuple):
    """What a check finds of one run: its number, and what there is to say if it is implausible."""

    value: float
    words: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A run as the checks see it.

    Attributes
    ----------
    run : what it is.
    curve : its entry of `measures.measure`.
    """

    run: Run
    curve: Mapping[str, Any]

    def fact(self, name: str) -> Any:
        """Give a fact's value, or None."""
        return self.run.identity.value(name)

    @property
    def peak_rate(self) -> float | None:
        """The highest learning rate, where facts or a log that never changes it tell it."""
        told: float | None = self.fact("schedule.lr_peak")
        return constant_rate(self.curve) if told is None else told

    @property
    def final(self) -> float | None:
        """The last eval loss, or else the last training loss [nat/token]."""
        last: float | None = self.curve["last_eval"]
        return self.curve["last_train"] if last is None else last

    @property
    def observed(self) -> bool:
        """Whether it is an observation with a final loss: fitted, finished, not diverged."""
        return bool(
            self.run.reason is None
            and (self.fact("role") or "fit") == "fit"
            and not self.curve["last_is_nan"]
            and self.final is not None
            and self.curve["tokens"]
            and (self.schedule_done is None or self.schedule_done >= FINISHED_SHARE)
        )

    @property
    def schedule_done(self) -> float | None:
        """Share of the schedule done; None where it has no length."""
        horizon, tokens = self.fact("schedule.tokens"), self.curve["tokens"]
        return tokens / horizon if horizon and tokens is not None else None


FINISHED_SHARE: Final = 0.99
"""Share of its schedule after which a run without an end line counts as finished."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes
    ----------
    name : key in config.yaml's ingest.gates.
    tests : what its number is, in a few words.
    unit : unit of the number.
    source : where the number or its limit comes from.
    find : gives the findings by index of the run, of those runs that can be tested.
    """

    name: str
    tests: str
    unit: str
    source: str
    find: Callable[[Sequence[Measured]], Iterator[tuple[int, Finding]]]


def _of_each(
    find: Callable[[Measured], Finding | None],
) -> Callable[[Sequence[Measured]], Iterator[tuple[int, Finding]]]:
    """Make a check of a sweep from one of a single run."""

    def all_runs(runs: Sequence[Measured]) -> Iterator[tuple[int, Finding]]:
        for place, run in enumerate(runs):
            if (finding := find(run)) is not None:
                yield place, finding

    return all_runs


# -- of losses -------------------------------------------------------------------------------------


def _uniform_guess(run: Measured) -> Finding | None:
    vocabulary = run.fact("architecture.vocab_size")
    if run.final is None or not vocabulary:
        return None
    guess = math.log(vocabulary)
    return Finding(
        guess - run.final,
        f"final loss {run.final:.3f} is hardly below a uniform guess, ln {vocabulary} = "
        f"{guess:.3f} nats",
    )


def _high_loss(run: Measured) -> Finding | None:
    tokens, params = run.curve["tokens"], run.fact("params.total")
    if run.final is None or not tokens or tokens <= TOKENS_PER_PARAMETER * params:
        return None
    return Finding(
        run.final,
        f"final loss {run.final:.3f} nats after {tokens / params:.3g} tokens per parameter: "
        f"another unit, or not the loss of this model?",
    )


def _beyond_vocabularies(run: Measured) -> Finding | None:
    if run.final is None:
        return None
    return Finding(
        run.final,
        f"final loss {run.final:.6g} nats, which is above ln V of any vocabulary: a sum over the "
        f"tokens of a sequence or a batch, or over accumulation steps, or a perplexity? Then say "
        f"loss_unit in {side.SIDECAR}, or map the loss of a table as a formula, such as "
        f"'\"loss\" / <tokens>'",
    )


def _low_start(run: Measured) -> Finding | None:
    first, step, last = (run.curve[name] for name in ("first_train", "first_step", "last_step"))
    # a cooldown begins at a trained model
    if first is None or step > START * last or run.fact("schedule.kind") == "cooldown":
        return None
    return Finding(
        first,
        f"its training loss begins at {first:.3g} nats at step {step}, where a model that is not "
        f"trained yet has ln V, the logarithm of its vocabulary: divided by accumulation steps, "
        f"another unit, or a model trained before?",
    )


def _of_one_text(runs: Sequence[Measured]) -> list[list[int]]:
    """Group the runs with a final loss: another text, or other tokens, is another loss."""
    alike = ("dataset", "tokenizer", "architecture.vocab_size")
    groups: dict[object, list[int]] = {}
    for place, run in enumerate(runs):
        if run.observed:
            groups.setdefault(tuple(map(run.fact, alike)), []).append(place)
    return [*groups.values()]


def _trend(runs: Sequence[Measured]) -> Iterator[tuple[int, Finding]]:
    for group in _of_one_text(runs):
        chosen = [runs[place] for place in group]
        measured = distances(
            np.array([run.fact("params.total") for run in chosen]),
            np.array([run.curve["tokens"] for run in chosen]),
            np.array([run.final for run in chosen]),
        )
        if measured is None:
            continue
        for place, run, sigmas, expected in zip(group, chosen, *measured, strict=True):
            yield (
                place,
                Finding(
                    float(sigmas),
                    f"final loss {run.final:.3f} where the sweep's other runs of its N and D have "
                    f"about {expected:.3f}: {sigmas:.1f} robust standard deviations away",
                ),
            )


def _on_trend(runs: Sequence[Measured], settings: GatesSettings) -> frozenset[int]:
    """Find the runs whose high loss the others of their text explain: that of small models.

    A run counts that lies on the trend where most of the runs that make it end below `high_loss`.
    Where most end above it, the trend may be that of another unit.
    """
    if settings.trend.action == "off":
        return frozenset()
    on = {place for place, (sigmas, _) in _trend(runs) if sigmas <= settings.trend.most}
    explained: set[int] = set()
    for group in _of_one_text(runs):
        low = sum((runs[place].final or 0.0) <= settings.high_loss.most for place in group)
        if 2 * low > len(group):
            explained |= on.intersection(group)
    return frozenset(explained)


def _duplicate(runs: Sequence[Measured]) -> Iterator[tuple[int, Finding]]:
    first: dict[bytes, str] = {}
    kept = [run for run in runs if run.run.reason is None and run.curve["curve"] is not None]
    twice = logged_twice(
        [run.run for run in kept],
        [run.curve["points"] for run in kept],
        [(run.curve["first_train"], run.curve["last_train"]) for run in kept],
    )
    thinned = {
        kept[place].run.name
        for place, (at, _) in twice.items()
        if is_copy(kept[place].run, kept[at].run)
    }
    rounded = {kept[place].run.name: (kept[at].run.name, n) for place, (at, n) in twice.items()}
    used = [place for place, run in enumerate(runs) if run.run.reason is None]
    ends = rows_of_curves([runs[place] for place in used])
    rows = {used[row]: used[curve] for row, curve in ends.items()}
    for place, run in sorted(enumerate(runs), key=lambda item: item[1].run.name):
        if run.run.reason is not None or (run.curve["curve"] is None and place not in rows):
            continue
        if run.run.name in rounded:
            other, steps = rounded[run.run.name]
            words = (
                f"its losses at {steps} steps equal those of run '{other}' to the digits that both "
                f"print, or as means of steps, in a log of another format beside it: one run "
                f"logged twice?"
            )
            if run.run.name in thinned:
                words = (
                    f"all its {steps} losses are those of run '{other}' at these steps, or a "
                    f"moving average of these: a copy?"
                )
            yield place, Finding(float(steps), words)
            continue
        if place in rows:
            alike = sum(runs[row].run.paths == run.run.paths for row in rows)
            words = (
                f"its N, D and last loss are those of the curve of run "
                f"'{runs[rows[place]].run.name}', as {alike} rows of its table are those of "
                f"curves: one run under two names?"
            )
            yield place, Finding(float(runs[rows[place]].curve["points"]), words)
            continue
        original = first.setdefault(run.curve["curve"], run.run.name)
        points = float(run.curve["points"]) if original != run.run.name else 0.0
        yield (
            place,
            Finding(
                points,
                f"all {points:g} points of its curve equal those of run '{original}': one run "
                f"under two names?",
            ),
        )


def _impossible_loss(run: Measured) -> Finding:
    count, words = run.curve["impossible"]
    return Finding(float(count), words)


def _train_eval_gap(run: Measured) -> Finding | None:
    if run.curve["last_eval"] is None or run.curve["last_train"] is None:
        return None
    gap = run.curve["last_eval"] - run.curve["last_train"]
    return Finding(
        abs(gap), f"eval and training loss end {gap:+.2f} nats apart: another unit or text?"
    )


def _loss_rises(run: Measured) -> Finding | None:
    kinds = (("train", "training"), ("eval", "eval"))
    # a cooldown begins at a trained model, where one batch's loss differs from another's by more
    branched = run.fact("schedule.kind") == "cooldown"
    for kind, name in kinds[1:] if branched else kinds:
        first, last = run.curve[f"first_{kind}"], run.curve[f"last_{kind}"]
        if first is not None and last is not None and run.curve[f"{kind}_losses"] > 1:
            return Finding(last - first, f"{name} loss rose from {first:.3f} to {last:.3f}")
    return None


def _spikes(run: Measured) -> Finding | None:
    if run.curve["spike"] is None:
        return None
    height, noise, step = run.curve["spike"]
    if height < LEAST_SPIKE:
        return Finding(0.0, "")
    sigmas = height / noise if noise else math.inf
    shown = min(sigmas, 1e6)  # lines without any noise
    return Finding(
        shown,
        f"its training loss spikes by {height:.2f} nats at step {step}, {shown:.3g} times a "
        f"line's noise",
    )


def _replay(run: Measured) -> Finding | None:
    if run.curve["overlap"] is None:
        return None
    differ = float(run.curve["overlap"])
    return Finding(differ, f"replayed steps differ by up to {differ:.2f} nats: one run?")


def _several_runs(run: Measured) -> Finding | None:
    """Doubt a log that begins anew after its end; files that are one run begin as they will."""
    if run.curve["begun_again"] is None or len(run.run.parts) > 1:
        return None
    times, step, tokens = run.curve["begun_again"]
    share = min(1.0, tokens / (run.fact("schedule.tokens") or run.curve["tokens"]))
    return Finding(
        share,
        f"its file holds {times + 1} runs, of which only the last would count: the log begins "
        f"again at step {step} after {100 * share:.0f} % of a run; give each a file of its own",
    )


def _not_finite_inside(run: Measured) -> Finding:
    lines = 0 if run.curve["last_is_nan"] else run.curve["nans"]
    return Finding(float(lines), f"{lines} lines with NaN or infinity, finite afterwards")


def _few_digits(runs: Sequence[Measured]) -> Iterator[tuple[int, Finding]]:
    """Read the digits of each curve; of runs with few losses, those of all from the same files."""
    by_files: dict[tuple[str, ...], list[int]] = {}
    for place, run in enumerate(runs):
        if run.curve["decimals"] is None:
            continue
        if run.curve["decimals"][1] >= LEAST_VALUES:
            yield place, _digits(run.curve["decimals"][0])
        else:
            by_files.setdefault(run.run.paths, []).append(place)
    for places in by_files.values():
        told = [runs[place].curve["decimals"] for place in places]
        if sum(values for _, values in told) >= LEAST_VALUES:
            for place in places:
                yield place, _digits(max(decimals for decimals, _ in told))


def _digits(decimals: int) -> Finding:
    if decimals >= RESOLVED:
        return Finding(10.0**-RESOLVED, "")
    return Finding(
        10.0**-decimals,
        f"its losses are written to {10.0**-decimals:g}: differences between runs of one budget "
        f"may be as small",
    )


# -- of counts -------------------------------------------------------------------------------------


def _tokens_fall(run: Measured) -> Finding | None:
    fall = run.curve["tokens_fall"]
    if fall is None:
        return None
    return Finding(
        float(fall), f"tokens fall from one step to a later one, by up to {fall:.6g} tokens"
    )


def _tokens_still(run: Measured) -> Finding | None:
    share = run.curve["tokens_still"]
    if share is None:
        return None
    return Finding(
        share,
        f"its tokens stand still for {100 * share:.0f} % of its steps, and end at "
        f"{run.curve['tokens']:.6g}: those of one step, and no count of all so far?"
        + (
            f" Then map no tokens in {side.SIDECAR}, or a formula that adds them up, and say "
            "tokens_per_step"
            if any(takes_map(part.log.format or "") for part in run.run.parts)
            else ""
        ),
    )


def _tokens_per_step(run: Measured) -> Finding | None:
    off = run.curve["tokens_off"]
    if off is None or all(map(_is_row, run.run.parts)):
        return None
    if any(part.run.counts_lines for part in run.run.parts):
        return None  # its steps are no updates
    expected = _ramped_up(run)
    if expected is None:
        return Finding(off, f"tokens differ from step x tokens per step by up to {100 * off:.1f} %")
    off = abs(run.curve["tokens"] / expected - 1.0)
    return Finding(
        off,
        f"tokens end {100 * off:.1f} % away from what steps and batch with its declared ramp-up "
        f"come to, {expected:.6g}",
    )


def _is_row(part: Part) -> bool:
    """Tell a row of a table of runs, which stands at step 1, however long the run was."""
    return part.log.format == "table" and part.run.steps == (1, 1) and part.run.counts_tokens


MOST_STAGES: Final = 100_000
"""More stages than any ramp-up of a batch has."""


def _ramped_up(run: Measured) -> float | None:
    """Count D at the last step from a declared ramp-up of the batch; None without one.

    The batch grows by one increment whenever another equal part of the ramp's samples was read.
    """
    start, increment, samples = (
        run.fact(f"batch_ramp.{name}") for name in ("start", "increment", "samples")
    )
    batch, per_step = run.fact("batch"), run.fact("tokens_per_step")
    if None in (start, increment, samples, batch, per_step) or not start < batch:
        return None
    stages = round((batch - start) / increment)
    if not 1 <= stages <= MOST_STAGES:
        return None
    left, read = run.curve["last_step"], 0.0
    for stage in range(stages):
        size = start + stage * increment
        steps = min(left, math.ceil(max(0.0, (stage + 1) * samples / stages - read) / size))
        left, read = left - steps, read + steps * size
    return float((read + left * batch) * per_step / batch)


def _tokens_per_param(run: Measured) -> Finding | None:
    params, tokens = (
        run.fact("params.total") or run.fact("params.nonembedding"),
        run.curve["tokens"],
    )
    if not run.observed or not params:
        return None
    ratio = tokens / params
    return Finding(
        ratio, f"{ratio:.2g} tokens per parameter: N, D or tokens per step may be in thousands, "
        f"millions or billions",
    )  # fmt: skip


def _flops_ratio(run: Measured) -> Finding | None:
    if not run.curve["flops_logged"] or not run.curve["flops_6nd"]:
        return None
    ratio = run.curve["flops_logged"] / run.curve["flops_6nd"]
    return Finding(ratio, f"logged FLOPs are {ratio:.2f} times 6ND")


def _params_of_shape(run: Measured) -> Finding | None:
    body, architecture = run.fact("params.nonembedding"), run.run.identity.architecture
    if architecture is None or body is None:
        return None
    shape = counting.params_nonembedding(architecture)
    return Finding(
        abs(body - shape) / shape, f"N_nonembedding {body:.4g} is far from the {shape:.4g} of its "
        f"shape",
    )  # fmt: skip


def _schedule_done(run: Measured) -> Finding | None:
    share = run.schedule_done
    if share is None:
        return None
    return Finding(
        share, f"it stopped at {100 * share:.1f} % of its schedule: its last loss is no final loss"
    )


def _past_schedule(run: Measured) -> Finding | None:
    share = run.schedule_done
    if share is None:
        return None
    words = f"its D is {share:.4g} times the length of its schedule"
    if not _length_is_of_log(run):
        words += f": give the runs of each length theirs, under runs: in {side.SIDECAR}"
    return Finding(share, words)


def _length_is_of_log(run: Measured) -> bool:
    """Tell whether the length of a schedule is from elsewhere than sweep.yaml."""
    fact = run.run.identity.facts.get("schedule.tokens")
    return fact is not None and fact.source != "sidecar"


def _hole(run: Measured) -> Finding | None:
    widest, usual = run.curve["widest_gap"], run.curve["usual_gap"]
    if not widest or not usual:
        return None
    end = run.curve["gap_end"]
    words = f"hole: no training line between steps {end - widest} and {end}"
    if widest == end:
        words = (
            f"it begins late: its first training line is at step {end}, in a log of every "
            f"{usual:g} steps. What came before is in no file of its run"
        )
    return Finding(widest / usual, words)


def _sampled(run: Measured) -> Finding | None:
    if run.run.trainer != "table":
        return None
    points = run.curve["points"]
    return Finding(
        float(points if points == SAMPLES else 0),
        f"exactly {SAMPLES} points: W&B's run.history() samples; export by scan_history, or the "
        f"history artifact",
    )


def _peak_rates(runs: Sequence[Measured]) -> Iterator[tuple[int, Finding]]:
    told = [place for place, run in enumerate(runs) if run.observed and run.peak_rate is not None]
    cell = cells_of(
        np.array([float(runs[place].fact("params.total")) for place in told]),
        np.array([float(runs[place].curve["tokens"]) for place in told]),
    )
    # a trunk, its cooldowns and a cosine each have a rate of their own
    kinds = [str(runs[place].fact("schedule.kind")) for place in told]
    alike: dict[tuple[int, str], list[int]] = {}
    for place, number, kind in zip(told, cell.tolist(), kinds, strict=True):
        alike.setdefault((number, kind), []).append(place)
    for places in alike.values():
        rates = sorted({float(f"{runs[place].peak_rate:.3g}") for place in places})
        listed = ", ".join(f"{rate:g}" for rate in rates)
        for place in places:
            yield (
                place,
                Finding(
                    float(len(rates)),
                    f"the runs of its N and D have {len(rates)} peak learning rates ({listed})",
                ),
            )


CHECKS: Final = (
    Check("uniform_guess", "ln V minus the final loss", "nat/token",
          "the cross-entropy of a uniform guess", _of_each(_uniform_guess)),
    Check("high_loss", "final loss of a run with D > 10 N", "nat/token",
          "20 of 81 histories of OLMo's ladder end at 9.1 to 9.6 nats", _of_each(_high_loss)),
    Check("beyond_vocabularies", "final loss", "nat/token",
          "the cross-entropy of a uniform guess among three million tokens",
          _of_each(_beyond_vocabularies)),
    Check("low_start", "first training loss, of a log that begins with its run", "nat/token",
          "the cross-entropy of a uniform guess among two tokens", _of_each(_low_start)),
    Check("trend", "distance of the final loss from the trend in N and D, 0 within 0.3 of ln L",
          "robust sigma",
          "bisquare regression of ln L on ln N and ln D", _trend),
    Check("duplicate", "points equal to those of another run", "point",
          "a run counts once", _duplicate),
    Check("impossible_loss", "losses of 0 or below", "loss",
          "a cross-entropy is positive", _of_each(_impossible_loss)),
    Check("train_eval_gap", "distance between eval and training loss at the end", "nat/token",
          "another unit, or text unlike that of training", _of_each(_train_eval_gap)),
    Check("loss_rises", "rise of the loss from beginning to end", "nat/token",
          "training lowers the loss", _of_each(_loss_rises)),
    Check("spikes", "highest spike of the training loss over a line's noise", "robust sigma",
          "spikes.py", _of_each(_spikes)),
    Check("tokens_fall", "largest fall of D", "token", "D is a running sum",
          _of_each(_tokens_fall)),
    Check("tokens_still", "longest stretch without a rise of D, over all steps", "1",
          "D is a running sum", _of_each(_tokens_still)),
    Check("tokens_per_step", "distance of D from step times tokens per step", "1",
          "two counts of one thing", _of_each(_tokens_per_step)),
    Check("tokens_per_param", "D over N", "token",
          "no study gives a model less than some hundredths", _of_each(_tokens_per_param)),
    Check("flops_ratio", "logged FLOPs over 6ND", "1",
          "Kaplan et al. (2020), section 2.1; Hoffmann et al. (2022), appendix F",
          _of_each(_flops_ratio)),
    Check("params_of_shape", "distance of N_nonembedding from the shape's matrices", "1",
          "Kaplan et al. (2020), table 1", _of_each(_params_of_shape)),
    Check("schedule_done", "share of the schedule done", "1",
          "Hoffmann et al. (2022), section 3.1", _of_each(_schedule_done)),
    Check("past_schedule", "D over the length of the schedule", "1",
          "Hoffmann et al. (2022), section 3.1", _of_each(_past_schedule)),
    Check("hole", "widest distance between training lines, in usual ones", "1",
          "a log is written at equal distances", _of_each(_hole)),
    Check("not_finite_inside", "lines with NaN or infinity, finite afterwards", "line",
          "a diverged model gives NaN to its end", _of_each(_not_finite_inside)),
    Check("replay", "difference of replayed training losses", "nat/token",
          "a checkpoint goes on where it stopped", _of_each(_replay)),
    Check("several_runs", "share done of its schedule, or of D, before its log begins anew", "1",
          "a run that is done is not begun again", _of_each(_several_runs)),
    Check("sampled", "points of a history of exactly 500", "point",
          "W&B's run.history(samples=500)", _of_each(_sampled)),
    Check("few_digits", "unit of the losses' last digit", "nat/token",
          "HF Trainer 5 prints four significant digits", _few_digits),
    Check("peak_rates", "peak learning rates of one N and D", "rate",
          "Hoffmann et al. (2022), appendix B: one tuned rate a size", _peak_rates),
)  # fmt: skip
"""All checks, in the order of their keys in config.yaml."""


# -- judging ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """What the checks say of a sweep.

    Attributes
    ----------
    table : the `Gates` table.
    notes : by run, what is implausible and does not leave it out, in words.
    excluded : by run, why a check leaves it out, and how to accept it.
    """

    table: pl.DataFrame
    notes: Mapping[str, list[str]]
    excluded: Mapping[str, str]


def judge(
    sweep: str, runs: Sequence[Measured], sidecar: SweepFile, settings: GatesSettings
) -> Judged:
    """Run every check over every run.

    Parameters
    ----------
    sweep : its name in the table.
    runs : the runs that have a curve.
    sidecar : sweep.yaml, whose `overrule:` accepts what fails.
    settings : actions and limits.

    Raises
    ------
    ConfigError : `overrule:` names a check that there is not.
    """
    _refuse_unknown(sidecar)
    rows: list[dict[str, Any]] = []
    notes: dict[str, list[str]] = {}
    excluded: dict[str, list[str]] = {}
    for check in CHECKS:
        gate = getattr(settings, check.name)
        if gate.action == "off":
            continue
        low, high = _limits(gate)
        explained = _explained(check, runs, settings)
        for place, (value, words) in check.find(runs):
            run = runs[place].run
            fails = (low is not None and value < low) or (high is not None and value > high)
            names = (*run.paths, *run.called)
            reason = side.accepted(sidecar, check.name, run.name, names) if fails else None
            # what is left out for another reason stays so, and is told of
            leaves_out = gate.action == "exclude" and run.reason is None
            if fails and place in explained:
                leaves_out = False
                words = f"{words}{explained[place]}"  # noqa: PLW2901
            verdict = ("passed" if not fails else "accepted" if reason is not None
                       else "excluded" if leaves_out else "warned")  # fmt: skip
            rows.append({"sweep": sweep, "check": check.name, "tests": check.tests,
                         "source": check.source, "run": run.name, "value": value,
                         "low": low, "high": high, "unit": check.unit, "verdict": verdict,
                         "words": words if fails else None, "reason": reason})  # fmt: skip
            if verdict == "excluded":
                excluded.setdefault(run.name, []).append(f"{words} ({_way_out(check, run)})")
            elif fails:
                accepted = "" if reason is None else f" (accepted by {side.SIDECAR}: {reason})"
                notes.setdefault(run.name, []).append(words + accepted)
    schema = {name: column.dtype for name, column in Gates.columns().items()}
    order = [check.name for check in CHECKS]
    table = pl.DataFrame(rows, schema=schema).sort(
        pl.col("check").replace_strict(order, list(range(len(order))), return_dtype=pl.Int64), "run"
    )
    return Judged(table, notes, {run: "; ".join(words) for run, words in excluded.items()})


def _explained(
    check: Check, runs: Sequence[Measured], settings: GatesSettings
) -> Mapping[int, str]:
    """Say of runs which a check only tells of what speaks for them."""
    if check.name == "high_loss":
        return dict.fromkeys(
            _on_trend(runs, settings), " It is used: it lies on the trend of the sweep's runs"
        )
    if check.name == "past_schedule":
        told = (place for place, run in enumerate(runs) if _length_is_of_log(run))
        return dict.fromkeys(told, ". It is used: behind that end a run may go on at its last rate")
    return {}


def _limits(gate: Any) -> tuple[float | None, float | None]:
    """Give the range of plausible values."""
    match gate:
        case AtLeast():
            return gate.least, None
        case AtMost():
            return None, gate.most
        case _:
            return gate.low, gate.high


def _way_out(check: Check, run: Run) -> str:
    return (
        f"check {check.name}; if the run is right, add to {side.SIDECAR}, overrule: "
        f"[{{{side.rule_for(run.name)}, check: {check.name}, reason: <why>}}]"
    )


def _refuse_unknown(sidecar: SweepFile) -> None:
    known = [check.name for check in CHECKS]
    for rule in sidecar.overrule:
        if rule.check not in known:
            close = difflib.get_close_matches(rule.check, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
            raise ConfigError(f"{side.SIDECAR}: overrule: there is no check '{rule.check}'; {hint}")
