"""Train a study from its design: tuning, the law of rates, then everything that rests on it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from isoflop.config.reading import read_yaml
from isoflop.train.design import Design
from isoflop.train.fit_rates import describe, fit_rates
from isoflop.train.plan_file import write_plan
from isoflop.train.plan_sweep import plan_design
from isoflop.train.rate_law import rates_path, write_rates
from isoflop.train.train_plan import train_plan

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.train.train_run import Folders, Progress

TUNING = "tuning"


def train_study(
    path: Path,
    *,
    folders: Folders,
    device: str,
    progress: Progress,
    most: int,
    compiled: bool = False,
) -> None:
    """Train all runs of a design; after a kill the same call goes on, and two share the work.

    The plan and the measured rates are written beside the design as they come to be.

    Parameters
    ----------
    path : the design, data/plans/designs/<sweep>.yaml.
    most : runs of a pack, at most.
    compiled : compile each pack's model.
    """
    train = partial(
        train_plan,
        folders=folders,
        device=device,
        progress=progress,
        most=most,
        compiled=compiled,
    )
    plan_path, rates = path.parent.parent / path.name, rates_path(path)
    design = read_yaml(path, Design)
    plan = plan_design(path)
    if design.learning_rate.guess is not None and not rates.exists():
        write_plan(plan_path, plan)
        train(plan, stage=TUNING)
        measured = fit_rates(path.stem, design, folders.logs)
        write_rates(rates, measured)
        progress.say(describe(measured))
        plan = plan_design(path)
    write_plan(plan_path, plan)
    train(plan)
