"""The final losses of finished runs, as their raw logs have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoflop.train.raw_log import read_log

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Finished:
    """One finished run.

    Attributes
    ----------
    budget : compute budget [FLOP]; None for a run planned by its horizon.
    params : parameters by convention total.
    tokens : horizon [token].
    rate : peak learning rate.
    loss : validation loss at the end [nat/token].
    """

    run: str
    role: str
    budget: float | None
    params: int
    tokens: int
    rate: float
    seed: int
    loss: float


def finished_run(log: Path) -> Finished | None:
    """Read a run's final loss; None for a run that has not ended, or has diverged."""
    records = read_log(log)
    if not records or records[-1].get("status") != "finished":
        return None
    header = records[0]
    # version 1 had one eval set
    final = header["eval"].get("final", header["eval"].get("eval_set"))
    losses = [r["loss"] for r in records if r["kind"] == "eval" and r["eval_set"] == final]
    return Finished(
        run=header["run"],
        role=header["role"],
        budget=header["budget"],
        params=header["params"]["total"],
        tokens=header["tokens"],
        rate=header["schedule"]["lr_peak"],
        seed=header["seed"],
        loss=losses[-1],
    )
