"""From curves to the table of losses that every approach fits, and the list of what is not in it.

Every run and every raw log of a sweep is in one of the two tables, or in both: a run that stopped
early keeps its curve, but its last loss is no final loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np
import polars as pl

from isoflop.cells import SETTINGS, rate_cells
from isoflop.losses.kept import Counts
from isoflop.losses.smoothing import LAGGING, effective_tokens, smooth
from isoflop.numbers import number_of, per_cent
from isoflop.spikes import spikes
from isoflop.tables import LIVE, Curves, LeftOut, Losses, types_of, validated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.config.losses import LossesSettings
    from isoflop.losses.kept import KeptLosses

Kind = Literal["eval", "train"]

KINDS: Final[tuple[Kind, ...]] = ("eval", "train")

FLOPS: Final = (
    "flops_6nd", "flops_kaplan", "flops_hoffmann", "flops_attention", "flops_active",
    "flops_logged",
)  # fmt: skip

LEAST_BRIDGED: Final = 0.5
"""Share of the schedule from which on training loss may bridge the gap to the end."""
LEAST_UNBRIDGED: Final = 0.9
"""Share of the schedule from which on the last evaluation itself may count as the final loss: what
is left of the decay then lowers it by about as much as seeds differ, and half of it by far more."""
BRIDGE_WINDOW: Final = 0.05
"""Half-width of the windows at its ends where training loss is not smoothed otherwise."""
BRIDGE_LINES: Final = 5
"""Training losses that must lie within a window at either end of such a gap."""
LEAST_CURVE: Final = 6
"""Evaluations that make a curve, where no final losses tell which kind to take."""
NO_SCHEDULE: Final = "unknown"
"""Kind of a schedule that nothing says."""
POINTS_AT_ONCE: Final = 2_000_000
"""Points of curves in memory at a time: about 0.3 GB, and as much again while they are sorted."""


@dataclass(frozen=True, slots=True)
class BuiltLosses:
    """The points that are fitted, and what is not.

    Attributes
    ----------
    losses : table `Losses`, sorted by run and tokens.
    left_out : table `LeftOut`, sorted by stage, item and reason.
    kind : which loss was taken, for all runs alike.
    alternate_loss : table `Losses` of the same runs by the kind that was not taken, for
        comparison; empty where not every one of them has it.
    """

    losses: pl.DataFrame
    left_out: pl.DataFrame
    kind: Kind
    alternate_loss: pl.DataFrame

    def __str__(self) -> str:
        """Say how many points were kept."""
        runs, final = self.losses["run"].n_unique(), int(self.losses["is_final"].sum())
        return (
            f"{number_of(self.losses.height, f'{self.kind} loss', f'{self.kind} losses')} of "
            f"{number_of(runs, 'run')}, {final} of them final; "
            f"{number_of(self.left_out.height, 'entry', 'entries')} left out; "
            f"{number_of(self.alternate_loss.height, 'point')} of the alternate loss"
        )


def build_losses(
    curves: pl.DataFrame | pl.LazyFrame,
    runs: pl.DataFrame,
    files: pl.DataFrame,
    settings: LossesSettings,
    kept: KeptLosses | None = None,
) -> BuiltLosses:
    """Select, smooth and thin the losses of a sweep.

    Parameters
    ----------
    curves, runs, files : the tables of ingest. Of curves that are scanned only some millions of
        points are in memory at a time.
    settings : section `losses` of config.yaml.
    kept : what the last build left of the same runs, of whose table `curves` is then not read.

    Returns
    -------
    Losses and what was left out; each run and file of ingest is in one of them, or both. And the
    alternate losses, which take no part in that account.
    """
    left_out = _left_out_files(files)
    fitted_kinds = _fitted_schedules(runs, settings)
    every = runs.sort("run").to_dicts()
    whys = [_unusable(run) or _other_schedule(run, fitted_kinds) for run in every]
    usable = [run for run, why in zip(every, whys, strict=True) if why is None]
    tuning = [run | {"role": "fit"} for run in every if _is_trial(run)]
    if kept is None:
        source: _Source = _Read(curves.lazy(), settings)
    else:
        source = _Kept(kept, kept.fill([*usable, *tuning], _builder(settings)))
    for run, why in zip(every, whys, strict=True):
        if why is not None:
            left_out.append(_left_out(run, source.counts.get(run["run"], Counts()).points, why))
    candidates = _candidates(usable, source)
    built = _tables(candidates, source, KINDS)
    kind = _chosen(candidates, built["eval"][0], settings)
    losses, dropped = built[kind]
    trials = _tuning_losses(_candidates(tuning, source), source, kind)
    left_out = [entry | {"loss": trials.get(entry["item"])} for entry in left_out]
    left_out += dropped
    losses, dropped = best_rates(losses, keep=settings.rates)
    left_out += dropped
    missing = pl.DataFrame(left_out, schema=types_of(LeftOut)).sort("stage", "item", "reason")
    return BuiltLosses(
        losses=validated(losses, Losses, name="losses"),
        left_out=validated(missing, LeftOut, name="left_out"),
        kind=kind,
        alternate_loss=validated(
            _alternate_loss(losses, built["train" if kind == "eval" else "eval"][0]),
            Losses,
            name="alternate_loss",
        ),
    )


class _Source(Protocol):
    """Where runs' losses come from."""

    @property
    def counts(self) -> Mapping[str, Counts]:
        """By run, what of its points counts; a run without any is not there."""
        ...

    def built(
        self, candidates: Sequence[_Candidate], kinds: Sequence[Kind]
    ) -> dict[Kind, tuple[list[pl.DataFrame], list[dict[str, Any]]]]:
        """Give runs' rows by each kind of loss, and what of them is left out."""
        ...


class _Read:
    """Builds losses of a table of curves, some runs at a time."""

    def __init__(self, curves: pl.LazyFrame, settings: LossesSettings) -> None:
        self._counts = _counts(curves)
        self._curves = curves
        self._settings = settings

    @property
    def counts(self) -> Mapping[str, Counts]:
        """Give what of each run's points counts."""
        return self._counts

    def built(
        self, candidates: Sequence[_Candidate], kinds: Sequence[Kind]
    ) -> dict[Kind, tuple[list[pl.DataFrame], list[dict[str, Any]]]]:
        """Build them; points are read once for all kinds."""
        built: dict[Kind, tuple[list[pl.DataFrame], list[dict[str, Any]]]]
        built = {kind: ([], []) for kind in kinds}
        for candidate, points in _with_points(candidates, self._curves):
            for kind in kinds:
                rows, dropped = _points(candidate, points, kind, self._settings)
                built[kind][0].extend([] if rows is None else [rows])
                built[kind][1].extend(dropped)
        return built


class _Kept:
    """Takes losses from what is kept, in which those of all wanted runs are."""

    def __init__(self, kept: KeptLosses, counts: Mapping[str, Counts]) -> None:
        self._counts = counts
        self._kept = kept

    @property
    def counts(self) -> Mapping[str, Counts]:
        """Give what of each run's points counts."""
        return self._counts

    def built(
        self, candidates: Sequence[_Candidate], kinds: Sequence[Kind]
    ) -> dict[Kind, tuple[list[pl.DataFrame], list[dict[str, Any]]]]:
        """Look them up."""
        runs = [candidate.run["run"] for candidate in candidates]
        return {kind: self._kept.of_runs(runs, kind) for kind in kinds}


def _builder(settings: LossesSettings) -> Callable[..., dict[str, Any]]:
    """Give what builds a run's losses of every kind."""

    def build(run: Mapping[str, Any], counts: Counts, points: pl.DataFrame) -> dict[str, Any]:
        candidate = _Candidate(run, *counts)
        return {kind: _points(candidate, points, kind, settings) for kind in KINDS}

    return build


def _candidates(runs: Sequence[Mapping[str, Any]], source: _Source) -> list[_Candidate]:
    """Put beside each run what of its points counts."""
    return [_Candidate(run, *source.counts.get(run["run"], Counts())) for run in runs]


def _tables(
    candidates: Sequence[_Candidate], source: _Source, kinds: Sequence[Kind]
) -> dict[Kind, tuple[pl.DataFrame, list[dict[str, Any]]]]:
    """Give the losses of each kind as tables, and say what of the runs is left out."""
    runs = [candidate.run for candidate in candidates]
    return {
        kind: (_with_runs(pieces, runs, kind), left_out)
        for kind, (pieces, left_out) in source.built(candidates, kinds).items()
    }


def _is_trial(run: Mapping[str, Any]) -> bool:
    """Tell whether a run is a finished one of learning-rate tuning.

    Of all runs only fitted ones have rows of losses: these are built like theirs, and not kept.
    """
    return bool(run["role"] == "tuning" and run["status"] == "finished")


def _tuning_losses(among: Sequence[_Candidate], source: _Source, kind: Kind) -> dict[str, float]:
    """Give the final losses of finished tuning runs: no fit sees them, but what a rate costs does.

    Returns
    -------
    Run to loss [nat/token]; a run without a final loss of this kind is not there.
    """
    ((table, _),) = _tables(among, source, [kind]).values()
    finals = table.filter("is_final").select("run", "loss")
    return dict(finals.iter_rows())


def _alternate_loss(losses: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Choose the losses of the kind that was not taken.

    Of the very same runs, curves and final losses alike, or of none: a comparison of kinds must
    not be one of runs.
    """
    table = others.join(losses.select("run").unique(), on="run", how="semi")
    finals = [set(frame.filter("is_final")["run"]) for frame in (losses, table)]
    complete = set(table["run"]) == set(losses["run"]) and finals[0] == finals[1]
    return table.sort("run", "tokens") if complete else table.clear()


def best_rates(
    losses: pl.DataFrame, *, keep: Literal["all", "best"]
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """Keep the best peak rate of each cell, or say that there are several.

    Parameters
    ----------
    losses : table `Losses`.
    keep : setting `losses.rates`.

    Returns
    -------
    The losses that are kept, and rows of table `LeftOut`.
    """
    worse: list[str] = []
    reasons = []
    for cell in rate_cells(losses):
        best = cell.row(0, named=True)
        for row in cell.iter_rows(named=True):
            points = 0
            if keep == "all":
                reason = (
                    f"one of {cell['alike'].n_unique()} peak learning rates for the same N and D, "
                    "all of which are fitted: the worse ones are no noise. losses.rates: best "
                    "keeps the lowest loss of each cell"
                )
            # seeds of the best rate are replicates, and stay
            elif row["alike"] != best["alike"]:
                worse.append(row["run"])
                points = losses.filter(run=row["run"]).height
                reason = (
                    f"its peak learning rate {row['rate']:g} reached {row['loss']:.4f} nats, and "
                    f"{best['rate']:g} {best['loss']:.4f} at the same N and D (losses.rates: best)"
                )
            else:
                continue
            run = {"sweep": losses["sweep"][0], "run": row["run"]}
            reasons.append(_left_out(run, points, reason))
    return losses.filter(~pl.col("run").is_in(worse)), reasons


LONGEST_WINDOW: Final = 0.5
"""Share of a run's updates beyond which an average says too little of any place in it."""
_AVERAGES: Final = {
    "ema": (
        "a moving average",
        "1 / (1 - b), where each update keeps the share b of the last value",
    ),
    "running_mean": ("a running mean", "those that it is the mean of"),
}


def _updates(run: Mapping[str, Any], points: pl.DataFrame) -> pl.Series | None:
    """Give the updates behind each point: a log's own steps may be calls of its logger."""
    each = run["tokens_per_step"]
    return None if each is None else points["tokens"] / each


def _window(run: Mapping[str, Any], points: pl.DataFrame) -> float | None:
    """Give the updates that a run's lagging losses average over, where they can be put by it."""
    window, updates = points["loss_window"][-1], _updates(run, points)
    if window is None or updates is None or window > LONGEST_WINDOW * updates[-1]:
        return None
    return float(window)


def _lag(run: Mapping[str, Any], points: pl.DataFrame, settings: LossesSettings) -> str | None:
    """Say that a run's training losses lag, where they are not put where they were measured."""
    kind, window = points["loss_kind"][-1], points["loss_window"][-1]
    if kind not in LAGGING:
        return None
    what, updates = _AVERAGES[kind]
    if window is None:
        way = (
            f"say in sweep.yaml over how many updates (loss_window: {updates}), and it is put "
            "where it was measured"
        )
    elif run["tokens_per_step"] is None:
        way = (
            f"its window is {window:g} updates, and no tokens_per_step says how many tokens these "
            "are: say it in sweep.yaml, and the loss is put where it was measured"
        )
    elif _window(run, points) is None:
        way = (
            f"its window of {window:g} updates is more than half of the run's, so it cannot be put "
            "where it was measured: look whether loss_window counts updates"
        )
    elif settings.smoothing > 0:
        return None
    else:
        way = "with losses.smoothing above 0 it is put where it was measured"
    return (
        f"its training loss is {what} (loss_kind: {kind}), which lags behind a falling loss: "
        "fitted as it stands, it is a little too high, and the more so the shorter the run. "
        f"Evaluations at the end do not lag; {way}"
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A run that may be fitted, and how many points it has that no restart replaced."""

    run: Mapping[str, Any]
    points: int
    evals: int
    trains: int

    def schedule_fraction(self, tokens: float) -> float | None:
        """Share of the schedule done at D; None where the schedule has no length."""
        horizon = self.run["schedule_tokens"]
        return tokens / horizon if horizon else None


def _counts(curves: pl.LazyFrame) -> dict[str, Counts]:
    """Count each run's points, evaluations and training losses."""
    counted = (
        curves.filter(LIVE)
        .group_by("run")
        .agg(pl.len(), pl.col("eval_loss").count(), pl.col("train_loss").count())
    )
    rows = counted.collect(engine="streaming").iter_rows()
    return {run: Counts(*counts) for run, *counts in rows}


def _with_points(
    candidates: Sequence[_Candidate], curves: pl.LazyFrame
) -> Iterator[tuple[_Candidate, pl.DataFrame]]:
    """Read the candidates' points, some millions at a time, in the order of the candidates."""
    before = np.cumsum([0] + [candidate.points for candidate in candidates])
    batches = groupby(range(len(candidates)), key=lambda i: before[i] // POINTS_AT_ONCE)
    for _, members in batches:
        of_budget = [candidates[i] for i in members]
        first, last = of_budget[0].run["run"], of_budget[-1].run["run"]
        # a range and not a list of runs: row groups outside it are not read
        read = curves.filter(pl.col("run").is_between(pl.lit(first), pl.lit(last))).collect()
        table = validated(read, Curves, name=f"curves of runs {first} to {last}")
        live = table.filter(LIVE).sort("run", "segment", "step")
        by_run = live.partition_by("run", as_dict=True)
        for candidate in of_budget:
            yield candidate, by_run.get((candidate.run["run"],), live.clear())


def _left_out_files(files: pl.DataFrame) -> list[dict[str, Any]]:
    """List what ingest did not use."""
    return [
        {
            "sweep": file["sweep"],
            "stage": "ingest",
            "item": file["path"],
            "points": file["rows_left_out"]
            + file["lines_unread"]
            + (file["rows"] if file["fate"] == "rejected" else 0),
            "reason": file["reason"] or "",
        }
        for file in files.iter_rows(named=True)
        if file["fate"] == "rejected" or file["rows_left_out"] or file["lines_unread"]
    ]


def _left_out(run: Mapping[str, Any], points: int, reason: str) -> dict[str, Any]:
    return {
        "sweep": run["sweep"],
        "stage": "losses",
        "item": run["run"],
        "points": points,
        "reason": reason,
    }


def _unusable(run: Mapping[str, Any]) -> str | None:
    """Say why a run is not fitted at all."""
    if run["excluded"]:
        return str(run["reason"])
    if run["role"] == "tuning":
        return "learning-rate tuning"
    if run["status"] == "diverged":
        return "diverged: its loss ends as NaN or infinity"
    return None


def _fitted_schedules(runs: pl.DataFrame, settings: LossesSettings) -> tuple[str, ...] | None:
    """Name the kinds of schedule whose runs are fitted; None takes all."""
    if settings.schedules == "all":
        return None
    if settings.schedules != "commonest":
        return settings.schedules
    usable = [run for run in runs.iter_rows(named=True) if _unusable(run) is None]
    kinds = [str(run["schedule_kind"] or NO_SCHEDULE) for run in usable if run["role"] == "fit"]
    # equal counts by name
    return tuple(sorted(set(kinds), key=lambda kind: (-kinds.count(kind), kind))[:1])


def _other_schedule(run: Mapping[str, Any], kinds: tuple[str, ...] | None) -> str | None:
    """Say why a run whose schedule was not asked for is not fitted."""
    kind = str(run["schedule_kind"] or NO_SCHEDULE)
    if kinds is None or run["role"] != "fit" or kind in kinds:
        return None
    return f"its schedule is {kind}, and losses.schedules takes {', '.join(kinds)} alone"


def _chosen(
    candidates: Sequence[_Candidate], by_eval: pl.DataFrame, settings: LossesSettings
) -> Kind:
    """Choose one kind of loss for all runs: mixing kinds would bend every law fitted to them.

    Every approach but those of curves fits final losses alone, so a final evaluation of each run
    suffices; whether their curves are long enough is what approaches of curves ask themselves.

    Parameters
    ----------
    candidates, by_eval : the runs, and their losses by evaluations.
    settings : section `losses`.
    """
    if settings.loss != "auto":
        return settings.loss
    finished = {c.run["run"] for c in candidates if c.run["status"] == "finished"}
    counting = [c for c in candidates if c.run["run"] in finished] or candidates
    evaluated = [candidate.evals > 0 for candidate in counting]
    if all(evaluated):
        if finished and finished <= set(by_eval.filter("is_final")["run"]):
            return "eval"
        # no run's end decides: curves do
        if all(c.evals >= min(LEAST_CURVE, max(1, c.trains)) for c in counting):
            return "eval"
    trained = [candidate.trains > 0 for candidate in counting]
    return "train" if sum(trained) >= sum(evaluated) else "eval"


def _points(
    candidate: _Candidate, points: pl.DataFrame, kind: Kind, settings: LossesSettings
) -> tuple[pl.DataFrame | None, list[dict[str, Any]]]:
    """Build one run's rows of `Losses`, as far as they differ, and say what of it is left out."""
    run = candidate.run
    dropped: list[dict[str, Any]] = []
    everything = points
    points = points.filter(pl.col(f"{kind}_loss").is_not_null())
    nothing = [_left_out(run, candidate.points, f"it has no {kind} loss")]
    if points.is_empty():
        return None, nothing
    if kind == "train" and settings.spike_sigmas is not None:
        marked = spikes(points["train_loss"].to_numpy(), sigmas=settings.spike_sigmas)
        if marked.any():
            reason = f"training-loss spikes beyond {settings.spike_sigmas:g} sigmas"
            dropped.append(_left_out(run, int(marked.sum()), reason))
            points = points.filter(~pl.Series(marked))
    points = _one_per_tokens(points, f"{kind}_loss")
    if points.is_empty():
        return None, dropped + nothing
    last = float(points["tokens"][-1])
    fraction = candidate.schedule_fraction(last)
    is_final = (
        run["status"] == "finished"
        if fraction is None
        else fraction >= settings.min_schedule_fraction
    )
    if not is_final and kind == "eval" and run["status"] == "finished":
        points, is_final, fate = _near_the_end(run, points, everything, settings)
        if is_final:
            dropped.append(_left_out(run, 0, fate))
    if not is_final:
        dropped.append(_left_out(run, 1, _not_final(run, fraction, settings)))
    if kind == "train" and (lag := _lag(run, points, settings)) is not None:
        dropped.append(_left_out(run, 0, lag))
    kept = _thinned(points, settings.points_per_run)
    if kind == "train" and settings.smoothing > 0:
        kept = _smoothed(run, points, kept, settings.smoothing)
    rows = kept.select(
        "run",
        "tokens",
        *FLOPS,
        loss=f"{kind}_loss",
        schedule_fraction=pl.col("tokens") / pl.lit(run["schedule_tokens"], dtype=pl.Float64),
        is_final=(pl.col("tokens") == pl.col("tokens").max()) & is_final,
    )
    return rows, dropped


def _near_the_end(
    run: Mapping[str, Any],
    points: pl.DataFrame,
    everything: pl.DataFrame,
    settings: LossesSettings,
) -> tuple[pl.DataFrame, bool, str]:
    """Find the final loss of a finished run that was last evaluated before its end.

    What its training loss fell by since is added to the last evaluation, where enough lines of it
    were logged about both places; else the last evaluation counts if it lies in the last tenth and
    within one interval between evaluations of the end. The first interval begins at the start.

    Parameters
    ----------
    run : a row of the runs' table.
    points : its evaluations, in order of D.
    everything : all of its points.

    Returns
    -------
    The points, one more where training loss bridged the gap; whether the last is final; and what
    was done, in words.
    """
    end, last = float(run["schedule_tokens"]), points.row(-1, named=True)
    share = last["tokens"] / end
    train = everything.filter(pl.col("train_loss").is_not_null())
    reached = float(train["tokens"][-1]) if train.height else 0.0
    if reached >= settings.min_schedule_fraction * end and share >= LEAST_BRIDGED:
        width = settings.smoothing or BRIDGE_WINDOW
        ends = np.array([last["tokens"], reached])
        tokens = _one_per_tokens(train, "train_loss")
        at = tokens["tokens"].to_numpy()
        near = [int(((at >= (1 - width) * d) & (at <= (1 + width) * d)).sum()) for d in ends]
        if min(near) >= BRIDGE_LINES:
            measured_at = _measured_at(run, tokens)
            before, after = smooth(measured_at, tokens["train_loss"].to_numpy(), ends, share=width)
            loss = last["eval_loss"] + float(after - before)
            bridged = tokens.tail(1).with_columns(eval_loss=pl.lit(loss, dtype=pl.Float64))
            return (
                pl.concat([points, bridged.select(points.columns)]),
                True,
                f"evaluated last at {per_cent(share, 1)} of its schedule: its final loss is that "
                f"one {float(after - before):+.4f} nats, what its smoothed training loss did since",
            )
    before_last = float(points["tokens"][-2]) if points.height > 1 else 0.0
    within = end - last["tokens"] <= (last["tokens"] - before_last) * (1 + 1e-9)
    if within and share >= LEAST_UNBRIDGED:
        return (
            points,
            True,
            f"evaluated last at {per_cent(share, 1)} of its schedule, within one interval between "
            "evaluations of its end: that loss counts as final, and may be a little too high",
        )
    return points, False, ""


def _not_final(run: Mapping[str, Any], fraction: float | None, settings: LossesSettings) -> str:
    """Say why a run's last loss is no final loss."""
    if fraction is None:
        return f"{run['status']}: its last loss is no final loss (its curve is kept)"
    if run["status"] == "finished":
        return (
            f"finished, but its last loss is at {100 * fraction:.1f} % of its schedule, "
            + (
                f"before {per_cent(LEAST_UNBRIDGED)}"
                if fraction < LEAST_UNBRIDGED
                else "more than an interval between evaluations before the end"
            )
            + ", and too few training losses bridge the gap: no final loss (its curve is kept); "
            "evaluate at the end, log training losses about both places, or lower "
            f"losses.min_schedule_fraction {settings.min_schedule_fraction:g}"
        )
    return (
        f"{run['status']} at {100 * fraction:.1f} % of its schedule, below "
        f"losses.min_schedule_fraction {settings.min_schedule_fraction:g}: "
        f"its last loss is no final loss (its curve is kept)"
    )


def _one_per_tokens(points: pl.DataFrame, loss: str) -> pl.DataFrame:
    """Average points at equal D (digitised curves have them), in order of D."""
    if (points["tokens"].diff() > 0).all():
        return points
    others = [name for name in points.columns if name not in ("tokens", loss)]
    return (
        points.group_by("tokens")
        .agg(pl.col(loss).mean(), *(pl.col(name).last() for name in others))
        .sort("tokens")
    )


def _smoothed(
    run: Mapping[str, Any], points: pl.DataFrame, kept: pl.DataFrame, share: float
) -> pl.DataFrame:
    """Replace training losses of the points that are kept by the local fit to all there."""
    measured_at = _measured_at(run, points)
    losses = points["train_loss"].to_numpy()
    smoothed = smooth(measured_at, losses, kept["tokens"].to_numpy(), share=share)
    return kept.with_columns(train_loss=pl.Series(smoothed))


def _measured_at(run: Mapping[str, Any], points: pl.DataFrame) -> NDArray[np.float64]:
    """Say at which D the training losses of a run's points were measured [token]."""
    updates = _updates(run, points)
    steps = points["step"].cast(pl.Float64) if updates is None else updates
    return effective_tokens(
        points["tokens"].to_numpy(),
        steps.to_numpy(),
        kind=points["loss_kind"][-1],
        window=_window(run, points),
    )


def _thinned(points: pl.DataFrame, most: int) -> pl.DataFrame:
    """Keep at most ``most`` points, evenly spaced in log D, the first and the last among them."""
    if points.height <= most:
        return points
    tokens = points["tokens"].to_numpy()
    wanted = np.geomspace(tokens[0], tokens[-1], most)
    after = np.clip(np.searchsorted(tokens, wanted), 1, len(tokens) - 1)
    nearer = np.where(wanted / tokens[after - 1] < tokens[after] / wanted, after - 1, after)
    return points[np.unique(np.concatenate([[0], nearer, [len(tokens) - 1]]))]


def _with_runs(
    pieces: Sequence[pl.DataFrame], runs: Sequence[Mapping[str, Any]], kind: Kind
) -> pl.DataFrame:
    """Lay all runs' points out as rows of `Losses`, with what a run has once, in their order."""
    schema = types_of(Losses)
    if not pieces:
        return pl.DataFrame(schema=schema)
    told_apart = (name for name in SETTINGS if name in schema)
    per_run = ("sweep", "run", "role", "sized_by", "params_total", "params_nonembedding",
               "params_with_head", "budget", "seed", *told_apart)  # fmt: skip
    types = {name: schema[name] for name in per_run}
    types["params_active"] = pl.Float64()
    told = [
        {name: run[name] for name in per_run}
        | {"params_active": run["params_active" if run["params_active"] or run["experts"]
                                else "params_total"]}
        for run in runs
    ]  # fmt: skip
    return (
        pl.concat(pieces)
        .join(pl.DataFrame(told, schema=types), on="run", how="left")
        .with_columns(loss_source=pl.lit(kind, dtype=schema["loss_source"]))
        .select(schema.keys())
        .sort("run", "tokens")
    )
