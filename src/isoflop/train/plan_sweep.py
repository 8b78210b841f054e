"""Plan a sweep: from budgets, sizes and a learning-rate rule to the list of its runs."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoflop.config.reading import read_yaml
from isoflop.counting import COMPUTED_FLOPS, Architecture, flops_per_token, params
from isoflop.errors import ConfigError
from isoflop.files import write_text
from isoflop.pairs import PAIR_WORDS, PairWord
from isoflop.train.design import Design
from isoflop.train.plan_file import Plan, PlannedParams, PlannedRun, PlannedShape, Role
from isoflop.train.rate_law import rates_path, read_rates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from isoflop.train.design import AnnouncedRates, LearningRate, Optimum, RateCheck
    from isoflop.train.rate_law import RateLaw

ANNOUNCED = "announced"
"""Stage, and beginning of the purpose, of runs whose losses are announced."""
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


def plan_design(path: Path) -> Plan:
    """Plan a design, with the measured rates that lie beside it, if they are there."""
    design = read_yaml(path, Design)
    rates = rates_path(path)
    needs_law = design.learning_rate.guess is not None
    law = read_rates(rates).law if needs_law and rates.exists() else None
    return plan_sweep(path.stem, design, law=law)


def plan_sweep(name: str, design: Design, *, law: RateLaw | None = None) -> Plan:
    """Plan all runs of a sweep, in the order in which they are best trained.

    Tuning first, then the IsoFLOP rows, cheap ones before dear ones, with what goes with them:
    whatever is finished first is a coherent data set.

    Parameters
    ----------
    law : the law of rates, of a design that has no tuned sizes; without it such a design gives its
        tuning runs alone, and its other runs once they are trained and the law is fitted.

    Raises
    ------
    ConfigError : the design asks for more sizes than its ladder has, or for too short a run.
    """
    guess = design.learning_rate.guess
    fallback = None if guess is None else guess.law()
    planner = _Planner(name, design, build_ladder(design), law or fallback)
    tuning = planner.tuning()
    # planned by the guess too, so that a design is refused before its tuning is trained
    rest = planner.staged() if design.stages else planner.in_order()
    runs = [*tuning, *rest] if guess is None or law is not None else tuning
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
        precision=design.precision,
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


def expected_optimum(rule: Optimum, budget: float) -> float:
    """Size expected to be optimal at a budget [parameters, total]."""
    return float(rule.params * (budget / rule.budget) ** rule.exponent)


def peak_learning_rate(rule: LearningRate, params_total: float) -> float:
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


def build_ladder(design: Design) -> list[Size]:
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


def size_near(design: Design, target: float) -> Size:
    """Find the architecture nearest to a size [parameters, total], of about the ladder's aspect."""

    def distance(size: Size) -> float:
        aspect = size.shape.d_model / size.shape.layers
        return SIZE_WEIGHT * abs(math.log(size.params.total / target)) + abs(
            math.log(aspect / design.ladder.aspect)
        )

    return min(_candidates(design, target), key=distance)


def _candidates(design: Design, target: float) -> Iterator[Size]:
    step = design.ladder.width_step
    for layers in range(design.ladder.min_layers, MAX_LAYERS + 1):
        for width in range(step, 1 << 14, step):
            size = _size(design, layers, width)
            yield size
            if size.params.total > 2 * target:
                break


def _size(design: Design, layers: int, width: int) -> Size:
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
        kv_heads=_kv_heads(heads, design.ladder.queries_per_key),
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


def _kv_heads(heads: int, queries_per_key: int) -> int | None:
    """Heads of keys and values; None where as many as heads."""
    shared = heads // queries_per_key
    return None if shared == heads or heads % queries_per_key else shared


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

    def __init__(self, name: str, design: Design, sizes: list[Size], law: RateLaw | None) -> None:
        self.name, self.design, self.sizes, self.law = name, design, sizes, law

    def in_order(self) -> list[PlannedRun]:
        """Plan the IsoFLOP rows but the last, horizons, replicates, last row and check runs."""
        rows = {budget: self.row(budget) for budget in sorted(self.design.budgets)}
        *lower, top = rows.values()
        return [
            *(run for row in lower for run in row),
            *self.horizons([run for row in rows.values() for run in row]),
            *self.replicates(rows),
            *top,
            *self.check(),
            *self.announced(),
            *self.announced_rates(),
        ]

    def staged(self) -> list[PlannedRun]:
        """Plan the same by stages: each has its rows, their replicates, and trials beside them.

        Trunks come before the last stage, cooldowns after their trunks.
        """
        design = self.design
        rows = {budget: self.row(budget) for budget in sorted(design.budgets)}
        replicates = self.replicates(rows)
        stages = sorted(design.stages)
        if stages[-1] < max(design.budgets):
            raise ConfigError(
                f"design {self.name}: the last of stages is {stages[-1]:g}, below the largest "
                f"budget, {max(design.budgets):g}; add it"
            )
        runs = []
        below = 0.0
        for top in stages:
            if top == stages[-1]:
                runs += self.trunks()
            between = [run for budget, row in rows.items() if below < budget <= top for run in row]
            between += [run for run in replicates if below < (run.budget or 0.0) <= top]
            runs += _in_stage(f"rows to {top:.3g}", between)
            trials = [*self.rate_checks(rows), *self.batches(rows)]
            within = [run for run in trials if below < (run.budget or 0.0) <= top]
            runs += _in_stage(f"trials to {top:.3g}", within)
            below = top
        checks = _in_stage("check", self.check())
        announced = _in_stage(ANNOUNCED, self.announced())
        rates = _in_stage(f"rates of {ANNOUNCED}", self.announced_rates())
        return [*runs, *checks, *announced, *rates]

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
        tokens_per_step: int | None = None,
        sized_by: PairWord | None = None,
    ) -> PlannedRun:
        """One run of a size over a horizon, rounded to whole steps."""
        design = self.design
        batch = design.tokens_per_step if tokens_per_step is None else tokens_per_step
        steps = round(tokens / batch)
        if steps < MIN_STEPS:
            raise ConfigError(
                f"design {self.name}: {name} would have {steps} steps, fewer than "
                f"{MIN_STEPS}; lower tokens_per_step, ladder.largest or horizons.span"
            )
        peak = self.rate(size, tokens) if rate is None else rate
        seed = design.seed if seed is None else seed
        rounded = steps * batch
        full_name = f"{name}-s{seed}".replace("+", "")
        own_seeds = design.seeds == "own"
        return PlannedRun(
            run=full_name,
            role=role,
            sized_by=sized_by,
            budget=budget,
            purpose=purpose,
            architecture=size.shape,
            params=size.params,
            tokens_per_step=batch,
            steps=steps,
            tokens=rounded,
            flops=size.flops_per_token * rounded,
            lr_peak=peak,
            lr_end=float(f"{peak * design.learning_rate.end_share:.6g}"),
            warmup_steps=max(1, round(steps * design.warmup_share)),
            seed=seed,
            weights_seed=own_seed("weights", full_name) if own_seeds else None,
            order_seed=own_seed("order", full_name) if own_seeds else None,
        )

    def rate(self, size: Size, tokens: float) -> float:
        """Peak rate of a cosine of a size over a horizon, to three digits."""
        rule, params_total = self.design.learning_rate, size.params.total
        if rule.tuned:
            return peak_learning_rate(rule, params_total)
        assert self.law is not None  # noqa: S101 - a design without tuned sizes has a guess
        return float(f"{self.law.rate(params_total, tokens):.3g}")

    def row(self, budget: float) -> list[PlannedRun]:
        """Plan the IsoFLOP runs of one budget: the rungs nearest to its expected optimum."""
        count = self.design.sizes_per_budget
        if count > len(self.sizes):
            raise ConfigError(
                f"design {self.name}: sizes_per_budget is {count}, the ladder has "
                f"{len(self.sizes)} sizes; raise ladder.sizes or lower sizes_per_budget"
            )
        wings = self.design.wings
        near = self.near_optimum(self.sizes, budget, count - 2 if wings else count)
        if wings:
            first, last = self.sizes.index(near[0]), self.sizes.index(near[-1])
            ends = {max(0, first - 1 - wings), min(len(self.sizes) - 1, last + 1 + wings)}
            near += [self.sizes[end] for end in ends if self.sizes[end] not in near]
            # at an end of the ladder there is no wing on that side: the next nearest instead
            left = [size for size in self.sizes if size not in near]
            near += self.near_optimum(left, budget, count - len(near))
        return [
            self.isoflop(size, budget) for size in sorted(near, key=lambda size: size.params.total)
        ]

    def near_optimum(self, sizes: list[Size], budget: float, count: int) -> list[Size]:
        """Choose the sizes nearest to a budget's expected optimum, from small to large."""
        optimum = expected_optimum(self.design.optimum, budget)
        nearest = sorted(sizes, key=lambda size: abs(math.log(size.params.total / optimum)))
        return sorted(nearest[:count], key=lambda size: size.params.total)

    def isoflop(self, size: Size, budget: float, seed: int | None = None) -> PlannedRun:
        """One cell of the IsoFLOP grid."""
        return self.run(
            size,
            name=f"c{budget:.3g}-{size.label}",
            role="fit",
            budget=budget,
            tokens=budget / size.flops_per_token,
            purpose="IsoFLOP" if seed is None else "IsoFLOP, another seed",
            seed=seed,
        )

    def tuning(self) -> list[PlannedRun]:
        """Plan the learning-rate grids: listed ones, and those that a law is fitted to."""
        runs = [
            self.tried(size, rate, tuning.budget)
            for tuning in self.design.tuning
            for size in map(self.nearest, tuning.params)
            for rate in tuning.rates
        ]
        return [*runs, *_in_stage("tuning", self.rate_grid())]

    def tried(
        self,
        size: Size,
        rate: float,
        budget: float,
        *,
        what: str = "",
        seed: int | None = None,
    ) -> PlannedRun:
        """One cell of the IsoFLOP grid at a rate of its own."""
        return self.run(
            size,
            name=f"lr{rate:.3g}-c{budget:.3g}-{size.label}",
            role="tuning",
            budget=budget,
            tokens=budget / size.flops_per_token,
            purpose="learning-rate tuning" + what,
            rate=rate,
            seed=seed,
        )

    def rate_grid(self) -> list[PlannedRun]:
        """Rates around the guess over sizes and horizons, the longest runs first."""
        grid, guess = self.design.rate_grid, self.design.learning_rate.guess
        if grid is None or guess is None:
            return []
        runs = []
        for cell in grid.cells:
            size = self.nearest(cell.params)
            tokens = size.params.total * cell.tokens_per_param
            centre = guess.law().rate(size.params.total, tokens)
            for k in range(grid.rates):
                rate = float(f"{centre * grid.factor ** (k - (grid.rates - 1) / 2):.3g}")
                runs.append(
                    self.run(
                        size,
                        name=f"lr{rate:.3g}-r{cell.tokens_per_param:.3g}-{size.label}",
                        role="tuning",
                        budget=None,
                        tokens=tokens,
                        purpose=f"law of rates: D/N = {cell.tokens_per_param:g}",
                        rate=rate,
                    )
                )
        return sorted(runs, key=lambda run: -run.flops)

    def rate_checks(self, rows: dict[float, list[PlannedRun]]) -> list[PlannedRun]:
        """Cells of the IsoFLOP grid at multiples of the law's rate."""
        check = self.design.rate_checks
        if check is None:
            return []
        runs = []
        for size in map(self.nearest, check.params):
            self._refuse_unplanned(size, check.budget, rows, "rate_checks")
            runs += self.at_rates(size, check.budget, check, what=": check")
        return runs

    def announced_rates(self) -> list[PlannedRun]:
        """Announced sizes at multiples of the law's rate."""
        ahead = self.design.announced
        if ahead is None or ahead.rates is None:
            return []
        announced = {self.nearest(params).label for params in ahead.params}
        runs = []
        for size in map(self.nearest, ahead.rates.params):
            if size.label not in announced:
                raise ConfigError(
                    f"design {self.name}.announced.rates: {size.label} is not among the announced "
                    "sizes; choose from announced.params"
                )
            runs += self.at_rates(size, ahead.budget, ahead.rates, what=": announced size")
        return runs

    def at_rates(
        self, size: Size, budget: float, tries: RateCheck | AnnouncedRates, *, what: str
    ) -> list[PlannedRun]:
        """Plan one cell at multiples of the law's rate."""
        rate = self.rate(size, budget / size.flops_per_token)
        return [
            self.tried(size, float(f"{rate * factor:.3g}"), budget, what=what, seed=seed)
            for seed in tries.seeds
            for factor in tries.factors
        ]

    def batches(self, rows: dict[float, list[PlannedRun]]) -> list[PlannedRun]:
        """Cells of the IsoFLOP grid with other batches."""
        runs = []
        for cells in self.design.batches:
            for size in map(self.nearest, cells.params):
                self._refuse_unplanned(size, cells.budget, rows, "batches")
                tokens = cells.budget / size.flops_per_token
                for batch in cells.tokens_per_step:
                    share = (batch / self.design.tokens_per_step) ** cells.rate_exponent
                    runs.append(
                        self.run(
                            size,
                            name=f"b{batch}-c{cells.budget:.3g}-{size.label}",
                            role="tuning",
                            budget=cells.budget,
                            tokens=tokens,
                            purpose="another batch",
                            rate=float(f"{self.rate(size, tokens) * share:.3g}"),
                            tokens_per_step=batch,
                        )
                    )
        return runs

    def trunks(self) -> list[PlannedRun]:
        """Trunks, then the cooldowns that branch off them."""
        settings = self.design.trunks
        if settings is None:
            return []
        ratios = sorted(settings.tokens_per_param)
        trunks, cooldowns = [], []
        for size in map(self.nearest, settings.params):
            horizons = [ratio * size.params.total for ratio in ratios]
            middle = horizons[len(horizons) // 2]
            rate = float(f"{settings.rate_share * self.rate(size, middle):.3g}")

            def decayed(
                ratio: float, name: str, purpose: str, size: Size = size, rate: float = rate
            ) -> PlannedRun:
                run = self.run(
                    size,
                    name=f"{name}{ratio:.3g}-{size.label}",
                    role="fit",
                    budget=None,
                    tokens=ratio * size.params.total,
                    purpose=f"{purpose}: D/N = {ratio:g}",
                    rate=rate,
                )
                decay = round(run.steps * settings.decay_share)
                return run.model_copy(
                    update={"schedule": "wsd", "decay_steps": decay, "lr_end": 0.0}
                )

            trunk = decayed(ratios[-1], "trunk", "trunk")
            shorter = [decayed(ratio, "cooldown", "cooldown") for ratio in ratios[:-1]]
            branches = [run.steps - run.decay_steps for run in shorter]
            warmup = max(1, round(branches[0] * self.design.warmup_share)) if branches else 0
            warmup = warmup or trunk.warmup_steps
            trunks.append(
                trunk.model_copy(update={"branches": tuple(branches), "warmup_steps": warmup})
            )
            cooldowns += [
                run.model_copy(
                    update={
                        "schedule": "cooldown",
                        "warmup_steps": warmup,
                        "trunk": trunk.run,
                        "trunk_step": branch,
                        "weights_seed": trunk.weights_seed,
                        "order_seed": trunk.order_seed,
                    }
                )
                for run, branch in zip(shorter, branches, strict=True)
            ]
        return [*_in_stage("trunks", trunks), *_in_stage("cooldowns", cooldowns)]

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
            name=f"t{tokens:.3g}-{size.label}",
            role="fit",
            budget=None,
            tokens=tokens,
            purpose="horizon",
        )

    def replicates(self, rows: dict[float, list[PlannedRun]]) -> list[PlannedRun]:
        """Cells of the IsoFLOP grid with further seeds."""
        runs = []
        for cells in self.design.replicates:
            sizes = [self.nearest(target) for target in cells.params]
            if cells.nearest is not None:
                row = {run.architecture for run in rows.get(cells.budget, [])}
                planned = [size for size in self.sizes if size.shape in row]
                sizes += self.near_optimum(planned, cells.budget, cells.nearest)
            for size in sizes:
                self._refuse_unplanned(size, cells.budget, rows, "replicates")
                runs += [self.isoflop(size, cells.budget, seed) for seed in cells.seeds]
        return runs

    def _refuse_unplanned(
        self, size: Size, budget: float, rows: dict[float, list[PlannedRun]], section: str
    ) -> None:
        """Refuse a cell that the IsoFLOP grid lacks."""
        if size.shape not in {run.architecture for run in rows.get(budget, [])}:
            raise ConfigError(
                f"design {self.name}.{section}: {size.label} is not planned at "
                f"budget {budget:g}; choose sizes and a budget of the IsoFLOP grid"
            )

    def check(self) -> list[PlannedRun]:
        """Matched-compute runs of each exponent, from the middle budget's measured optimum."""
        check = self.design.check
        if check is None:
            return []
        runs = []
        for label, exponent in check.exponents.items():
            growth = (check.budget / check.middle_budget) ** exponent
            size = size_near(self.design, check.optimum_params * growth)
            runs += [
                self.run(
                    size,
                    name=f"{label}-c{check.budget:.3g}-{size.label}",
                    role="check",
                    budget=check.budget,
                    tokens=check.budget / size.flops_per_token,
                    purpose=f"check: N = {check.optimum_params:g} (C/{check.middle_budget:g})"
                    f"^{exponent:g}",
                    seed=seed,
                    sized_by=PAIR_WORDS.get(label),
                )
                for seed in check.seeds
            ]
        return runs

    def announced(self) -> list[PlannedRun]:
        """Plan the runs whose losses are announced before they are trained."""
        ahead = self.design.announced
        if ahead is None:
            return []
        if ahead.budget <= max(self.design.budgets):
            raise ConfigError(
                f"design {self.name}.announced: {ahead.budget:g} FLOPs is not above the largest "
                f"fitted budget, {max(self.design.budgets):g}; announce runs beyond it"
            )
        sizes = {size.label: size for size in map(self.nearest, ahead.params)}
        return [
            self.run(
                size,
                name=f"announced-c{ahead.budget:.3g}-{size.label}",
                role="check",
                budget=ahead.budget,
                tokens=ahead.budget / size.flops_per_token,
                purpose=f"{ANNOUNCED}: its loss is predicted before it is trained",
                seed=seed,
            )
            for size in sizes.values()
            for seed in ahead.seeds
        ]


def write_targets(plan: Plan, path: Path) -> int:
    """Write the runs to announce as a table ``Targets``, and give their number.

    They are the announced runs of the plan, and its matched pair, which lies beyond the fitted
    budgets too.

    Raises
    ------
    ConfigError : the plan announces none.
    """
    runs = [run for run in plan.runs if run.role == "check"]
    if not any(run.purpose.startswith(ANNOUNCED) for run in runs):
        raise ConfigError(
            f"{plan.sweep}: no run of this plan is announced; add 'announced' to its design"
        )
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    counts = tuple(PlannedParams.model_fields)
    flops_names = [f"flops_{convention}" for convention in COMPUTED_FLOPS]
    params_names = (f"params_{key}" for key in counts)
    writer.writerow(["run", "sized_by", *params_names, "tokens", *flops_names])
    for run in runs:
        flops = [run.flops_per_token(convention) * run.tokens for convention in COMPUTED_FLOPS]
        params = (getattr(run.params, key) for key in counts)
        writer.writerow([run.run, run.sized_by, *params, run.tokens, *flops])
    write_text(path, stream.getvalue())
    return len(runs)


def own_seed(what: str, run: str) -> int:
    """Seed of a run's own weights or order, from its name: no two runs share their luck."""
    return int.from_bytes(hashlib.sha256(f"{what} of {run}".encode()).digest()[:4], "big")


def _in_stage(stage: str, runs: list[PlannedRun]) -> list[PlannedRun]:
    return [run.model_copy(update={"stage": stage}) for run in runs]
