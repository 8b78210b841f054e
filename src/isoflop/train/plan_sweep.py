"""Plan a sweep: from budgets, sizes and a learning-rate rule to the list of its runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoflop.counting import Architecture, flops_per_token, params
from isoflop.errors import ConfigError
from isoflop.train.plan_file import Plan, PlannedParams, PlannedRun, PlannedShape, Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.train.design import TrainDesign, TrainLearningRate, TrainOptimum

WIDTH_STEP = 8
MAX_LAYERS = 64
MIN_STEPS = 50
"""Fewer updates than this say nothing of a schedule."""
SIZE_WEIGHT = 2.5
"""How much more a ladder minds a missed size than a missed aspect."""


@dataclass(frozen=True)
class Size:
    """One rung of the ladder."""

    shape: PlannedShape
    params: PlannedParams
    flops_per_token: float

    @property
    def label(self) -> str:
        """Short name used in run names."""
        return f"l{self.shape.layers}d{self.shape.d_model}"


def plan_sweep(name: str, design: TrainDesign) -> Plan:
    """Plan all runs of a sweep, in the order in which they are best trained.

    Tuning first, then the IsoFLOP rows but the last, the horizons, the replicates, the last and
    dearest row, and the check runs: whatever is finished first is a coherent data set.

    Raises
    ------
    ConfigError : the design asks for more sizes than its ladder has, or for too short a run.
    """
    sizes = build_ladder(design)
    planner = _Planner(name, design, sizes)
    rows = {budget: planner.row(budget) for budget in sorted(design.budgets)}
    *lower, top = rows.values()
    runs = [
        *planner.tuning(),
        *(run for row in lower for run in row),
        *planner.horizons([run for row in rows.values() for run in row]),
        *planner.replicates(rows),
        *top,
        *planner.check(),
    ]
    names = [run.run for run in runs]
    twice = sorted({run for run in names if names.count(run) > 1})
    if twice:
        raise ConfigError(f"design {name}: planned twice: {', '.join(twice)}")
    return Plan(
        format="isoflop-plan",
        version=1,
        sweep=name,
        flops_convention=design.flops_convention,
        corpus=design.corpus,
        tokenizer=design.tokenizer,
        optimizer=design.optimizer,
        evaluation=design.evaluation,
        log_lines=design.log_lines,
        runs=tuple(runs),
    )


def summary(plan: Plan, *, throughput: float | None) -> str:
    """Say what a plan costs.

    Parameters
    ----------
    plan : the plan.
    throughput : measured training FLOP/s of one job in the plan's convention; None if unknown.
    """
    sizes = sorted({run.params.total for run in plan.runs})
    lines = [
        f"{plan.sweep}: {len(plan.runs)} runs",
        f"  sizes (parameters, total): {', '.join(f'{size:,}' for size in sizes)}",
    ]
    groups: dict[tuple[str, str], list[float]] = {}
    for run in plan.runs:
        what = run.purpose.split(":")[0]
        budget = "" if run.budget is None else f" at {run.budget:.3g} FLOPs"
        groups.setdefault((run.role, what + budget), []).append(run.flops)
    for (role, what), flops in groups.items():
        lines.append(f"  {role}, {what}: {len(flops)} runs, {sum(flops):.3g} FLOPs")
    total = sum(run.flops for run in plan.runs)
    lines.append(f"total: {total:.4g} FLOPs ({plan.flops_convention})")
    if throughput is None:
        lines.append("hours: give --throughput (FLOP/s, measured) to have them")
    else:
        hours = total / throughput / 3600
        lines.append(f"hours: {hours:.3g} for one job at a time at {throughput:.3g} FLOP/s")
    return "\n".join(lines)


def expected_optimum(rule: TrainOptimum, budget: float) -> float:
    """Size expected to be optimal at a budget [parameters, total]."""
    return float(rule.params * (budget / rule.budget) ** rule.exponent)


def peak_learning_rate(rule: TrainLearningRate, params_total: float) -> float:
    """Peak learning rate of a size, to three digits.

    Between two tuned sizes, and beyond the last on either side, log rate is linear in log size.
    """
    points = [(math.log(point.params), math.log(point.rate)) for point in rule.tuned]
    if points != sorted(set(points)):
        raise ConfigError("learning_rate.tuned: list each size once, from small to large")
    x = math.log(params_total)
    right = next((i for i in range(1, len(points)) if x <= points[i][0]), len(points) - 1)
    (x0, y0), (x1, y1) = points[right - 1], points[right]
    return float(f"{math.exp(y0 + (y1 - y0) * (x - x0) / (x1 - x0)):.3g}")


def build_ladder(design: TrainDesign) -> list[Size]:
    """Find real architectures near log-spaced sizes, from small to large.

    Of all depths and widths (multiples of 8) the one nearest in size and aspect is taken.
    """
    ladder = design.ladder
    ratio = (ladder.largest / ladder.smallest) ** (1 / (ladder.sizes - 1))
    sizes: dict[str, Size] = {}
    for rung in range(ladder.sizes):
        size = size_near(design, ladder.smallest * ratio**rung)
        sizes[size.label] = size
    return sorted(sizes.values(), key=lambda size: size.params.total)


def size_near(design: TrainDesign, target: float) -> Size:
    """Find the architecture nearest to a size [parameters, total], of about the ladder's aspect."""

    def distance(size: Size) -> float:
        aspect = size.shape.d_model / size.shape.layers
        return SIZE_WEIGHT * abs(math.log(size.params.total / target)) + abs(
            math.log(aspect / design.ladder.aspect)
        )

    return min(_candidates(design, target), key=distance)


def _candidates(design: TrainDesign, target: float) -> Iterator[Size]:
    for layers in range(1, MAX_LAYERS + 1):
        for width in range(WIDTH_STEP, 1 << 14, WIDTH_STEP):
            size = _size(design, layers, width)
            yield size
            if size.params.total > 2 * target:
                break


def _size(design: TrainDesign, layers: int, width: int) -> Size:
    heads = _heads(width, design.ladder.d_head)
    shape = PlannedShape(
        layers=layers,
        d_model=width,
        heads=heads,
        d_head=width // heads,
        d_ff=4 * width,
        vocab_size=design.tokenizer.vocab_size,
        seq_len=design.seq_len,
        tied=design.tied,
        gated=design.gated,
        qk_norm=design.qk_norm,
    )
    counts = planned_params(shape)
    flops = flops_per_token(
        design.flops_convention,
        params_total=counts.total,
        params_nonembedding=counts.nonembedding,
        params_with_head=counts.with_head,
        architecture=shape.architecture(),
    )
    assert flops is not None  # noqa: S101 - the design's conventions all have a formula
    return Size(shape, counts, flops)


def _heads(width: int, d_head: int) -> int:
    """Choose the number of heads whose even width comes nearest to the one asked for."""
    fitting = [n for n in range(1, width + 1) if width % n == 0 and (width // n) % 2 == 0]
    return min(fitting, key=lambda n: abs(math.log(width / n / d_head)))


def norm_gains(shape: PlannedShape) -> int:
    """Weights that counting.py leaves out: the gains of the norms."""
    per_layer = 2 * shape.d_model + (2 * shape.d_head if shape.qk_norm else 0)
    return shape.layers * per_layer + shape.d_model


def planned_params(shape: PlannedShape) -> PlannedParams:
    """Parameters by convention, as the real model has them: norm gains are non-embedding."""
    architecture: Architecture = shape.architecture()
    gains = norm_gains(shape)
    return PlannedParams(
        total=params(architecture, "total") + gains,
        nonembedding=params(architecture, "nonembedding") + gains,
        with_head=params(architecture, "with_head") + gains,
    )


class _Planner:
    """Makes the runs of one design."""

    def __init__(self, name: str, design: TrainDesign, sizes: list[Size]) -> None:
        self.name, self.design, self.sizes = name, design, sizes

    def run(
        self,
        size: Size,
        *,
        name: str,
        role: Role,
        budget: float | None,
        tokens: float,
        purpose: str,
        rate: float | None = None,
        seed: int | None = None,
    ) -> PlannedRun:
        """One run of a size over a horizon, rounded to whole steps."""
        design = self.design
        steps = round(tokens / design.tokens_per_step)
        if steps < MIN_STEPS:
            raise ConfigError(
                f"design {self.name}: {name} would have {steps} steps, fewer than "
                f"{MIN_STEPS}; lower tokens_per_step, ladder.largest or horizons.span"
            )
        peak = peak_learning_rate(design.learning_rate, size.params.total) if rate is None else rate
        seed = design.seed if seed is None else seed
        whole = steps * design.tokens_per_step
        return PlannedRun(
            run=f"{name}-s{seed}",
            role=role,
            budget=budget,
            purpose=purpose,
            architecture=size.shape,
            params=size.params,
            tokens_per_step=design.tokens_per_step,
            steps=steps,
            tokens=whole,
            flops=size.flops_per_token * whole,
            lr_peak=peak,
            lr_end=float(f"{peak * design.learning_rate.end_share:.6g}"),
            warmup_steps=max(1, round(steps * design.warmup_share)),
            seed=seed,
        )

    def row(self, budget: float) -> list[PlannedRun]:
        """Plan the IsoFLOP runs of one budget: the rungs nearest to its expected optimum."""
        count = self.design.sizes_per_budget
        if count > len(self.sizes):
            raise ConfigError(
                f"design {self.name}: sizes_per_budget is {count}, the ladder has "
                f"{len(self.sizes)} sizes; raise ladder.sizes or lower sizes_per_budget"
            )
        optimum = expected_optimum(self.design.optimum, budget)
        nearest = sorted(self.sizes, key=lambda size: abs(math.log(size.params.total / optimum)))
        chosen = sorted(nearest[:count], key=lambda size: size.params.total)
        return [self.isoflop(size, budget) for size in chosen]

    def isoflop(self, size: Size, budget: float, seed: int | None = None) -> PlannedRun:
        """One cell of the IsoFLOP grid."""
        return self.run(
            size,
            name=f"c{budget:.3g}-{size.label}".replace("+", ""),
            role="fit",
            budget=budget,
            tokens=budget / size.flops_per_token,
            purpose="IsoFLOP" if seed is None else "IsoFLOP, another seed",
            seed=seed,
        )

    def tuning(self) -> list[PlannedRun]:
        """Plan the learning-rate grid."""
        return [
            self.run(
                size,
                name=f"lr{rate:.3g}-c{tuning.budget:.3g}-{size.label}".replace("+", ""),
                role="tuning",
                budget=tuning.budget,
                tokens=tuning.budget / size.flops_per_token,
                purpose="learning-rate tuning",
                rate=rate,
            )
            for tuning in self.design.tuning
            for size in map(self.nearest, tuning.params)
            for rate in tuning.rates
        ]

    def nearest(self, target: float) -> Size:
        """Find the rung nearest to a size."""
        return min(self.sizes, key=lambda size: abs(math.log(size.params.total / target)))

    def horizons(self, isoflop: list[PlannedRun]) -> list[PlannedRun]:
        """Shorter horizons of each size that the IsoFLOP runs do not already give."""
        settings = self.design.horizons
        if settings is None:
            return []
        runs = []
        for size in self.sizes:
            have = [run.tokens for run in isoflop if run.architecture == size.shape]
            if not have:
                continue
            for k in range(settings.count):
                tokens = max(have) / settings.span ** (k / (settings.count - 1))
                gap = min(abs(math.log(tokens / other)) for other in have)
                if gap > math.log(settings.near):
                    runs.append(self.horizon(size, tokens))
        return sorted(runs, key=lambda run: run.flops)

    def horizon(self, size: Size, tokens: float) -> PlannedRun:
        """One run planned by its horizon."""
        return self.run(
            size,
            name=f"t{tokens:.3g}-{size.label}".replace("+", ""),
            role="fit",
            budget=None,
            tokens=tokens,
            purpose="horizon",
        )

    def replicates(self, rows: dict[float, list[PlannedRun]]) -> list[PlannedRun]:
        """Cells of the IsoFLOP grid with further seeds."""
        runs = []
        for cells in self.design.replicates:
            for size in map(self.nearest, cells.params):
                planned = {run.architecture for run in rows.get(cells.budget, [])}
                if size.shape not in planned:
                    raise ConfigError(
                        f"design {self.name}.replicates: {size.label} is not planned at "
                        f"budget {cells.budget:g}; choose sizes and a budget of the IsoFLOP grid"
                    )
                runs += [self.isoflop(size, cells.budget, seed) for seed in cells.seeds]
        return runs

    def check(self) -> list[PlannedRun]:
        """Matched-compute runs, one per exponent, from the middle budget's measured optimum."""
        check = self.design.check
        if check is None:
            return []
        runs = []
        for label, exponent in check.exponents.items():
            growth = (check.budget / check.middle_budget) ** exponent
            size = size_near(self.design, check.optimum_params * growth)
            runs.append(
                self.run(
                    size,
                    name=f"{label}-c{check.budget:.3g}-{size.label}".replace("+", ""),
                    role="check",
                    budget=check.budget,
                    tokens=check.budget / size.flops_per_token,
                    purpose=f"check: N = {check.optimum_params:g} (C/{check.middle_budget:g})"
                    f"^{exponent:g}",
                )
            )
        return runs
