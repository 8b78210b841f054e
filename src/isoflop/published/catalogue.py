"""The catalogue of published studies: data/reference/published.yaml.

A study is a set of files with their addresses and digests, the sweeps that are read from them, how
these are fitted, and the numbers that should come out. A sweep of a study goes through the same
rules as any sweep, under the name ``published/<sweep>``; a fit with other settings to the same
losses is a variant, ``published/<sweep>@<variant>``.

Settings start from the package's defaults, not from config.yaml: a verdict on a paper must not
depend on how its reader fits their own runs.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from isoflop.approach import Approach
from isoflop.config.approaches import ApproachesSettings
from isoflop.config.losses import LossesSettings
from isoflop.config.reading import Section, read_yaml
from isoflop.config.sidecar import SweepFile
from isoflop.errors import ConfigError
from isoflop.estimates.estimate import GOPHER_BUDGET
from isoflop.reference import Citation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PREFIX: Final = "published/"
"""What the names of published sweeps begin with in the workflow."""

Statistic = Literal["value", "sd", "low", "high"]


class SourceFile(Section):
    """One file of a study."""

    path: str
    """Where a mirror holds it, below the mirror's folder."""
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


class PublishedFit(Section):
    """One approach fitted to one published sweep."""

    approach: Approach
    variant: str | None = Field(default=None, pattern=r"^[\w.+-]+$")
    """Distinguishes fits of one approach to the same losses."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """What differs from the defaults of section `approaches`."""

    @field_validator("settings")
    @classmethod
    def _fits_its_model(cls, settings: dict[str, Any]) -> dict[str, Any]:
        ApproachesSettings.model_validate(merged(ApproachesSettings(), settings))
        return settings


class PublishedSweep(Section):
    """One sweep read from the files of a study."""

    name: str = Field(pattern=r"^[\w.+-]+$")
    """Folder below data/published/."""
    title: str
    """One line."""
    files: tuple[str, ...] = Field(min_length=1)
    """Paths of the study's files that it is read from."""
    sidecar: SweepFile | None = None
    """Content of sweep.yaml; title, citation and licence are filled in. Null: the files are kept
    for computed results, and nothing is fitted."""
    losses: dict[str, Any] = Field(default_factory=dict)
    """What differs from the defaults of section `losses`."""
    budgets: tuple[float, ...] = (GOPHER_BUDGET,)
    """Compute budgets at which optima are wanted [FLOP]."""
    fits: tuple[PublishedFit, ...] = ()
    """What is fitted."""

    @field_validator("losses")
    @classmethod
    def _fits_its_model(cls, losses: dict[str, Any]) -> dict[str, Any]:
        LossesSettings.model_validate(merged(LossesSettings(), losses))
        return losses

    @model_validator(mode="before")
    @classmethod
    def _titled(cls, content: Any) -> Any:
        """Give the side-car the sweep's title."""
        if isinstance(content, dict) and isinstance(content.get("sidecar"), dict):
            sidecar = {"title": content.get("title")} | content["sidecar"]
            content = content | {"sidecar": sidecar}
        return content


class Fitted(Section):
    """Where an estimate holds a reproduced number."""

    sweep: str
    """Sweep, with @variant where there is one."""
    approach: Approach
    value: str
    """a, b, a parameter, params_opt, tokens_opt, tokens_per_param, loss_opt, or a diagnostic such
    as diagnostics.objective."""
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
    """Largest difference that still counts as reproduced, in the unit of the number."""
    fitted: Fitted | None = None
    """Where the reproduced number stands; or `computed`."""
    computed: Computed | None = None
    """How the reproduced number is computed; or `fitted`."""
    interval: tuple[float, float] | None = None
    """Published interval, for the forest plot."""
    interval_level: float | None = None
    """Its nominal coverage."""
    source: str
    """Where it was published, or who recomputed it."""
    note: str = ""
    """What a reader must know of the comparison."""

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
        fits = {(path, fit.approach) for sweep in self.sweeps for path, fit in fits_of(sweep)}
        for result in self.results:
            if result.fitted is None:
                continue
            place = (PREFIX + result.fitted.sweep, result.fitted.approach)
            if place not in fits:
                raise ValueError(
                    f"'{result.quantity}' names sweep '{result.fitted.sweep}' and approach "
                    f"'{result.fitted.approach}', which study '{self.name}' does not fit"
                )
        return self

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
            ("fit", [f"{path}, {fit.approach}" for path, fit in self.fits()]),
        ):
            repeated = [name for name, count in Counter(names).items() if count > 1]
            if repeated:
                raise ValueError(f"{kind} {', '.join(repeated)} occurs twice")
        return self

    def fits(self) -> list[tuple[str, PublishedFit]]:
        """List every fit with the name of its sweep in the workflow."""
        return [pair for study in self.studies for s in study.sweeps for pair in fits_of(s)]

    def find(self, sweep: str) -> tuple[Study, PublishedSweep]:
        """Find a sweep by its name, with or without prefix and variant.

        Raises
        ------
        ConfigError : there is none.
        """
        name = sweep.removeprefix(PREFIX).partition("@")[0]
        for study in self.studies:
            for candidate in study.sweeps:
                if candidate.name == name:
                    return study, candidate
        known = ", ".join(sweep.name for study in self.studies for sweep in study.sweeps)
        raise ConfigError(
            f"the catalogue of published studies has no sweep '{name}'; it has: {known}"
        )

    def approaches_settings(self, sweep: str, approach: str) -> ApproachesSettings:
        """Give the settings of one fit; the papers' own for a fit that the catalogue does not name.

        The papers read percentiles off their draws, so their intervals are compared with those.
        """
        papers = merged(ApproachesSettings(), {"bootstrap": {"interval": "percentile"}})
        _, found = self.find(sweep)
        for path, fit in fits_of(found):
            if path == PREFIX + sweep.removeprefix(PREFIX) and fit.approach == approach:
                return ApproachesSettings.model_validate(_laid_over(papers, fit.settings))
        return ApproachesSettings.model_validate(papers)

    def losses_settings(self, sweep: str) -> LossesSettings:
        """Give the settings with which a sweep's losses are built."""
        return LossesSettings.model_validate(merged(LossesSettings(), self.find(sweep)[1].losses))


def read_catalogue(path: Path) -> Catalogue:
    """Read the catalogue.

    Raises
    ------
    ConfigError : the file is absent or does not fit its model; all complaints at once.
    """
    return read_yaml(path, Catalogue)


def fits_of(sweep: PublishedSweep) -> list[tuple[str, PublishedFit]]:
    """List the fits to one sweep with the name of each in the workflow."""
    return [
        (f"{PREFIX}{sweep.name}" + (f"@{fit.variant}" if fit.variant else ""), fit)
        for fit in sweep.fits
    ]


def merged(defaults: Section, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Lay overrides over a section's defaults, key by key and section by section."""
    return _laid_over(defaults.model_dump(mode="json"), overrides)


def _laid_over(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in overrides.items():
        old = result.get(key)
        nested = isinstance(old, dict) and isinstance(value, dict)
        result[key] = _laid_over(old, value) if nested else value  # type: ignore[arg-type]
    return result
