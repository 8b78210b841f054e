"""Train a whole plan: stage by stage, runs of one shape together; safe to kill at any moment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from isoflop.train.raw_log import RunIsTrainedError
from isoflop.train.train_run import (
    Corpus,
    Folders,
    Progress,
    forget,
    has_ended,
    read_corpus,
    train_runs,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.train.plan_file import Plan, PlannedRun

MOST_PACKED = 16
"""Runs of a pack, at most: beyond, a CPU gains nothing more."""
WAIT_SECONDS = 5.0
"""Between two looks at runs that another process trains."""


def packs(runs: Sequence[PlannedRun], *, most: int) -> list[list[PlannedRun]]:
    """Put runs together that can be trained together.

    Those of one stage, shape and batch, the cheapest pack of a stage first: whenever training is
    cut off, as many runs as can be have ended. Within a pack the longest run first.
    """
    groups: dict[tuple[str, str, int], list[PlannedRun]] = {}
    for run in runs:
        key = (run.stage, run.architecture.model_dump_json(), run.tokens_per_step)
        groups.setdefault(key, []).append(run)
    order = list(dict.fromkeys(run.stage for run in runs))
    made = []
    for group in groups.values():
        members = sorted(group, key=lambda run: -run.tokens)
        made += [members[start : start + most] for start in range(0, len(members), most)]
    return sorted(
        made, key=lambda pack: (order.index(pack[0].stage), sum(run.flops for run in pack))
    )


def train_plan(
    plan: Plan,
    *,
    folders: Folders,
    device: str,
    progress: Progress,
    compiled: bool = False,
    stage: str | None = None,
    most: int = MOST_PACKED,
    wait_seconds: float = WAIT_SECONDS,
) -> None:
    """Train every run of a plan that has not ended, in the order of its stages.

    Several processes may train one plan: a pack whose logs another process has open is left to it,
    and a stage begins once the one before has ended.

    Parameters
    ----------
    compiled : compile each pack's model.
    stage : train this stage alone; None: all.
    most : runs of a pack, at most.
    wait_seconds : between two looks at what another process trains.
    """
    for run in plan.runs:
        if has_ended(plan, run, folders):  # a kill after its last line leaves its checkpoint
            forget(plan, run, folders)
    corpus: Corpus | None = None
    stages = list(dict.fromkeys(run.stage for run in plan.runs))
    for name in [stage] if stage is not None else stages:
        runs = [run for run in plan.runs if run.stage == name]
        while left := [run for run in runs if not has_ended(plan, run, folders)]:
            corpus = corpus or read_corpus(plan, folders)
            trained = False
            for pack in packs(left, most=most):
                began = time.perf_counter()
                try:
                    train_runs(
                        plan,
                        pack,
                        corpus=corpus,
                        folders=folders,
                        device=device,
                        progress=progress,
                        compiled=compiled,
                    )
                except RunIsTrainedError:
                    continue
                trained = True
                progress.say(
                    f"{len(pack)} runs of {pack[0].architecture.layers} layers of width "
                    f"{pack[0].architecture.d_model} ended after "
                    f"{time.perf_counter() - began:.0f} s"
                )
            if not trained:
                time.sleep(wait_seconds)
