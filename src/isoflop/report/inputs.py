"""What the report is written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from isoflop.estimates.allocation import determined_at, optima_at, optima_by_approach
from isoflop.estimates.default_budgets import default_budgets
from isoflop.estimates.estimate import Estimate
from isoflop.estimates.mixture import KEY, Mixture, answers_of
from isoflop.estimates.recommendation import recommend
from isoflop.tables import newest_day

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from isoflop.approach import Approach
    from isoflop.config.losses import LossesSettings
    from isoflop.config.report import ReportSettings
    from isoflop.config.sidecar import SweepFile
    from isoflop.drawing.manifest import FigureText
    from isoflop.estimates.announced import Announcement, PairAnnouncement
    from isoflop.estimates.draws import Draws
    from isoflop.estimates.estimate import Optimum, Refusal
    from isoflop.estimates.forecasts import Forecasts, NoForecasts
    from isoflop.estimates.mixture import NoMixture
    from isoflop.estimates.published_numbers import PublishedNumber
    from isoflop.estimates.recommendation import Recommendation
    from isoflop.reference import Reference


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """One sweep's tables, estimates and figures, and the published facts.

    Attributes
    ----------
    losses, left_out, runs, files, gates : tables of tables.py.
    estimates, draws : by approach.
    laws, law_draws : estimates of every law of the set, and their draws.
    mixture, mixture_draws : of these laws.
    forecasts : how well each approach predicted the upper part of the sweep.
    specifications : table of tables.py.
    figures : folder with the SVGs.
    announcement : losses of its runs that were announced before they were trained; None without.
    announced_pair : the difference of a matched pair that was announced likewise; None without.
    manifest : figures.json: what each figure shows, in words.
    bibliography : references.bib, as text.
    study : numbers of the published study that the sweep is of; empty for any other.
    digests : sha256 of every input, by its path relative to the project.
    """

    sweep: str
    sidecar: SweepFile
    losses: pl.DataFrame
    left_out: pl.DataFrame
    runs: pl.DataFrame
    files: pl.DataFrame
    gates: pl.DataFrame
    estimates: Mapping[Approach, Estimate | Refusal]
    draws: Mapping[Approach, Draws]
    laws: Mapping[Approach, Estimate | Refusal]
    law_draws: Mapping[Approach, Draws]
    mixture: Mixture | NoMixture
    mixture_draws: Draws
    forecasts: Forecasts | NoForecasts
    specifications: pl.DataFrame
    figures: Path
    manifest: Mapping[str, FigureText]
    reference: Reference
    announcement: Announcement | None
    announced_pair: PairAnnouncement | None
    settings: ReportSettings
    losses_settings: LossesSettings
    bibliography: str
    study: Sequence[PublishedNumber] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    _optima: dict[float, dict[Approach, Optimum]] = field(default_factory=dict, repr=False)
    _of_laws: dict[float, dict[Approach, Optimum]] = field(default_factory=dict, repr=False)
    _mixed: dict[float, Optimum | None] = field(default_factory=dict, repr=False)

    @property
    def fitted(self) -> dict[Approach, Estimate]:
        """The approaches that gave an estimate."""
        return {
            name: value for name, value in self.estimates.items() if isinstance(value, Estimate)
        }

    @property
    def leaned_on(self) -> dict[Approach, Estimate]:
        """The approaches' estimates, and those of the laws that the mixture draws from."""
        mixed = self.mixture.mixed if isinstance(self.mixture, Mixture) else []
        laws = {member.approach: self.laws.get(member.approach) for member in mixed}
        return self.fitted | {name: law for name, law in laws.items() if isinstance(law, Estimate)}

    @property
    def refused(self) -> dict[Approach, str]:
        """The approaches that gave none, with the reason."""
        return {
            name: str(getattr(value, "refused", ""))
            for name, value in self.estimates.items()
            if not isinstance(value, Estimate)
        }

    @property
    def recommended(self) -> Recommendation | None:
        """Whose allocation is recommended; None where nothing was fitted."""
        return recommend(self.fitted, self.forecasts, self.mixture)

    @property
    def answers(self) -> dict[str, Estimate | Mixture]:
        """Every approach's estimate and the mixture, by key; the recommended one first."""
        answers = answers_of(self.fitted, self.mixture)
        chosen = self.recommended
        first = "" if chosen is None else chosen.key
        return {key: answers[key] for key in sorted(answers, key=lambda key: key != first)}

    @property
    def every_answer(self) -> dict[str, Estimate | Mixture]:
        """The answers, and after the approaches' each other law of the set's; recommended first."""
        answers = answers_of(self.fitted | self._other_laws, self.mixture)
        chosen = self.recommended
        first = "" if chosen is None else chosen.key
        return {key: answers[key] for key in sorted(answers, key=lambda key: key != first)}

    @property
    def _other_laws(self) -> dict[Approach, Estimate]:
        """The laws of the set that no approach is."""
        return {
            name: law
            for name, law in self.laws.items()
            if name not in self.estimates and isinstance(law, Estimate)
        }

    @property
    def unique_tokens(self) -> float | None:
        """The distinct tokens that every fitted run had; None where some say none, or others."""
        fitted = self.losses.filter(pl.col("role") == "fit", pl.col("is_final"))
        known = fitted["unique_tokens"].unique().to_list()
        return known[0] if len(known) == 1 else None

    def draws_of(self, key: str) -> Draws:
        """Give the draws of an approach, a law of the set, or the mixture."""
        if key == KEY:
            return self.mixture_draws
        return self.draws[key] if key in self.draws else self.law_draws[key]

    @property
    def day(self) -> dt.date | None:
        """The day of the report: that of sweep.yaml, or the newest that its logs print."""
        return self.sidecar.date or newest_day(self.files)

    @property
    def top_budget(self) -> float | None:
        """The largest budget that was fitted [FLOP]; None where nothing was.

        As planned, or the largest fitted C where no run names a budget.
        """
        if not self.fitted:
            return None
        fitted = self.losses.filter(pl.col("role") == "fit", pl.col("is_final"))
        planned: list[float] = fitted["budget"].drop_nulls().to_list()
        return max(planned or [estimate.flops_range[1] for estimate in self.fitted.values()])

    @property
    def budgets(self) -> list[float]:
        """The budgets that the report answers: the sweep's, and those that were asked for."""
        top = self.top_budget
        of_sweep = () if top is None else default_budgets(top)
        return [
            flops for flops in sorted({*of_sweep, *self.settings.budgets}) if self.optima(flops)
        ]

    def optima(self, flops: float) -> dict[Approach, Optimum]:
        """Give every approach's optimum at one budget."""
        if flops not in self._optima:
            self._optima[flops] = optima_by_approach(self.fitted, self.draws, flops)
        return self._optima[flops]

    def mixed(self, flops: float) -> Optimum | None:
        """Give the mixture's optimum at one budget; None without a mixture, or an optimum."""
        if not isinstance(self.mixture, Mixture):
            return None
        if flops not in self._mixed:
            optima = determined_at(self.mixture, self.mixture_draws, flops)
            self._mixed[flops] = optima[0] if optima else None
        return self._mixed[flops]

    def answered(self, flops: float) -> dict[str, Optimum]:
        """Give the optimum of every answer that has one at a budget, in the order of answers."""
        return self._answered(self.answers, flops)

    def every_answered(self, flops: float) -> dict[str, Optimum]:
        """Give the same of every answer, other laws of the set among them."""
        return self._answered(self.every_answer, flops)

    def open_at(self, flops: float) -> list[str]:
        """Name the answers that have an optimum at a budget which their runs do not determine."""
        answered, answers = self.every_answered(flops), self.every_answer
        return [
            key
            for key in answers
            if key not in answered and optima_at(answers[key], self.draws_of(key), [flops])
        ]

    def _answered(
        self, answers: Mapping[str, Estimate | Mixture], flops: float
    ) -> dict[str, Optimum]:
        optima = {**self.optima(flops)}
        if (mixed := self.mixed(flops)) is not None:
            optima[KEY] = mixed
        if not answers.keys() <= {*self.fitted, KEY}:
            if flops not in self._of_laws:
                laws = optima_by_approach(self._other_laws, self.law_draws, flops)
                self._of_laws[flops] = laws
            optima |= self._of_laws[flops]
        return {key: optima[key] for key in answers if key in optima}

    def fit_runs(self) -> pl.DataFrame:
        """Give the runs that are observations."""
        return self.runs.filter((pl.col("role") == "fit") & ~pl.col("excluded"))
