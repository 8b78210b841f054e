"""The assumptions ledger: every convention and choice, and what the literature says it moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isoflop.counting import FLOPS_MEANING, PARAMS_MEANING
from isoflop.escape import markdown
from isoflop.numbers import NONE, fixed, listed, parameter, percent, times
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from isoflop.reference import Effect
    from isoflop.report.inputs import ReportInputs

Entry = tuple[str, str, str]
"""Key of effects.yaml, choice, what was chosen here."""


def ledger_table(inputs: ReportInputs) -> Table:
    """Tabulate every choice beside what it moved where somebody measured that."""
    rows, data = [], []
    for key, choice, chosen in _entries(inputs):
        effects = inputs.reference.effects.of(key)
        said = " ".join(_said(effect) for effect in effects) or NONE
        rows.append([choice, chosen, said])
        data.append([choice, chosen, said])
    return Table(
        key="assumptions",
        caption="Conventions and choices behind the estimates, and how far each moved the exponent "
        "*a* of *N*~opt~ where a study measured it.",
        columns=(
            Column("Choice", "left"),
            Column("In this report", "left"),
            Column("What it moved elsewhere (*a*, from → to)", "left"),
        ),
        rows=rows,
        data_columns=("choice", "chosen", "moved"),
        data=data,
        classes=' .prose widths="0.7 1.6 1.6"',
    )


def _said(effect: Effect) -> str:
    """Tell one effect as a sentence."""
    quantity = f", {effect.quantity}" if effect.quantity else ""
    change = effect.change[0].upper() + effect.change[1:]
    before, after = _digits(effect.a_before), _digits(effect.a_after)
    return f"{change}: {before} → {after} ({effect.source}{quantity})."


def _digits(value: float) -> str:
    return fixed(value, 3)


def _entries(inputs: ReportInputs) -> list[Entry]:
    """List the choices, each read from settings, tables or estimates."""
    fitted = inputs.fitted
    return [
        ("params", "Counting of *N*", _by_convention(inputs, "params", PARAMS_MEANING)),
        ("flops", "Counting of *C*", _by_convention(inputs, "flops", FLOPS_MEANING)),
        ("loss", "Loss that is fitted", _loss_source(inputs)),
        ("smoothing", "Smoothing", _smoothing(inputs)),
        ("schedule", "Schedule", _schedule(inputs)),
        ("warmup", "Warm-up", _warmup(inputs)),
        ("tuning", "Learning rate", _tuning(inputs)),
        ("frontier", "Approach 1: frontier", _frontier(fitted)),
        ("window", "Approach 2: curve and window", _window(fitted)),
        ("outliers", "Approach 2: edges and outliers", _edges(fitted)),
        ("objective", "Approach 3: objective", _objective(fitted)),
        ("points", "Approach 3: points", _points(fitted)),
        ("bootstrap", "Intervals", _bootstrap(fitted)),
        ("extrapolation", "Extrapolation", EXTRAPOLATION),
    ]


EXTRAPOLATION = (
    "The power laws are assumed to continue unchanged beyond the data. Intervals say how far "
    "resampled runs move the fit; they make no allowance for a law that bends."
)


def _settings(fitted: dict[Any, Any], approach: str) -> dict[str, Any]:
    """Give an approach's settings as its estimate records them, or nothing."""
    estimate = fitted.get(approach)
    found: dict[str, Any] = dict(estimate.settings) if estimate is not None else {}
    own = found.get(approach)
    return {**found, **own} if isinstance(own, dict) else found


def _by_convention(inputs: ReportInputs, kind: str, meaning: dict[Any, str]) -> str:
    """Say which approaches count how."""
    by: dict[str, list[str]] = {}
    for approach, estimate in inputs.fitted.items():
        by.setdefault(getattr(estimate.counting, kind), []).append(approach)
    return "; ".join(
        f"`{convention}` ({meaning[convention]}) for {listed(names)}"
        for convention, names in by.items()
    )


def _loss_source(inputs: ReportInputs) -> str:
    sources = sorted(str(word) for word in inputs.losses["loss_source"].unique().to_list())
    words = {"eval": "held-out loss as logged", "train": "training loss, smoothed"}
    return listed([words.get(source, source) for source in sources]) + ", in nats per token"


def _smoothing(inputs: ReportInputs) -> str:
    settings = inputs.losses_settings
    if "train" not in {str(word) for word in inputs.losses["loss_source"].unique().to_list()}:
        return "none: held-out losses are taken as logged"
    return f"window of ±{percent(settings.smoothing)} of the tokens at its centre"


def _schedule(inputs: ReportInputs) -> str:
    kinds = sorted(
        {markdown(str(kind)) for kind in inputs.fit_runs()["schedule_kind"].drop_nulls()}
    )
    share = percent(inputs.losses_settings.min_schedule_fraction)
    kind = listed(kinds) if kinds else "kind not stated"
    return f"{kind}; a final loss counts where at least {share} of the schedule is done"


def _warmup(inputs: ReportInputs) -> str:
    runs = inputs.fit_runs().drop_nulls("warmup_tokens")
    if runs.is_empty():
        return "not stated in the logs"
    share = runs["warmup_tokens"] / runs["tokens"]
    low, high = float(share.min()), float(share.max())  # type: ignore[arg-type]
    return f"{percent(low, 1)} to {percent(high, 1)} of each run’s tokens"


def _tuning(inputs: ReportInputs) -> str:
    runs = inputs.fit_runs()
    rates = runs["lr_peak"].drop_nulls()
    tuning = inputs.runs.filter(inputs.runs["role"] == "tuning").height
    if rates.is_empty():
        return "not stated in the logs"
    low, high = float(rates.min()), float(rates.max())  # type: ignore[arg-type]
    span = (
        f"peak {parameter(low, 2)}"
        if low == high
        else f"peaks {parameter(low, 2)} to {parameter(high, 2)}"
    )
    tried = times(tuning, "tuning run") if tuning else "no tuning run"
    return f"{span}; {tried} in the sweep, left out of the fits"


def _frontier(fitted: dict[Any, Any]) -> str:
    settings = _settings(fitted, "envelope")
    if not settings:
        return "approach refused"
    if settings.get("frontier") == "hull":
        return "vertices of the lower convex hull of log *L* over log *C*"
    return f"lowest loss at {settings.get('grid_points', 'many')} log-spaced values of *C*"


def _window(fitted: dict[Any, Any]) -> str:
    settings = _settings(fitted, "profiles")
    if not settings:
        return "approach refused"
    window = settings.get("window")
    points = f"the {window} lowest points" if window else "all points"
    axis = "*N*" if settings.get("axis", "params") == "params" else "*D*"
    return (
        f"{settings.get('curve', 'parabola')} of *L* in log {axis} through {points} of each budget"
    )


def _edges(fitted: dict[Any, Any]) -> str:
    settings = _settings(fitted, "profiles")
    if not settings:
        return "approach refused"
    edge = (
        "a budget with its minimum at the edge of its sizes is refused"
        if settings.get("edge", "refuse") == "refuse"
        else "minima at the edge of the sizes are kept"
    )
    outliers = settings.get("outliers")
    rule = (
        f"runs with an externally studentised residual beyond {outliers}, about the parabola "
        "through the other runs of their budget, are left out"
        if outliers
        else "no outlier rule"
    )
    return f"{edge}; {rule}"


def _objective(fitted: dict[Any, Any]) -> str:
    settings = _settings(fitted, "parametric")
    if not settings:
        return "approach refused"
    delta = fitted["parametric"].diagnostics.get("huber_delta")
    words = {
        "huber": f"sum of Huber losses of log *L*, δ = {delta}",
        "mse": "sum of squares of the residuals of log *L*",
        "likelihood": f"Huber likelihood of log *L* with a free scale, δ = {delta} of it",
    }
    chosen = str(settings.get("objective"))
    return f"{words.get(chosen, chosen)}; {settings.get('starts')} grid of starts"


def _points(fitted: dict[Any, Any]) -> str:
    settings = _settings(fitted, "parametric")
    if not settings:
        return "approach refused"
    points = "final losses only" if settings.get("points", "final") == "final" else "whole curves"
    dropped = settings.get("drop_highest") or 0
    return points + (f"; the {dropped} highest losses left out" if dropped else "")


def _bootstrap(fitted: dict[Any, Any]) -> str:
    """Say how runs are resampled; the same for all approaches."""
    for estimate in fitted.values():
        bootstrap = estimate.settings.get("bootstrap")
        if isinstance(bootstrap, dict):
            scheme = {
                "runs": "whole runs resampled with replacement",
                "subsample": f"{percent(bootstrap.get('subsample', 0))} of the runs, without "
                "replacement",
            }.get(str(bootstrap.get("scheme")), f"{bootstrap.get('scheme')} bootstrap")
            strata = " within each budget" if bootstrap.get("stratify") else ""
            kind = f"{bootstrap.get('interval')} intervals"
            if bootstrap.get("interval") == "calibrated":
                kind = (
                    f"percentile intervals calibrated on {bootstrap.get('simulations')} simulated "
                    f"sweeps of {bootstrap.get('simulation_draws')} draws each"
                )
            return (
                f"{scheme}{strata}, {bootstrap.get('draws')} draws, {kind}, seed "
                f"{bootstrap.get('seed')}"
            )
    return "none"
