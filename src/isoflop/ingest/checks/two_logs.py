"""One run that was logged twice: in two formats that print other digits, or by some of its lines.

Losses of two runs do not agree to the printed digits at every step, however alike the runs are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import combinations, takewhile
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.ingest.checks.measures import RESOLVED
from isoflop.ingest.words.file_names import stem
from isoflop.ingest.words.namesakes import run_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isoflop.ingest.runs.logical_runs import Run

    _Losses = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

LEAST: Final = 10
"""Steps at which both logs have a loss, from which their agreement is none by chance."""
LEAST_EVALUATIONS: Final = 4
"""The same of losses on an eval set, where one log lacks what the other has."""
CHANCE: Final = {LEAST_EVALUATIONS: 1.1e-4, 6: 1.1e-3, 20: 1.1e-2}
"""Losses in two files of one format that agree by no chance, by the unit of their last digit."""
CLOSE: Final = 0.05
"""Mean difference [nats] of two logs of one run, of which one has means of several steps."""
MOST: Final = 1_000_000
"""Points of a curve that is compared."""
SAME: Final = 0.01
"""Relative difference of two counts that are one."""
SINGLE: Final = 2.0**-24
"""Relative rounding of a float32, as TensorBoard keeps."""
PART: Final = 0.9
"""Share of a log's steps below which another log of its run is a part of it."""
NAMESAKES: Final = 4
"""Logs of one name, of a file or a folder, up to which these may be of one run in formats apart."""
SIGMAS: Final = 4.0
"""Standard errors up to which a mean difference is a batch's noise."""
COARSEST: Final = 0.06
"""More than what a loss with one digit behind the point is off."""
SMOOTHED: Final = 20
"""Steps from which a moving average is told by what it goes along with."""
MOST_SHARE: Final = 0.95
"""Share of a new loss in a moving average beyond which it is hardly one."""
WEIGHTS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
"""Weights of the past that pages of trackers are mostly set to."""
CLEAR: Final = 3.0
"""Times by which moves of an average are larger than the rounding that they may differ by."""
_HALF: Final = 0.51
"""Digits of the last place by which a number and its rounded one differ, and a float's rest."""


def logged_twice(
    runs: Sequence[Run], points: Sequence[int], ends: Sequence[tuple[object, object]] = ()
) -> dict[int, tuple[int, int]]:
    """Find runs whose losses are those of another, rounded otherwise or of some of its steps.

    Parameters
    ----------
    runs : of a sweep.
    points : of their curves.
    ends : the first and the last loss of each, by which copies in one format are looked for.

    Returns
    -------
    Place of the log with fewer evaluations or digits: that of the other, and the steps of both.
    """
    twice: dict[int, tuple[int, int]] = {}
    curves: dict[int, pl.DataFrame] = {}
    able = [count <= MOST for count in points]
    for first, second in [*_beside(runs, able), *_of_equal_ends(runs, able, ends)]:
        if {first, second} & twice.keys():
            continue
        for place in (first, second):
            if place not in curves:
                curves[place] = _losses(runs[place])
        longer = max(_span(curves[first]), _span(curves[second]))
        if is_copy(runs[first], runs[second]):
            if (copied := _copied((first, second), curves)) is not None:
                copy, original, steps = copied
                twice[copy] = original, steps
        elif steps := _agree(curves[first], curves[second]) or _averaged(
            runs, (first, second), curves
        ):
            order = sorted((first, second), key=lambda at: (
                _span(curves[at]) < PART * longer, -len(runs[at].eval_sets),
                _place(curves[at]["train_loss"].to_numpy()), at,
            ))  # fmt: skip
            twice[order[1]] = order[0], steps
        else:
            for part, all_of_it in ((first, second), (second, first)):
                if steps := _agree_until_restart(curves[part], curves[all_of_it]):
                    twice[part] = all_of_it, steps
    return twice


def _copied(
    pair: tuple[int, int], curves: Mapping[int, pl.DataFrame]
) -> tuple[int, int, int] | None:
    """Tell which of two logs of one format is a copy of the other, and of how many steps."""
    first, second = pair
    units = {at: _place(curves[at]["train_loss"].to_numpy()) for at in pair}
    few, many = sorted(pair, key=lambda at: (curves[at].height, -units[at], -at))
    steps = next(filter(None, (
        _agree(curves[few], curves[many], least)
        for least, unit in CHANCE.items() if units[few] <= unit
    )), 0)  # fmt: skip
    if not steps:
        smooth = _smoother(curves[first], curves[second])
        if smooth is None:
            return None
        return pair[smooth], pair[1 - smooth], curves[pair[smooth]].height
    # up to its next line it has all of the other's stretch: not so a run that stopped
    interval = _span(curves[few]) / max(curves[few].height - 1, 1)
    has_less = curves[few].height < curves[many].height or units[few] > units[many]
    is_thinned = steps == curves[few].height and has_less
    longer = max(_span(curves[at]) for at in pair)
    return (few, many, steps) if is_thinned and _span(curves[few]) + interval >= longer else None


def _smoother(first: pl.DataFrame, second: pl.DataFrame) -> int | None:
    """Tell which of two curves is the other one's average, as plots have; None: neither."""
    if min(first.height, second.height) < SMOOTHED:
        return None
    for place, (smooth, raw) in enumerate(((first, second), (second, first))):
        steps = raw["step"].to_numpy()
        begin = int(np.searchsorted(steps, smooth["step"][0]))
        if not np.array_equal(steps[begin : begin + smooth.height], smooth["step"].to_numpy()):
            continue
        averages, losses = smooth["train_loss"].to_numpy(), raw["train_loss"].to_numpy()
        here = losses[begin : begin + smooth.height]
        if _is_moving_average(averages, here) or _is_of_windows(averages, losses, begin):
            return place
    return None


def _is_moving_average(smooth: _Losses, raw: _Losses) -> bool:
    """Tell the average of a weight of the past, as pages of trackers draw it, too.

    Each value is so far from the last as a share of the distance of the new loss from there, the
    same share at all steps, to the digits that are printed; or so it is once the weight that the
    beginning lacks is put back.
    """
    rounding = _HALF * (2 * _place(smooth) + _place(raw)) + SINGLE * float(abs(raw).max())
    apart = raw[1:] - smooth[:-1]
    square = float(apart @ apart)
    share = float(np.diff(smooth) @ apart) / square if square else 0.0
    count = np.arange(1, len(smooth) + 1)
    for weight in (1.0 - share, *WEIGHTS):
        for lacking in (np.ones(len(smooth)), 1.0 - weight**count):
            sums = smooth * lacking
            moves, due = sums[1:] - weight * sums[:-1], (1.0 - weight) * raw[1:]
            moved = (1.0 - weight) * float(np.std(apart))
            if (
                1.0 - MOST_SHARE < weight < 1.0
                and moved > CLEAR * rounding
                and float(abs(moves - due).max()) <= rounding
            ):
                return True
    return False


def _is_of_windows(smooth: _Losses, raw: _Losses, begin: int) -> bool:
    """Tell the mean of a window of losses, which ends or has its middle at each step.

    Parameters
    ----------
    raw : all losses; the first average stands at that of `begin`.
    """
    rounding = _HALF * (_place(smooth) + _place(raw)) + SINGLE * float(abs(raw).max())
    if float(np.std(raw[begin : begin + len(smooth)] - smooth)) <= CLEAR * rounding:
        return False
    sums = np.concatenate([[0.0], np.cumsum(raw)])
    if not begin:  # a window that grows to its length
        means = sums[1:] / np.arange(1, len(raw) + 1)
        off = abs(smooth - means[: len(smooth)]) > rounding
        begin = int(off.argmax()) - 1 if off.any() else len(smooth) - 1
        if begin < 1 or begin == len(smooth) - 1:
            return False
        smooth = smooth[begin:]
    for behind in (0, begin, begin - 1):
        length = begin + behind + 1
        means = (sums[length:] - sums[:-length]) / length
        if length > 1 and len(means) >= len(smooth):
            apart = abs(means[: len(smooth)] - smooth)
            if float(apart.max()) <= rounding:
                return True
    return False


def is_copy(run: Run, other: Run) -> bool:
    """Tell logs of one format, of which one may be a copy of some lines of the other."""
    return bool(_formats(run) & _formats(other))


def _of_equal_ends(
    runs: Sequence[Run], able: Sequence[bool], ends: Sequence[tuple[object, object]]
) -> list[tuple[int, int]]:
    """List pairs in one format that a copy makes: of one name, or that begin or end alike.

    More runs than a few begin so by their seed. The digits of a copy may be fewer.
    """
    alike: dict[object, list[int]] = defaultdict(list)
    for place, losses in enumerate(ends):
        size = runs[place].identity.value("params.total")
        if not able[place]:
            continue
        for last in run_in(runs[place].name)[-1:]:
            alike[last, size].append(place)
        for end, loss in enumerate(losses):
            if isinstance(loss, int | float):
                alike[end, loss, size].append(place)
                for shift in (0.0, 0.5):  # of two numbers that are near, one bin has both
                    alike[end, shift, math.floor(loss / COARSEST + shift), size].append(place)
    return sorted(
        {
            pair
            for group in alike.values()
            if len(group) <= NAMESAKES
            for pair in combinations(group, 2)
            if is_copy(runs[pair[0]], runs[pair[1]])
        }
    )


def told_elsewhere(runs: Sequence[Run]) -> dict[str, str]:
    """Say of runs that lack a fact and are none but the second log of a run that lacks none.

    Returns
    -------
    By name of the run why it is left out.
    """
    lack = frozenset(place for place, run in enumerate(runs) if run.lacking and not run.excluded)
    if not lack:
        return {}
    lines = [sum(part.run.lines for part in run.parts) for run in runs]
    curves: dict[int, pl.DataFrame] = {}
    why: dict[str, str] = {}
    able = [count <= MOST for count in lines]
    for pair in [*_beside(runs, able, lack), *_alike(runs, able, lack)]:
        for lacking, known in (pair, pair[::-1]):
            run, other = runs[lacking], runs[known]
            if lacking not in lack or not _lacks_less(other, run) or run.name in why:
                continue
            for place in pair:
                if place not in curves:
                    curves[place] = _losses(runs[place])
            # an export may have means of several batches beside what the log has of one
            steps = _agree(curves[lacking], curves[known]) or _agree(
                _evaluations(run), _evaluations(other), LEAST_EVALUATIONS
            )
            steps = steps or _agree_until_restart(curves[lacking], curves[known])
            averaged = 0 if steps else _averaged(runs, (lacking, known), curves)
            if averaged and not _count_apart(run, other):
                why[run.name] = (
                    f"its file is called as that of run '{other.name}' beside it, ends at the same "
                    f"step, and its losses at {averaged} steps are about those: one run logged "
                    f"twice, once as means of steps; if it is another run, say in sweep.yaml what "
                    f"it lacks"
                )
            if steps and not _count_apart(run, other):
                why[run.name] = (
                    f"its losses at {steps} steps equal those of run '{other.name}' to the digits "
                    f"that both print, in a log beside it: one run logged twice; if it "
                    f"is another run, say in sweep.yaml what it lacks"
                )
    return why


def _averaged(
    runs: Sequence[Run], pair: tuple[int, int], curves: Mapping[int, pl.DataFrame]
) -> int:
    """Count the steps of two logs of one name that go along with each other to one end; or 0.

    One of them may have means of the steps since its last line.
    """
    paths = [runs[place].paths for place in pair]
    if any(len(each) != 1 for each in paths):
        return 0
    if len({path.rpartition("/")[0] for (path,) in paths}) > 1:
        return 0
    (first,), (second,) = paths
    sizes = [runs[place].identity.value("params.total") for place in pair]
    if run_in(first) != run_in(second) or len({*sizes} - {None}) > 1:
        return 0
    few, many = sorted((curves[place] for place in pair), key=lambda curve: curve.height)
    both = few.join(many, on="step", suffix="_too").sort("step")
    if both.height < LEAST or 2 * both.height < few.height:
        return 0
    ends = [int(curve["step"].max()) for curve in (few, many)]  # type: ignore[arg-type]
    if abs(ends[0] - ends[1]) > _span(few) / max(few.height - 1, 1):
        return 0
    apart = (both["train_loss"] - both["train_loss_too"])[both.height // 2 :]
    return both.height if abs(float(apart.mean())) <= CLOSE else 0  # type: ignore[arg-type]


def _lacks_less(run: Run, other: Run) -> bool:
    """Tell whether a run lacks nothing, or a part of what another one lacks."""
    if not run.reason:
        return True
    missing, more = ({each.fact for each in each_run.identity.missing} for each_run in (run, other))
    return not run.excluded and bool(missing) and missing < more


def _count_apart(run: Run, other: Run) -> bool:
    """Tell whether two logs count other tokens or samples by some step."""
    counts = ("tokens", "samples")
    first, second = (
        pl.concat([part.records.select("step", *counts) for part in each.parts]).unique("step")
        for each in (run, other)
    )
    both = first.join(second, on="step", suffix="_too")
    return bool(
        both.select(
            pl.any_horizontal(
                ((pl.col(name) - pl.col(f"{name}_too")).abs() > SAME * pl.col(name)).any()
                for name in counts
            )
        ).item()
    )


def _alike(
    runs: Sequence[Run], able: Sequence[bool], some: frozenset[int]
) -> list[tuple[int, int]]:
    """List pairs in one format, folder and range of steps, as a log and what grep took from it."""
    places: dict[object, list[int]] = defaultdict(list)
    for place, run in enumerate(runs):
        if able[place] and len(run.parts) == 1 and run.parts[0].run.steps is not None:
            folder = run.paths[0].rpartition("/")[0]
            places[folder, _formats(run), run.parts[0].run.steps].append(place)
    return [
        (place, other)
        for group in places.values()
        for place in some.intersection(group)
        for other in group
        if other not in some
    ]


def _beside(
    runs: Sequence[Run], able: Sequence[bool], some: frozenset[int] | None = None
) -> list[tuple[int, int]]:
    """List pairs of runs in other formats whose folders lie nearest to one another.

    Trainers write one level apart: logs/ beside tensorboard/, runs/ below trainer_state.json. So do
    those further apart that a file or folder of one name says to be one: wandb/a.csv and tb/a/.

    Parameters
    ----------
    able : of each run whether it may be compared.
    some : the runs of which one is in each pair; None: all.
    """
    by_folder: dict[tuple[str, ...], list[int]] = defaultdict(list)
    folders: dict[int, tuple[str, ...]] = {}
    of_name: dict[str, list[int]] = defaultdict(list)
    for place, run in enumerate(runs):
        of_run = [("", *path.split("/")[:-1]) for path in run.paths]
        if of_run and able[place]:
            folders[place] = _above(of_run)
            for name in {*(each for parts in of_run for each in parts), _stem(run)}:
                of_name[name].append(place)
            for depth in range(1, len(folders[place]) + 1):
                by_folder[folders[place][:depth]].append(place)
    pairs = {
        pair
        for name, places in of_name.items()
        if name and len(places) <= NAMESAKES
        for pair in combinations(places, 2)
    }
    for place, folder in folders.items():
        formats = _formats(runs[place])
        seen: set[frozenset[str | None]] = {formats}
        for depth in range(len(folder), 0, -1):
            others = [at for at in by_folder[folder[:depth]] if _formats(runs[at]) not in seen]
            if depth == 1 and len(folder) > 1:  # the sweep's folder is of all runs
                others = [at for at in others if len(folders[at]) == 1]
            pairs |= {(min(place, at), max(place, at)) for at in others}
            seen |= {_formats(runs[at]) for at in others}
    return sorted(
        pair
        for pair in pairs
        if not _formats(runs[pair[0]]) & _formats(runs[pair[1]])
        and (some is None or some.intersection(pair))
    )


def _above(folders: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Give the folder that is above all, or is all of them."""
    alike = takewhile(lambda parts: len({*parts}) == 1, zip(*folders, strict=False))
    return tuple(parts[0] for parts in alike)


def _stem(run: Run) -> str:
    """Give the name of a run's first file without its ending."""
    return stem(run.paths[0]).rpartition("/")[2] if len(run.paths) == 1 else ""


def _formats(run: Run) -> frozenset[str | None]:
    return frozenset(part.log.format for part in run.parts)


def _losses(run: Run) -> pl.DataFrame:
    """List the training losses by step, the last of each."""
    told = pl.concat([part.records.select("kind", "step", "train_loss") for part in run.parts])
    finite = told.filter(pl.col("kind") == "train", pl.col("train_loss").is_finite())
    return finite.unique("step", keep="last").select("step", "train_loss").sort("step")


def _evaluations(run: Run) -> pl.DataFrame:
    """List the losses on the one eval set of a run by step, the last of each; none of several."""
    columns = ("kind", "step", "eval_set", "metric", "value")
    told = pl.concat([part.records.select(columns) for part in run.parts])
    finite = told.filter(
        pl.col("kind") == "eval",
        pl.col("metric") == "loss",
        pl.col("eval_set") != "train",
        pl.col("value").is_finite(),
    )
    if finite["eval_set"].n_unique() != 1:
        finite = finite.clear()
    losses = finite.unique("step", keep="last").sort("step")
    return losses.select("step", pl.col("value").alias("train_loss"))


def _agree(first: pl.DataFrame, second: pl.DataFrame, least: int = LEAST) -> int:
    """Count the steps of two curves that agree wherever both have a loss; 0 where they do not."""
    if _are_apart(first, second):
        return 0
    both = first.join(second, on="step", suffix="_too")
    if both.height < least or 2 * both.height < min(first.height, second.height):
        return 0
    left, right = both["train_loss"].to_numpy(), both["train_loss_too"].to_numpy()
    return 0 if _differ(left, right, least).any() else both.height


def _differ(left: _Losses, right: _Losses, least: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Tell of each of two losses whether they differ by more than the rounding of their digits."""
    differ = np.zeros(len(left), dtype=bool)
    for low, high in ((0, 1), (1, 10), (10, np.inf)):  # significant digits are other places there
        here = (abs(left) >= low) & (abs(left) < high)
        unit = max(_place(left[here]), _place(right[here]))
        if least < LEAST and here.any() and unit > CHANCE[least]:
            return ~differ
        apart = abs(left[here] - right[here])
        differ[here] = apart > _HALF * unit + SINGLE * abs(left[here])
    return differ


def _agree_until_restart(part: pl.DataFrame, all_of_it: pl.DataFrame) -> int:
    """Count the steps at which a log agrees with a longer one until that was resumed; or 0.

    What comes after that checkpoint was done again, in the order of other batches: it differs by a
    batch's noise and by nothing else, as a branch of another schedule would.
    """
    both = part.join(all_of_it, on="step", suffix="_too").sort("step")
    if (
        both.height < LEAST
        or 2 * both.height < part.height
        or _span(part) >= PART * _span(all_of_it)
    ):
        return 0
    if part["step"].max() >= all_of_it["step"].max():  # type: ignore[operator]
        return 0
    left, right = both["train_loss"].to_numpy(), both["train_loss_too"].to_numpy()
    differ = _differ(left, right, LEAST)
    alike = int(differ.argmax()) if differ.any() else len(differ)
    apart = (left - right)[alike:]
    if alike < LEAST or len(apart) > alike or not len(apart):
        return 0
    noise = float(np.std(apart)) if len(apart) > 1 else COARSEST / SIGMAS
    return alike if abs(apart.mean()) <= SIGMAS * noise / len(apart) ** 0.5 else 0


def _span(curve: pl.DataFrame) -> int:
    """Count the steps from a curve's first to its last."""
    steps = curve["step"].to_numpy()
    return int(steps.max() - steps.min()) if len(steps) else 0


def _are_apart(first: pl.DataFrame, second: pl.DataFrame) -> bool:
    """Tell at a few steps whether curves differ by more than any rounding, without a join."""
    few, many = sorted((first, second), key=lambda curve: curve.height)
    if not few.height:
        return True
    steps, losses = many["step"].to_numpy(), many["train_loss"].to_numpy()
    for place in {few.height - 1, few.height // 2, few.height // 4}:
        step, loss = few.row(place)
        at = int(np.searchsorted(steps, step))
        if at < len(steps) and steps[at] == step and abs(losses[at] - loss) > COARSEST:
            return True
    return False


def _place(losses: _Losses) -> float:
    """Give the unit of the last digit that losses are written to."""
    for decimals in range(RESOLVED):
        if np.allclose(losses, np.round(losses, decimals), rtol=0.0, atol=1e-9):
            return float(10.0**-decimals)
    return float(10.0**-RESOLVED)
