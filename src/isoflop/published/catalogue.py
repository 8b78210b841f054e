"""The catalogue of published studies: data/reference/published.yaml.

A study is a set of files with their addresses and digests, the sweeps that are read from them, how
these are fitted, and the numbers that should come out. A sweep of a study goes through the same
rules as any sweep, under the name ``published/<sweep>``, with the ``settings`` of its side-car laid
over config.yaml like any sweep's. A variant, ``published/<sweep>@<variant>``, is fitted to the
same losses with settings of its own laid over those.

The settings of a published sweep name every key: a verdict on a paper must not depend on how its
reader fits their own runs.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from isoflop.approach import Approach
from isoflop.config.by_sweep import SweepSettings, laid_over, settings_by_sweep
from isoflop.config.reading import Section, read_yaml
from isoflop.config.sidecar import SweepFile
from isoflop.errors import ConfigError
from isoflop.estimates.backtest import Part
from isoflop.estimates.estimate import GOPHER_BUDGET
from isoflop.project import PUBLISHED
from isoflop.reference import Citation

if TYPE_CHECKING:
    from pathlib import Path


PAPERS: Final[dict[str, Any]] = {
    "approaches": {
        "bootstrap": {"interval": "percentile"},
        "mixture": {"simulations": 0},
        "parametric": {"objective": "huber"},
        "profiles": {"window": None},
    },
}
"""How published sweeps differ from the package's defaults unless the catalogue says otherwise; the
papers read percentiles off their draws, fit parabolas to all sizes of a budget, and minimise
Hoffmann's sum of Huber's loss. No sweep is simulated for an interval, the mixture's neither: it
would cost more than all fits of the papers."""

Statistic = Literal["value", "sd", "low", "high"]


class SourceFile(Section):
    """One file of a study."""

    path: str
    """Where a mirror has it, below the mirror's folder."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Digest of its bytes."""
    address: str | None = None
    """Where the network has these bytes; null if they were derived from what `origin` says."""
    origin: str = ""
    """What a file without an address was derived from, and how."""
    note: str = ""
    """What to know of the address."""

    @property
    def name(self) -> str:
        """Name of the file in the sweep's folder."""
        return self.path.rpartition("/")[2]

    @model_validator(mode="after")
    def _has_an_origin(self) -> Self:
        if self.address is None and not self.origin:
            raise ValueError(f"{self.path} has neither 'address' nor 'origin'")
        return self


class Variant(Section):
    """The same losses, fitted with other settings."""

    fits: tuple[Approach, ...] = Field(min_length=1)
    """What is fitted."""
    settings: dict[str, Any] = Field(min_length=1)
    """What differs from the settings of the sweep."""


VariantName = Annotated[str, StringConstraints(pattern=r"^[\w.+-]+$")]


class PublishedSweep(Section):
    """One sweep read from the files of a study."""

    name: str = Field(pattern=r"^[\w.+-]+$")
    """Folder below data/published/."""
    title: str
    """One line."""
    files: tuple[str, ...] = Field(min_length=1)
    """Paths of the study's files that it is read from."""
    sidecar: SweepFile | None = None
    """Content of sweep.yaml, settings included; title, citation and licence are filled in. Null:
    the files are kept for computed results, and nothing is fitted."""
    fits: tuple[Approach, ...] = ()
    """What is fitted with the settings of the side-car."""
    variants: dict[VariantName, Variant] = Field(default_factory=dict)
    """Fits with other settings to the same losses, by name."""
    backtest: Part | None = None
    """How it takes part in the backtest, or why not; null where nothing is read."""

    @model_validator(mode="after")
    def _fitted_where_read(self) -> Self:
        if self.sidecar is None and (self.fits or self.variants):
            raise ValueError(f"sweep '{self.name}' is fitted, but no 'sidecar' says how to read it")
        return self

    @model_validator(mode="after")
    def _settings_fit_their_model(self) -> Self:
        for variant in ("", *self.variants):
            try:
                self.settings(variant)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return self

    def settings(self, variant: str = "") -> dict[str, Any]:
        """Give the settings of a sweep or of a variant of it, complete.

        Raises
        ------
        ConfigError : there is no such variant, or a setting does not fit its model.
        """
        settings = self.own_settings()
        if variant and variant not in self.variants:
            known = ", ".join(self.variants) or "none"
            raise ConfigError(f"sweep '{self.name}' has no variant '{variant}'; it has: {known}")
        if variant:
            settings = laid_over(settings, self.variants[variant].settings)
        defaults = SweepSettings().model_dump(mode="json")
        name = f"{self.name}@{variant}" if variant else self.name
        return settings_by_sweep(defaults, settings, name=name).model_dump(mode="json")

    def own_settings(self) -> dict[str, Any]:
        """Give what differs from the package's defaults, as sweep.yaml has it."""
        return laid_over(PAPERS, {} if self.sidecar is None else self.sidecar.settings)

    def paths(self) -> list[tuple[str, Approach]]:
        """List every fit: its sweep's name in the workflow, variant included, and its approach."""
        plain = [(f"{PUBLISHED}{self.name}", approach) for approach in self.fits]
        return plain + [
            (f"{PUBLISHED}{self.name}@{name}", approach)
            for name, variant in self.variants.items()
            for approach in variant.fits
        ]

    @model_validator(mode="before")
    @classmethod
    def _titled(cls, content: Any) -> Any:
        """Give the side-car the sweep's title."""
        if isinstance(content, dict) and isinstance(content.get("sidecar"), dict):
            sidecar = {"title": content.get("title")} | content["sidecar"]
            content = content | {"sidecar": sidecar}
        return content


class Fitted(Section):
    """Where in an estimate a reproduced number stands."""

    sweep: str
    """Sweep, with @variant where there is one."""
    approach: Approach
    value: str
    """a, b, a parameter, params_opt, tokens_opt, tokens_per_param, loss_opt, or a diagnostic such
    as diagnostics.account.objective."""
    flops: float = GOPHER_BUDGET
    """Budget of an optimum [FLOP]."""
    statistic: Statistic = "value"
    """value: the estimate; sd: standard deviation of the draws; low | high: end of the interval."""
    level: float = 0.8
    """Nominal coverage of the interval whose end is meant."""


class Computed(Section):
    """A number that follows from published constants or tables, without a fit to losses."""

    function: str
    """Name in isoflop.published.computed."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Its arguments."""


class PublishedResult(Section):
    """A published number, and where its reproduction is found."""

    quantity: str
    """What it is, in words."""
    published: float
    """As published."""
    tolerance: float = Field(gt=0)
    """Largest difference that is explained, in the unit of the number: by rounding alone where it
    is half a unit of the last published digit, else by what the note says."""
    digit: float | None = Field(default=None, gt=0)
    """Unit of the last published digit, where the tolerance is wider than half of it: a number
    further off than that half is near, not reproduced."""
    fitted: Fitted | None = None
    """Where the reproduced number stands; or `computed`."""
    computed: Computed | None = None
    """How the reproduced number is computed; or `fitted`."""
    interval: tuple[float, float] | None = None
    """Published interval, for the forest plot."""
    interval_level: float | None = None
    """Its confidence level: 0.8 is drawn thick, 0.95 thin."""
    source: str
    """Where it was published, or who recomputed it."""
    note: str = ""
    """What a reader must know of the comparison."""

    @property
    def recomputed(self) -> bool:
        """Whether nobody published it: an independent calculation found it from the same data."""
        return self.source.startswith("recomputed")

    @property
    def rounding(self) -> float:
        """Half a unit of the last published digit."""
        return self.tolerance if self.digit is None else self.digit / 2.0

    @model_validator(mode="after")
    def _digit_where_wider(self) -> Self:
        published, unit = (Decimal(repr(v)) for v in (self.published, 2.0 * self.tolerance))
        if self.digit is None:
            rounded = unit.normalize().as_tuple().digits == (1,) and published % unit == 0
            if not rounded:
                raise ValueError(
                    f"'{self.quantity}': tolerance {self.tolerance:g} is not half a unit of a last "
                    f"digit of {self.published:g}: give that unit as 'digit'"
                )
        elif self.digit >= 2.0 * self.tolerance:
            raise ValueError(
                f"'{self.quantity}': digit {self.digit:g} is for numbers whose tolerance is wider "
                f"than half of it, and {self.tolerance:g} is not: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.fitted is None) == (self.computed is None):
            raise ValueError(f"'{self.quantity}': give either 'fitted' or 'computed'")
        return self


class Study(Section):
    """One published study."""

    name: str = Field(pattern=r"^\w+$")
    """Its name in results.json."""
    title: str
    """One line for the index."""
    citation: Citation
    """The paper."""
    licence: str
    """Licence of the data."""
    description: str = ""
    """What the data are, and what is asked of them."""
    files: tuple[SourceFile, ...] = ()
    """Its files."""
    sweeps: tuple[PublishedSweep, ...] = ()
    """The sweeps read from them."""
    results: tuple[PublishedResult, ...] = Field(min_length=1)
    """What should come out."""

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        known = {file.path for file in self.files}
        for sweep in self.sweeps:
            if missing := set(sweep.files) - known:
                raise ValueError(f"sweep '{sweep.name}' reads {', '.join(sorted(missing))}, which "
                                 f"study '{self.name}' does not list under files")  # fmt: skip
        fits = {fit for sweep in self.sweeps for fit in sweep.paths()}
        for result in self.results:
            levels = (None,) if result.interval is None else (0.8, 0.95)
            if result.interval_level not in levels:
                raise ValueError(
                    f"'{result.quantity}' has interval {result.interval} and interval_level "
                    f"{result.interval_level}; an interval needs 0.8 or 0.95, and none needs none"
                )
            if result.fitted is None:
                continue
            place = (PUBLISHED + result.fitted.sweep, result.fitted.approach)
            if place not in fits:
                raise ValueError(
                    f"'{result.quantity}' names sweep '{result.fitted.sweep}' and approach "
                    f"'{result.fitted.approach}', which study '{self.name}' does not fit"
                )
        return self

    @property
    def reported(self) -> tuple[PublishedSweep, ...]:
        """The sweeps that have a report: those that are read."""
        return tuple(sweep for sweep in self.sweeps if sweep.sidecar is not None)

    def file(self, path: str) -> SourceFile:
        """Find a file by its path below the mirror."""
        return next(file for file in self.files if file.path == path)


class Catalogue(Section):
    """data/reference/published.yaml, whole."""

    studies: tuple[Study, ...]

    @model_validator(mode="after")
    def _unique_names(self) -> Self:
        for kind, names in (
            ("study", [study.name for study in self.studies]),
            ("sweep", [sweep.name for study in self.studies for sweep in study.sweeps]),
            ("fit", [f"{path}, {approach}" for path, approach in self.fits()]),
        ):
            repeated = [name for name, count in Counter(names).items() if count > 1]
            if repeated:
                raise ValueError(f"{kind} {', '.join(repeated)} occurs twice")
        return self

    def fits(self) -> list[tuple[str, Approach]]:
        """List every fit: its sweep's name in the workflow, and its approach."""
        return [fit for study in self.studies for sweep in study.sweeps for fit in sweep.paths()]

    def find(self, sweep: str) -> tuple[Study, PublishedSweep]:
        """Find a sweep by its name, with or without prefix and variant.

        Raises
        ------
        ConfigError : there is none.
        """
        name = sweep.removeprefix(PUBLISHED).partition("@")[0]
        for study in self.studies:
            for candidate in study.sweeps:
                if candidate.name == name:
                    return study, candidate
        known = ", ".join(sweep.name for study in self.studies for sweep in study.sweeps)
        raise ConfigError(
            f"the catalogue of published studies has no sweep '{name}'; it has: {known}"
        )

    def settings(self, sweep: str) -> dict[str, Any]:
        """Give the settings of a sweep of the workflow, such as published/gemstones-hot@grid.

        Raises
        ------
        ConfigError : there is no such sweep, or no such variant of it.
        """
        return self.find(sweep)[1].settings(sweep.partition("@")[2])


def read_catalogue(path: Path) -> Catalogue:
    """Read the catalogue.

    Raises
    ------
    ConfigError : the file is absent or does not fit its model; all complaints at once.
    """
    return read_yaml(path, Catalogue)
