"""What single runs do to an estimate: part of its JSON."""

from __future__ import annotations

import math
from typing import Final

from isoflop.config.reading import Section
from isoflop.numbers import per_cent

FAR: Final = 4.0
"""Residuals beyond this many of their standard deviations are named."""
MOVES: Final = 1.0
"""So are runs that move an answer by more than this many standard errors."""


class LeaveOut(Section):
    """What one run adds: values from all runs less those without it."""

    run: str
    a: float | None
    """Change of the exponent; None where the fit without the run was refused."""
    log_params: float | None
    """Of log N_opt."""
    log_loss: float | None
    """Of log L_opt; None where the approach predicts no loss."""
    a_errors: float | None
    """The same in standard errors of the draws without the run."""
    log_params_errors: float | None
    log_loss_errors: float | None
    refused: bool
    """Whether the approach cannot be fitted without it."""
    residual: float | None
    """Log of its final loss less that of the fit without it; None for a law of the optimum alone,
    and for a run that is not fitted."""
    studentised: float | None
    """The same over its standard deviation: the runs' scatter, and the fit's own error there."""

    @property
    def largest_move(self) -> float:
        """The largest change in standard errors."""
        changes = (self.a_errors, self.log_params_errors, self.log_loss_errors)
        return max(abs(change) for change in (*changes, 0.0) if change is not None)


class Influence(Section):
    """A jackknife: every run left out in turn."""

    flops: float
    """C at which N_opt and L_opt are compared [FLOP]."""
    runs: list[LeaveOut]
    """Sorted by name; empty with a reason."""
    reason: str | None
    """Why there is none."""

    @property
    def moving(self) -> list[LeaveOut]:
        """The runs that move an answer by more than a standard error, the strongest first."""
        moving = [run for run in self.runs if run.largest_move > MOVES]
        return sorted(moving, key=lambda run: -run.largest_move)

    @property
    def outlying(self) -> list[LeaveOut]:
        """The runs far off what the others predict, the farthest first."""
        far = [(abs(run.studentised or 0.0), run) for run in self.runs]
        return [run for size, run in sorted(far, key=lambda pair: -pair[0]) if size > FAR]


def moves(run: LeaveOut) -> str:
    """Say what one run does to a, N_opt and L_opt."""
    changes = []
    if run.a is not None and run.a_errors is not None:
        changes.append(f"a by {run.a:+.3f} ({abs(run.a_errors):.1f} standard errors)")
    if run.log_params is not None and run.log_params_errors is not None:
        share = per_cent(math.expm1(run.log_params), signed=True)
        changes.append(f"the best N by {share} ({abs(run.log_params_errors):.1f})")
    if run.log_loss is not None and run.log_loss_errors is not None:
        share = per_cent(math.expm1(run.log_loss), 2, signed=True)
        changes.append(f"its loss by {share} ({abs(run.log_loss_errors):.1f})")
    return f"{run.run} moves {', '.join(changes)}"


def outlying(run: LeaveOut) -> str:
    """Say how far one run lies off."""
    share = math.expm1(run.residual or 0.0)
    side = "above" if share > 0.0 else "below"
    return f"{run.run}, {per_cent(abs(share), 1)} {side} ({abs(run.studentised or 0.0):.0f} sd)"
