"""What the checks of plausibility are made of: numbers of each run's curve."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.ingest.tables.still_counts import Standing
from isoflop.spikes import SIDE, heights, line_noise, line_noise_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

MEASURES: Final = (
    "tokens", "last_step", "last_is_nan", "nans", "points", "flops_6nd", "flops_logged",
    "first_train", "first_step", "last_train", "train_losses",
    "first_eval", "last_eval", "eval_losses",
    "tokens_off", "tokens_fall", "tokens_still", "widest_gap", "usual_gap", "gap_end",
    "overlap", "begun_again", "died_at_once", "spike",
    "decimals", "curve", "impossible", "rates", "least_rate", "most_rate",
)  # fmt: skip
"""What `measure` gives of a run; all None of a run that has no curve."""
RESOLVED: Final = 7
"""Decimals from which a loss has all that a float32 holds."""


def measure(
    curves: pl.DataFrame,
    units: Mapping[str, float | None],
    impossible: Mapping[str, tuple[int, str]],
) -> dict[str, dict[str, Any]]:
    """Measure each run's curve, all runs at once.

    Parameters
    ----------
    curves : the `Curves` table, sorted, with a column tokens_per_step added.
    units : by run, nats in a unit of its log; None where losses are not scaled so.
    impossible : by run, how many of its losses are none, and that in words.

    Returns
    -------
    By run its `MEASURES`: its end, the first and last losses, the worst contradiction of each kind.
    """
    live = curves.filter(~pl.col("superseded")).sort("run", "step", "segment")
    step_gap = pl.col("step").diff()
    # from step 0 on: a log that begins late has a hole there
    from_start = step_gap.fill_null(pl.col("step"))
    has_train = pl.col("train_loss").is_not_null()
    measured = live.group_by("run", maintain_order=True).agg(
        **_along_a_curve(),
        tokens_fall=-pl.col("tokens").diff().min(),
        widest_gap=from_start.filter(has_train).max(),
        usual_gap=step_gap.filter(has_train).median(),
        gap_end=pl.col("step")
        .filter(has_train)
        .get(from_start.filter(has_train).arg_max(), null_on_oob=True),
    )
    overlap, restarted, died = _overlap(curves), _begun_again(curves), _died_at_once(curves)
    arrays = _by_run(live)
    return {
        row["run"]: {
            **row,
            "tokens_still": Standing()
            .add(arrays[row["run"]].steps, arrays[row["run"]].tokens)
            .share,
            "overlap": overlap.get(row["run"]),
            "begun_again": restarted.get(row["run"]),
            "died_at_once": died.get(row["run"]),
            "spike": _highest_spike(arrays[row["run"]]),
            "decimals": _decimals(arrays[row["run"]], units.get(row["run"])),
            "curve": _told_apart(arrays[row["run"]]),
            "impossible": impossible.get(row["run"], (0, "")),
        }
        for row in measured.iter_rows(named=True)
    }


def _along_a_curve() -> dict[str, pl.Expr]:
    """Give what is measured of a curve and can be added up over its stretches, by its name."""
    counted = pl.col("step") * pl.col("tokens_per_step")
    off = ((pl.col("tokens") - counted) / counted).abs()
    train, evals = pl.col("train_loss").drop_nulls(), pl.col("eval_loss").drop_nulls()
    return {
        "tokens": pl.col("tokens").max(),
        "last_step": pl.col("step").max(),
        "last_is_nan": pl.col("is_nan").last(),
        "nans": pl.col("is_nan").sum(),
        "points": pl.len(),
        "flops_6nd": pl.col("flops_6nd").max(),
        "flops_logged": pl.col("flops_logged").max(),
        "first_train": train.first(),
        "first_step": pl.col("step").filter(pl.col("train_loss").is_not_null()).first(),
        "last_train": train.last(),
        "train_losses": train.len(),
        "first_eval": evals.first(),
        "last_eval": evals.last(),
        "eval_losses": evals.len(),
        "tokens_off": off.filter(pl.col("step") > 0).max(),
        "rates": pl.col("lr").count(),
        "least_rate": pl.col("lr").min(),
        "most_rate": pl.col("lr").max(),
    }


def constant_rate(curve: Mapping[str, Any]) -> float | None:
    """Give the learning rate that a run's log has at all steps; None where it varies, or is none.

    Parameters
    ----------
    curve : what `measure` gives of the run.
    """
    rate: float | None = curve["most_rate"]
    same = rate is not None and curve["rates"] > 1 and curve["least_rate"] == rate > 0.0
    return rate if same else None


def _died_at_once(curves: pl.DataFrame) -> dict[str, int]:
    """Count the later launches that ended before their first update, by run; see `segments`."""
    launches = curves.filter(pl.col("segment") > 0).group_by("run", "segment")
    died = launches.agg(pl.col("superseded").all(), pl.col("step").max())
    return dict(died.filter("superseded", step=0).group_by("run").len().iter_rows())


def _overlap(curves: pl.DataFrame) -> dict[str, float]:
    """Largest difference between a replayed training loss and its first value, by run."""
    steps = (
        curves.filter(pl.col("train_loss").is_not_null())
        .group_by("run", "step")
        .agg(pl.len(), spread=pl.col("train_loss").max() - pl.col("train_loss").min())
    )
    worst = steps.filter(pl.col("len") > 1).group_by("run").agg(pl.col("spread").max())
    return dict(worst.iter_rows())


def _begun_again(curves: pl.DataFrame) -> dict[str, tuple[int, int, float]]:
    """Find the runs whose log goes back to its beginning.

    Returns
    -------
    By run how often it does, the step it goes back to, and the D that was reached before: at the
    next record, which a run that evaluates every 250 of 3,000 updates never writes at its end.
    """
    restarted = curves.filter((pl.col("segment") > 0).any().over("run"))
    of_run = (
        restarted.group_by("run", "segment")
        .agg(
            first=pl.col("step").min(),
            last=pl.col("step").max(),
            tokens=pl.col("tokens").max(),
            apart=pl.col("tokens").diff().median(),
        )
        .filter(pl.col("last") > 0)  # a launch that died before its first step began nothing
        .sort("run", "segment")
        .with_columns(
            start=pl.col("first").first().over("run"),
            before=(pl.col("tokens") + pl.col("apart").fill_null(0.0))
            .cum_max()
            .shift()
            .over("run"),
        )
        .filter(pl.col("first") <= pl.col("start"), pl.col("before").is_not_null())
        .group_by("run")
        .agg(pl.len(), pl.col("first").last(), pl.col("before").max())
    )
    return {run: (times, step, tokens) for run, times, step, tokens in of_run.iter_rows()}


@dataclass(frozen=True, slots=True)
class _Points:
    """One run's points in order.

    Attributes
    ----------
    steps, tokens, train, evals : the columns step, tokens, train_loss, eval_loss; NaN for null.
    trained, evaluated : where there is a training loss, and an eval loss.
    """

    steps: NDArray[np.int64]
    tokens: NDArray[np.float64]
    train: NDArray[np.float64]
    evals: NDArray[np.float64]
    trained: NDArray[np.bool_]
    evaluated: NDArray[np.bool_]


def _by_run(live: pl.DataFrame) -> dict[str, _Points]:
    """Divide points by run, as arrays: a frame a run takes more time than all else."""
    columns = (
        live["step"].to_numpy(),
        *(
            live[name].fill_null(float("nan")).to_numpy()
            for name in ("tokens", "train_loss", "eval_loss")
        ),
        *(live[name].is_not_null().to_numpy() for name in ("train_loss", "eval_loss")),
    )
    lengths = live.group_by("run", maintain_order=True).len()
    points, begin = {}, 0
    for run, length in lengths.iter_rows():
        points[str(run)] = _Points(*(column[begin : begin + length] for column in columns))
        begin += length
    return points


def _highest_spike(points: _Points) -> tuple[float, float, int] | None:
    """Give the highest spike of the training loss, a line's noise and the spike's step."""
    losses = points.train[points.trained]
    height = heights(losses)
    if not np.isfinite(height).any():
        return None
    place = int(height.argmax())
    return float(height[place]), line_noise(losses), int(points.steps[points.trained][place])


def _decimals(points: _Points, unit: float | None) -> tuple[int, int] | None:
    """Count the decimals that the losses need in the log's unit, and the losses counted."""
    if not unit:
        return None
    for losses, given in ((points.evals, points.evaluated), (points.train, points.trained)):
        values = losses[given] / unit
        if len(values):
            return _decimals_of(values), len(values)
    return None


def _decimals_of(values: NDArray[np.float64]) -> int:
    fits = _fits_decimals(values)
    return int(fits.argmax()) if fits.any() else RESOLVED


def _fits_decimals(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell for 0, 1, ... decimals whether all values need no more."""
    fits = np.zeros(RESOLVED, dtype=np.bool_)
    for decimals in range(RESOLVED):
        scaled = values * 10.0**decimals
        near = np.abs(scaled - np.round(scaled)) < 1e-9 * np.maximum(np.abs(scaled), 1.0)
        fits[decimals] = near.all()
    return fits


def _told_apart(points: _Points) -> bytes | None:
    """Give a digest of the curve; None of one without a loss."""
    told = _Digest()
    told.add(points)
    return told.value()


class _Digest:
    """A digest of a curve, of one stretch after another."""

    def __init__(self) -> None:
        self._hashes = [hashlib.sha256() for _ in range(3)]
        self._has_loss = False

    def add(self, points: _Points) -> None:
        """Take in the next points."""
        self._has_loss |= bool(points.trained.any() or points.evaluated.any())
        for digest, column in zip(
            self._hashes, (points.tokens, points.train, points.evals), strict=True
        ):
            digest.update(column.tobytes())

    def value(self) -> bytes | None:
        """Give the digest."""
        joined = b"".join(digest.digest() for digest in self._hashes)
        return hashlib.sha256(joined).digest() if self._has_loss else None


class Stretches:
    """Measure one run's curve stretch by stretch: what `measure` gives of it all, in little memory.

    Parameters
    ----------
    unit : nats in a unit of its log; None where losses are not scaled so.

    Notes
    -----
    Steps rise from each stretch to the next, and no restart replays any.
    """

    def __init__(self, unit: float | None) -> None:
        self._unit = unit
        self._told: dict[str, Any] = dict.fromkeys(MEASURES)
        self._told |= {"nans": 0, "points": 0, "train_losses": 0, "eval_losses": 0, "rates": 0}
        self._digest = _Digest()
        self._still = Standing()
        self._last = pl.DataFrame()
        self._gaps: Counter[int] = Counter()
        self._decimals = {
            name: np.ones(RESOLVED, dtype=np.bool_) for name in ("train_loss", "eval_loss")
        }
        self._tail = np.empty(0), np.empty(0, dtype=np.int64)
        self._spike = (-np.inf, 0)

    def add(self, curves: pl.DataFrame) -> None:
        """Take in the next stretch, columns as of `measure`."""
        points = next(iter(_by_run(curves).values()))
        self._digest.add(points)
        self._still.add(points.steps, points.tokens)
        self._count(curves)
        self._fall_and_gaps(curves)
        self._last = curves.tail(1)
        for name, losses, given in (
            ("train_loss", points.train, points.trained),
            ("eval_loss", points.evals, points.evaluated),
        ):
            if self._unit and given.any():
                self._decimals[name] &= _fits_decimals(losses[given] / self._unit)
        losses = np.concatenate([self._tail[0], points.train[points.trained]])
        steps = np.concatenate([self._tail[1], points.steps[points.trained]])
        height = heights(losses)
        if len(height) and (top := float(height.max())) > self._spike[0]:
            self._spike = top, int(steps[height.argmax()])
        kept = 2 * SIDE  # lines that the next ones are compared with
        self._tail = losses[-kept:], steps[-kept:]

    def _count(self, curves: pl.DataFrame) -> None:
        told = self._told
        (row,) = curves.select(**_along_a_curve()).to_dicts()
        for name, value in row.items():
            if value is None:
                continue
            match name:
                case "nans" | "points" | "train_losses" | "eval_losses" | "rates":
                    told[name] += value
                case "first_train" | "first_step" | "first_eval":
                    told[name] = value if told[name] is None else told[name]
                case "least_rate":
                    told[name] = value if told[name] is None else min(told[name], value)
                case "last_train" | "last_eval" | "last_is_nan":
                    told[name] = value
                case _:
                    told[name] = value if told[name] is None else max(told[name], value)

    def _fall_and_gaps(self, curves: pl.DataFrame) -> None:
        """Compare each point with the one before it, which may be in an earlier stretch."""
        told = self._told
        some = curves.select("step", "tokens", "train_loss")
        if not self._last.is_empty():
            some = pl.concat([self._last.select(some.columns), some])
        fall: float | None = some.select(-pl.col("tokens").diff().min()).item()
        if fall is not None:
            known = told["tokens_fall"]
            told["tokens_fall"] = fall if known is None else max(fall, known)
        gaps = some.with_columns(gap=pl.col("step").diff()).filter(
            pl.col("train_loss").is_not_null(), pl.col("gap").is_not_null()
        )
        counts = gaps["gap"].value_counts()
        self._gaps.update(dict(counts.iter_rows()))
        if self._last.is_empty():
            first = some.head(1).filter(pl.col("train_loss").is_not_null())
            gaps = pl.concat([first.with_columns(gap=pl.col("step")), gaps])
        if not gaps.is_empty():
            step, widest = gaps.filter(pl.col("gap") == pl.col("gap").max()).row(0)[::3]
            if told["widest_gap"] is None or widest > told["widest_gap"]:
                told["widest_gap"], told["gap_end"] = widest, step

    def told(
        self, run: str, curves: Callable[[], Iterator[pl.DataFrame]], impossible: tuple[int, str]
    ) -> dict[str, Any]:
        """Give what `measure` gives of the run.

        Parameters
        ----------
        run : its name.
        curves : gives all stretches once more, as often as it is called.
        impossible : how many of its losses are none, and that in words.
        """
        told = self._told
        spike = None
        if np.isfinite(self._spike[0]):

            def losses() -> Iterator[NDArray[np.float64]]:
                return (piece["train_loss"].drop_nulls().to_numpy() for piece in curves())

            spike = self._spike[0], line_noise_of(losses, told["train_losses"]), self._spike[1]
        decimals = None
        for name, count in (("eval_loss", "eval_losses"), ("train_loss", "train_losses")):
            if self._unit and told[count] and decimals is None:
                fits = self._decimals[name]
                decimals = int(fits.argmax()) if fits.any() else RESOLVED, told[count]
        return {
            "run": run,
            **told,
            "usual_gap": _median_of_counts(self._gaps),
            "tokens_still": self._still.share,
            "overlap": None,
            "begun_again": None,
            "spike": spike,
            "decimals": decimals,
            "curve": self._digest.value(),
            "impossible": impossible,
        }


def _median_of_counts(counts: Mapping[int, int]) -> float | None:
    """Give the median of numbers that come so often."""
    total = sum(counts.values())
    if not total:
        return None
    values = sorted(counts)
    up_to = np.cumsum([counts[value] for value in values])
    places = np.searchsorted(up_to, [(total - 1) // 2, total // 2], side="right")
    return float(sum(values[place] for place in places) / 2)
