"""The assumptions ledger: every convention and choice, and what the literature says it moves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from isoflop.choices import CURVES
from isoflop.config.by_sweep import SweepSettings, own_values, settings_by_sweep
from isoflop.counting import FLOPS_MEANING, PARAMS_MEANING
from isoflop.escape import code, markdown, unmarked
from isoflop.estimates.diagnostics import ProfilesDiagnostics, expect
from isoflop.numbers import NONE, fixed, listed, parameter, percent, times
from isoflop.project import raw_folder
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoflop.config.approaches import ApproachesSettings
    from isoflop.estimates.estimate import Estimate
    from isoflop.reference import Effect
    from isoflop.report.inputs import ReportInputs

Entry = tuple[str, str, str, tuple[str, ...]]
"""Key of effects.yaml, choice, what was chosen here, and the keys of config.yaml that decide it."""
REFUSED: Final = "approach refused"
NO_FIT: Final = "no approach was fitted"
SET_HERE: Final = " (set for this sweep)"


def ledger_table(inputs: ReportInputs) -> Table:
    """Tabulate every choice beside what it moved where somebody measured that."""
    rows, data = [], []
    overrides = _own_values(inputs)
    entries = [
        (key, choice, chosen + SET_HERE if any(_within(k, keys) for k in overrides) else chosen)
        for key, choice, chosen, keys in _entries(inputs)
    ]
    if overrides:
        entries.append(("", "This sweep’s settings", _listed_values(overrides)))
    for key, choice, chosen in entries:
        effects = inputs.reference.effects.of(key)
        literature = " ".join(_effect(effect) for effect in effects) or NONE
        rows.append([choice, chosen, literature])
        data.append([unmarked(choice), unmarked(chosen), unmarked(literature)])
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


def _effect(effect: Effect) -> str:
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
    params = _by_convention(inputs, "params", PARAMS_MEANING)
    flops = _by_convention(inputs, "flops", FLOPS_MEANING)
    counting = ("approaches.counting", "approaches.kaplan.counting")
    profiles, parametric = "approaches.profiles", "approaches.parametric"
    window = (f"{profiles}.curve", f"{profiles}.axis", f"{profiles}.window")
    outliers = (f"{profiles}.edge", f"{profiles}.outliers")
    objective = tuple(f"{parametric}.{key}" for key in ("objective", "huber_delta", "starts"))
    frontier = ("approaches.envelope.frontier", "approaches.envelope.grid_points")
    points = (f"{parametric}.points", f"{parametric}.drop_highest")
    return [
        ("params", "Counting of *N*", params, tuple(f"{key}.params" for key in counting)),
        ("flops", "Counting of *C*", flops, tuple(f"{key}.flops" for key in counting)),
        ("loss", "Loss that is fitted", _loss_source(inputs), ("losses.loss",)),
        ("smoothing", "Smoothing", _smoothing(inputs), ("losses.smoothing",)),
        ("schedule", "Schedule", _schedule(inputs), ("losses.min_schedule_fraction",)),
        ("warmup", "Warm-up", _warmup(inputs), ()),
        ("tuning", "Learning rate", _tuning(inputs), ()),
        ("frontier", "Approach 1: frontier", _frontier(fitted), frontier),
        ("window", "Approach 2: curve and window", _window(fitted), window),
        ("outliers", "Approach 2: edges and outliers", _edges(fitted), outliers),
        ("objective", "Approach 3: objective", _objective(fitted), objective),
        ("points", "Approach 3: points", _points(fitted), points),
        ("bootstrap", "Intervals", _bootstrap(fitted), ("approaches.bootstrap",)),
        ("extrapolation", "Extrapolation", EXTRAPOLATION, ()),
    ]


def _own_values(inputs: ReportInputs) -> dict[str, Any]:
    """List what this sweep sets itself in sweep.yaml, by dotted key of config.yaml."""
    overrides = inputs.sidecar.settings
    defaults = SweepSettings().model_dump(mode="json")
    source = f"{raw_folder(inputs.sweep)}/sweep.yaml"
    return own_values(settings_by_sweep(defaults, overrides, name=source), overrides)


def _within(key: str, places: tuple[str, ...]) -> bool:
    """Tell whether a key is one of these, or stands in one of these sections."""
    return any(f"{key}.".startswith(f"{place}.") for place in places)


def _listed_values(overrides: dict[str, Any]) -> str:
    """Show settings as they would stand in config.yaml."""
    return "; ".join(code(f"{key}: {json.dumps(value)}") for key, value in overrides.items())


EXTRAPOLATION = (
    "The power laws are assumed to continue unchanged beyond the data. Intervals say how far "
    "resampled runs move the fit; they make no allowance for a law that bends."
)


def _settings(fitted: Mapping[str, Estimate], approach: str) -> ApproachesSettings | None:
    """Give the settings that an approach was fitted with; None if it was refused."""
    estimate = fitted.get(approach)
    return None if estimate is None else estimate.settings


def _by_convention(inputs: ReportInputs, kind: str, meaning: dict[Any, str]) -> str:
    """Say which approaches count how."""
    by: dict[str, list[str]] = {}
    for approach, estimate in inputs.fitted.items():
        by.setdefault(getattr(estimate.counting, kind), []).append(approach)
    return (
        "; ".join(
            f"`{convention}` ({meaning[convention]}) for {listed(names)}"
            for convention, names in by.items()
        )
        or NO_FIT
    )


def _loss_source(inputs: ReportInputs) -> str:
    sources = sorted(str(word) for word in inputs.losses["loss_source"].unique().to_list())
    words = {"eval": "validation loss as logged", "train": "training loss, smoothed"}
    return listed([words.get(source, source) for source in sources]) + ", in nats per token"


def _smoothing(inputs: ReportInputs) -> str:
    settings = inputs.losses_settings
    if "train" not in {str(word) for word in inputs.losses["loss_source"].unique().to_list()}:
        return "none: validation losses are taken as logged"
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


def _frontier(fitted: Mapping[str, Estimate]) -> str:
    settings = _settings(fitted, "envelope")
    if settings is None:
        return REFUSED
    if settings.envelope.frontier == "hull":
        return "vertices of the lower convex hull of log *L* over log *C*"
    return f"lowest loss at {settings.envelope.grid_points} log-spaced values of *C*"


def _by_rule(diagnostics: ProfilesDiagnostics) -> str:
    """Say which sizes a window chosen by rule takes."""
    left_out = any(not used for profile in diagnostics.profiles for used in profile.used)
    if diagnostics.window is None or not left_out:
        return "all points (a narrower window would move the minimum by less than scatter does)"
    return f"the {diagnostics.window} sizes of lowest loss (the widest window, by rule)"


def _window(fitted: Mapping[str, Estimate]) -> str:
    estimate = fitted.get("profiles")
    if estimate is None:
        return REFUSED
    profiles = estimate.settings.profiles
    points = "all points" if profiles.window is None else f"the {profiles.window} lowest points"
    if profiles.window == "rule":
        points = _by_rule(expect(estimate.diagnostics, ProfilesDiagnostics))
    axis = {
        "each": "*N* for the best *N*, in log *D* for the best *D*,",
        "params": "*N*",
        "tokens": "*D*",
    }[profiles.axis]
    return f"{CURVES[profiles.curve]} in log {axis} through {points} of each budget"


def _edges(fitted: Mapping[str, Estimate]) -> str:
    settings = _settings(fitted, "profiles")
    if settings is None:
        return REFUSED
    edge = {
        "refuse": "a budget with its minimum at the edge of its sizes is refused",
        "keep": "minima at the edge of the sizes are kept",
    }[settings.profiles.edge]
    limit = settings.profiles.outliers
    rule = (
        "no outlier rule"
        if limit is None
        else f"runs with an externally studentised residual beyond {limit:g}, about the parabola "
        "through the other runs of their budget, are left out"
    )
    return f"{edge}; {rule}"


def _objective(fitted: Mapping[str, Estimate]) -> str:
    settings = _settings(fitted, "parametric")
    if settings is None:
        return REFUSED
    parametric = settings.parametric
    words = {
        "huber": f"sum of Huber losses of log *L*, δ = {parametric.delta:g}",
        "mse": "sum of squares of the residuals of log *L*",
        "likelihood": f"Huber likelihood of log *L* with a free scale, δ = {parametric.delta:g} of "
        "it",
    }[parametric.objective]
    return f"{words}; {parametric.starts} grid of starts"


def _points(fitted: Mapping[str, Estimate]) -> str:
    settings = _settings(fitted, "parametric")
    if settings is None:
        return REFUSED
    parametric = settings.parametric
    points = {"final": "final losses only", "all": "whole curves"}[parametric.points]
    dropped = parametric.drop_highest
    if not dropped:
        return points
    highest = "highest loss" if dropped == 1 else f"{dropped} highest losses"
    return f"{points}; the {highest} left out"


def _bootstrap(fitted: Mapping[str, Estimate]) -> str:
    """Say how runs are resampled; the same for all approaches."""
    used = [settings for key in fitted if (settings := _settings(fitted, key)) is not None]
    if not used:
        return "none"
    bootstrap = used[0].bootstrap
    scheme = {
        "runs": "whole runs resampled with replacement",
        "subsample": f"{percent(bootstrap.subsample)} of the runs, without replacement",
        "residual": "residual bootstrap",
        "wild": "wild bootstrap",
    }[bootstrap.scheme]
    strata = " within each budget" if bootstrap.stratify else ""
    kind = (
        f"percentile intervals calibrated on {bootstrap.simulations} simulated sweeps of "
        f"each unrejected law, {bootstrap.simulation_draws} draws each"
        if bootstrap.interval == "calibrated"
        else f"{bootstrap.interval} intervals"
    )
    return f"{scheme}{strata}, {bootstrap.draws} draws, {kind}, seed {bootstrap.seed}"
