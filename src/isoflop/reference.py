"""Published numbers, read from data/reference/*.yaml; nothing published is written in code."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from isoflop.accelerators import ACCELERATORS_FILE, Accelerators
from isoflop.config.reading import Section, read_yaml
from isoflop.counting import (
    PER_PARAMETER,
    Architecture,
    flops_per_token_hoffmann,
    params_gopher_family,
)
from isoflop.laws import ChinchillaLaw, KaplanLaw, PowerLaw, kaplan_params_opt

if TYPE_CHECKING:
    from pathlib import Path

PaperApproach = Literal["envelope", "profiles", "parametric"]


class Citation(Section):
    """Where a fact was published."""

    key: str
    authors: str
    year: int
    title: str
    identifier: str

    def __str__(self) -> str:
        """Cite the way a list of references does."""
        return f"{self.authors} ({self.year}). {self.title}. {self.identifier}."


class Exponents(Section):
    """One row of Hoffmann's Table 2."""

    approach: PaperApproach
    a: float
    b: float
    a_interval: tuple[float, float]
    b_interval: tuple[float, float]


class ExponentTable(Section):
    """Hoffmann's Table 2."""

    source: str
    interval_note: str
    rows: list[Exponents]


class Allocation(Section):
    """FLOPs and tokens that make one model size optimal."""

    flops: float
    tokens: float
    misprinted: bool = False
    """The paper prints something else here; what stands here is C = 6ND, and no line uses it."""


class AllocationRow(Section):
    """One model size in Tables 3 and A3."""

    params: float
    envelope: Allocation
    profiles: Allocation
    parametric: Allocation


class AllocationTable(Section):
    """Hoffmann's Tables 3 and A3."""

    source: str
    note: str
    rows: list[AllocationRow]

    def params_law(self, approach: PaperApproach) -> PowerLaw:
        """Give N_opt(C), the straight line through one approach's rows in log-log."""
        rows = [(getattr(row, approach), row.params) for row in self.rows]
        sound = [(x.flops, params) for x, params in rows if not x.misprinted]
        return _line(sound)

    def tokens_law(self, approach: PaperApproach) -> PowerLaw:
        """Give D_opt(C), the straight line through one approach's rows in log-log."""
        allocations = [getattr(row, approach) for row in self.rows]
        return _line([(x.flops, x.tokens) for x in allocations if not x.misprinted])


def _line(points: list[tuple[float, float]]) -> PowerLaw:
    """Read a published table's power law back as the slope of its logarithms."""
    log_x = [math.log(x) for x, _ in points]
    log_y = [math.log(y) for _, y in points]
    slope, intercept = statistics.linear_regression(log_x, log_y)
    return PowerLaw(coefficient=math.exp(intercept), exponent=slope)


class PrintedLaw(Section):
    """The rounded constants of equation 10."""

    source: str
    note: str
    E: float
    A: float
    B: float
    alpha: float
    beta: float


class TexLaw(Section):
    """The unrounded constants of the paper's TeX source, as logarithms."""

    source: str
    note: str
    log_E: float
    log_A: float
    log_B: float
    alpha: float
    beta: float


class ParametricLaws(Section):
    """Both versions of Approach 3's constants."""

    printed: PrintedLaw
    tex_source: TexLaw


class Budgets(Section):
    """The nine IsoFLOP budgets."""

    source: str
    flops: list[float]


class FlopRatio(Section):
    """One row of Table A4."""

    label: str
    layers: int
    d_model: int
    d_ff: int
    heads: int
    d_head: int
    ratio: float


class FlopRatioTable(Section):
    """Hoffmann's Table A4."""

    source: str
    note: str
    vocab_size: int
    seq_len: int
    rows: list[FlopRatio]

    def computed(self, row: FlopRatio, params: float) -> float:
        """Compute one row's ratio of Appendix F's FLOPs, without embeddings and logits, to 6ND."""
        shape = Architecture(
            layers=row.layers,
            d_model=row.d_model,
            heads=row.heads,
            d_head=row.d_head,
            d_ff=row.d_ff,
            vocab_size=self.vocab_size,
            seq_len=self.seq_len,
        )
        return flops_per_token_hoffmann(shape) / (PER_PARAMETER * params)


class ModelShape(Section):
    """One row of Table A9."""

    params: float
    d_model: int
    d_ff: int
    d_head: int
    heads: int
    layers: int


class ModelTable(Section):
    """Hoffmann's Table A9."""

    source: str
    vocab_size: int
    rows: list[ModelShape]

    def computed(self, row: ModelShape) -> int:
        """Count one row's parameters with the formula that gives all fifty."""
        shape = Architecture(
            layers=row.layers,
            d_model=row.d_model,
            heads=row.heads,
            d_head=row.d_head,
            d_ff=row.d_ff,
            vocab_size=self.vocab_size,
            seq_len=1,
        )
        return params_gopher_family(shape)


class Hoffmann(Section):
    """Facts of Hoffmann et al. (2022)."""

    citation: Citation
    exponents: ExponentTable
    optimal_allocations: AllocationTable
    parametric_laws: ParametricLaws
    isoflop_budgets: Budgets
    flop_ratios: FlopRatioTable
    models: ModelTable

    @property
    def law(self) -> ChinchillaLaw:
        """Approach 3 with the unrounded constants; the printed ones miss the paper's own 40B."""
        tex = self.parametric_laws.tex_source
        return ChinchillaLaw(
            E=math.exp(tex.log_E),
            A=math.exp(tex.log_A),
            B=math.exp(tex.log_B),
            alpha=tex.alpha,
            beta=tex.beta,
        )

    @property
    def printed_law(self) -> ChinchillaLaw:
        """Approach 3 with the rounded constants of equation 10."""
        law = self.parametric_laws.printed
        return ChinchillaLaw(E=law.E, A=law.A, B=law.B, alpha=law.alpha, beta=law.beta)


class SingleLaws(Section):
    """Kaplan's one-variable laws."""

    source: str
    alpha_N: float
    N_c: float
    alpha_D: float
    D_c: float
    alpha_C: float
    C_c_pf_days: float
    alpha_C_min: float
    C_c_min_pf_days: float
    alpha_B: float
    B_star_tokens: float
    alpha_S: float
    S_c_steps: float


class JointLaw(Section):
    """Kaplan's L(N, D)."""

    source: str
    alpha_N: float
    alpha_D: float
    N_c: float
    D_c: float


class StepsLaw(Section):
    """Kaplan's L(N, S)."""

    source: str
    alpha_N: float
    alpha_S: float
    N_c: float
    S_c: float


class CMinPerC(Section):
    """Share of the compute spent that a run at the best batch size would need."""

    critical_batch: float
    minimum: float


class OptimalAllocation(Section):
    """Kaplan's compute-efficient allocation."""

    source: str
    note: str
    N_e: float
    p_N: float
    D_e: float
    p_D: float
    B_e: float
    p_B: float
    S_e: float
    p_S: float
    c_min_per_c: CMinPerC


class Kaplan(Section):
    """Facts of Kaplan et al. (2020)."""

    citation: Citation
    counting: str
    single_laws: SingleLaws
    joint_law: JointLaw
    steps_law: StepsLaw
    optimal_allocation: OptimalAllocation

    @property
    def law(self) -> KaplanLaw:
        """L(N, D) as fitted in the paper."""
        joint = self.joint_law
        return KaplanLaw(N_c=joint.N_c, D_c=joint.D_c, alpha_N=joint.alpha_N, alpha_D=joint.alpha_D)

    def params_opt(
        self, flops: float, *, convention: Literal["critical_batch", "minimum"]
    ) -> float:
        """Give N_opt [non-embedding parameters] at C [FLOP], saying what C_min is taken to be."""
        optimal = self.optimal_allocation
        share: float = getattr(optimal.c_min_per_c, convention)
        return float(
            kaplan_params_opt(
                flops, coefficient=optimal.N_e, exponent=optimal.p_N, c_min_per_c=share
            )
        )


class PublishedLaw(Section):
    """A parametric law with standard errors."""

    source: str
    E: float
    A: float
    B: float
    alpha: float
    beta: float
    standard_errors: dict[str, float]


class WithError(Section):
    """A value with its standard error."""

    value: float
    standard_error: float


class Besiroglu(Section):
    """Facts of Besiroglu et al. (2024)."""

    citation: Citation
    parametric_law: PublishedLaw
    a: WithError

    @property
    def law(self) -> ChinchillaLaw:
        """Approach 3 refitted to the digitised points."""
        law = self.parametric_law
        return ChinchillaLaw(E=law.E, A=law.A, B=law.B, alpha=law.alpha, beta=law.beta)


class TrainedModel(Section):
    """A model that was really trained."""

    name: str
    params: float
    tokens: float
    layers: int
    d_model: int
    heads: int
    d_head: int
    lr_peak: float
    batch: str
    optimizer: str


class TrainedModels(Section):
    """Hoffmann's Table 4."""

    source: str
    rows: list[TrainedModel]


class LargeModel(Section):
    """A large language model with the tokens it was trained on."""

    name: str
    params: float
    tokens: float


class LargeModels(Section):
    """Hoffmann's Table 1."""

    source: str
    rows: list[LargeModel]


class FlopCount(Section):
    """One published count of a training's FLOPs."""

    flops: float
    source: str


class HeadlineResult(Section):
    """A headline downstream result."""

    task: str
    chinchilla: float
    gopher: float
    gpt3: float | None
    mtnlg: float | None
    better: Literal["higher", "lower"]
    unit: str
    note: str | None = None


class HeadlineTable(Section):
    """Headline downstream results."""

    source: str
    rows: list[HeadlineResult]


class PileResult(Section):
    """One subset of the Pile."""

    subset: str
    chinchilla: float
    gopher: float
    jurassic1: float | None


class PileTable(Section):
    """Hoffmann's Table A5."""

    source: str
    unit: str
    rows: list[PileResult]

    def mean(self, model: Literal["chinchilla", "gopher"]) -> float:
        """Average the rows [bits per byte]."""
        return statistics.fmean(getattr(row, model) for row in self.rows)

    def wins(self) -> int:
        """Count the subsets on which Chinchilla has the lower loss."""
        return sum(row.chinchilla < row.gopher for row in self.rows)


class TaskResult(Section):
    """One task of MMLU or BIG-bench."""

    task: str
    chinchilla: float
    gopher: float


class TaskTable(Section):
    """Hoffmann's Tables A6 and A7."""

    source: str
    unit: str
    note: str
    rows: list[TaskResult]

    def mean(self, model: Literal["chinchilla", "gopher"]) -> float:
        """Average the rows [% correct]."""
        return statistics.fmean(getattr(row, model) for row in self.rows)

    def wins(self) -> int:
        """Count the tasks on which Chinchilla answers better."""
        return sum(row.chinchilla > row.gopher for row in self.rows)

    def ties(self) -> int:
        """Count the tasks on which both answer alike."""
        return sum(row.chinchilla == row.gopher for row in self.rows)


class GopherChinchilla(Section):
    """The comparison of Gopher with Chinchilla."""

    citation: Citation
    gopher_citation: Citation
    models: TrainedModels
    large_models: LargeModels
    gopher_flops: dict[str, FlopCount]
    chinchilla_flops: dict[str, FlopCount]
    headline: HeadlineTable
    pile: PileTable
    mmlu: TaskTable
    bigbench: TaskTable


class Effect(Section):
    """How far one choice moved the exponent a in a published or recomputed study."""

    choice: str
    """Key of the choice, as the report's ledger uses it."""
    change: str
    """What was changed, from what to what."""
    a_before: float
    a_after: float
    quantity: str
    """What a is the exponent of, where it needs saying."""
    source: str
    """Study, and whether published or recomputed from its data."""


class Effects(Section):
    """What the literature says each choice moves."""

    citations: list[Citation]
    rows: list[Effect]

    def of(self, choice: str) -> list[Effect]:
        """List the effects of one choice."""
        return [row for row in self.rows if row.choice == choice]


class Muennighoff(Section):
    """What repeated tokens are worth, by another's fit: R*_D and R*_N of `laws.RepeatedDataLaw`."""

    citation: Citation
    source: str
    R_D: float = Field(gt=0.0)
    R_N: float = Field(gt=0.0)


class Reference(Section):
    """Everything published that the project compares with."""

    hoffmann: Hoffmann = Field(repr=False)
    kaplan: Kaplan = Field(repr=False)
    besiroglu: Besiroglu = Field(repr=False)
    gopher_chinchilla: GopherChinchilla = Field(repr=False)
    effects: Effects = Field(repr=False)
    muennighoff: Muennighoff = Field(repr=False)
    accelerators: Accelerators = Field(repr=False)

    @property
    def papers(self) -> tuple[Hoffmann, Besiroglu, Kaplan]:
        """What ``published_laws`` lists laws and exponents of."""
        return self.hoffmann, self.besiroglu, self.kaplan

    @property
    def gopher_budget(self) -> float:
        """Gopher's compute, as its paper states it [FLOP]."""
        return self.gopher_chinchilla.gopher_flops["gopher_paper"].flops


def published_laws(hoffmann: Hoffmann, besiroglu: Besiroglu) -> dict[str, ChinchillaLaw]:
    """Name the published parametric laws."""
    return {
        "hoffmann": hoffmann.law,
        "hoffmann_printed": hoffmann.printed_law,
        "besiroglu": besiroglu.law,
    }


REFERENCE_FILES: Final = {
    "hoffmann": "hoffmann2022.yaml",
    "kaplan": "kaplan2020.yaml",
    "besiroglu": "besiroglu2024.yaml",
    "gopher_chinchilla": "gopher_chinchilla.yaml",
    "effects": "effects.yaml",
    "muennighoff": "muennighoff2023.yaml",
    "accelerators": ACCELERATORS_FILE,
}
"""The files of data/reference that reports compare with, by field of `Reference`."""
PUBLISHED_LAW_FILES: Final = (REFERENCE_FILES["hoffmann"], REFERENCE_FILES["besiroglu"])
"""Those with the laws that approach 3 is tested against."""


def read_reference(folder: Path) -> Reference:
    """Read the published facts from data/reference."""
    files = {field: folder / name for field, name in REFERENCE_FILES.items()}
    return Reference(
        hoffmann=read_yaml(files["hoffmann"], Hoffmann),
        kaplan=read_yaml(files["kaplan"], Kaplan),
        besiroglu=read_yaml(files["besiroglu"], Besiroglu),
        gopher_chinchilla=read_yaml(files["gopher_chinchilla"], GopherChinchilla),
        effects=read_yaml(files["effects"], Effects),
        muennighoff=read_yaml(files["muennighoff"], Muennighoff),
        accelerators=read_yaml(files["accelerators"], Accelerators),
    )


def read_published_laws(folder: Path) -> dict[str, ChinchillaLaw]:
    """Read the published parametric laws alone: what the approaches are tested against."""
    hoffmann, besiroglu = (folder / name for name in PUBLISHED_LAW_FILES)
    return published_laws(read_yaml(hoffmann, Hoffmann), read_yaml(besiroglu, Besiroglu))
