"""The Python face: read a sweep, fit it, ask it, draw it.

>>> import isoflop
>>> sweep = isoflop.read(folder)                                    # doctest: +SKIP
>>> fit = sweep.fit()                                               # doctest: +SKIP
>>> print(fit.allocate(1e21))                                       # doctest: +SKIP

The same functions stand behind the rules of the workflow, so the numbers are the report's.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from isoflop.approach import APPROACHES, FITTED, LAWS, MIXTURE, NAMES
from isoflop.errors import IsoflopError
from isoflop.escape import html
from isoflop.estimates.answers import REPEATS, Answers, ask, one_target
from isoflop.estimates.draws import Draws
from isoflop.estimates.estimate import Estimate, Refusal
from isoflop.estimates.forecasts import NoForecasts
from isoflop.estimates.mixture import Mixture, NoMixture
from isoflop.estimates.recommendation import against_all
from isoflop.estimates.refusals import told_once
from isoflop.frame import as_polars, losses_of_frame
from isoflop.numbers import NONE, fixed, interval, listed, number_of
from isoflop.project import facts_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from isoflop.approach import Approach
    from isoflop.config.by_sweep import SweepSettings
    from isoflop.estimates.forecasts import Forecasts


def read(
    source: Path | str | Any,
    *,
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Sweep:
    """Read a sweep.

    Parameters
    ----------
    source : a folder of raw logs with its sweep.yaml; one file of them, a table of runs mostly, of
        which nothing has to be told; or a frame of Polars or pandas. A frame has columns params
        (total N), tokens (D) and loss [nat/token], or those of a CSV file that mean these
        (``n_params``, ``train_tokens``, ``val_loss``), and may have run, budget [FLOP],
        params_nonembedding, params_with_head, params_active (of experts; all unless given), flops
        (as the trainer counted), unique_tokens, seed, lr_peak (the peak learning rate),
        tokens_per_step, schedule_kind, dataset. Runs of one N and D repeat each other, and tell how
        far seeds differ, only where these four and unique_tokens agree, as far as they are known;
        of several rates ``losses.rates`` keeps the best.
        Each row is a finished run; where the column run is there, rows of one run are its curve, by
        increasing tokens, and the last is its final loss.
    name : of the sweep; the folder's, or "frame".
    settings : sections losses and approaches of config.yaml, as far as they differ; laid over
        ``settings:`` of the folder's sweep.yaml.

    Raises
    ------
    IsoflopError : a setting is unknown or does not fit; the folder is no sweep; or the frame lacks
        columns, or has rows that are no losses, which the message names by row (counted from 0),
        run and cell.

    Examples
    --------
    >>> import isoflop, polars
    >>> runs = polars.DataFrame({
    ...     "params": [1e6, 2e6], "tokens": [1e8, 5e7], "loss": [3.1, 3.2], "budget": [6e14, 6e14],
    ... })
    >>> isoflop.read(runs, name="two runs")
    Sweep two runs: 2 runs, 2 points, N 1.00M–2.00M, C 6 × 10¹⁴–6 × 10¹⁴ FLOPs
    """
    if isinstance(source, (str, Path)):
        path = Path(source)
        read_path = _read_file if path.is_file() else _read_folder
        return read_path(path, name, settings or {})
    return _read_frame(source, name or "frame", settings or {})


def _chosen(overrides: Mapping[str, Any], name: str) -> SweepSettings:
    """Lay settings over the defaults of config.yaml."""
    from isoflop.config.by_sweep import SweepSettings, settings_by_sweep

    return settings_by_sweep(SweepSettings().model_dump(), overrides, name=name)


def _read_folder(folder: Path, name: str | None, settings: Mapping[str, Any]) -> Sweep:
    from isoflop.config.by_sweep import laid_over
    from isoflop.config.ingest import IngestSettings
    from isoflop.ingest.facts.sidecar import read_sidecar
    from isoflop.ingest.sweep import ingest_sweep
    from isoflop.losses.build import build_losses

    if not folder.is_dir():
        raise IsoflopError(
            f"there is no folder {folder}, nor a file: read takes a folder of raw logs with its "
            "sweep.yaml, one file of them, or a frame of Polars or pandas"
        )
    overrides = laid_over(read_sidecar(folder).settings, settings)
    chosen = _chosen(overrides, f"{folder / 'sweep.yaml'} and settings")
    tables = ingest_sweep(folder, IngestSettings(), sweep=name)
    built = build_losses(tables.curves, tables.runs, tables.files, chosen.losses)
    approaches = overrides.get("approaches", {})
    return Sweep(name or folder.name, built.losses, tables.runs, built.left_out, approaches)


def _read_file(path: Path, name: str | None, settings: Mapping[str, Any]) -> Sweep:
    from isoflop.config.ingest import IngestSettings
    from isoflop.ingest.sweep import ingest_file
    from isoflop.ingest.words.file_names import stem
    from isoflop.losses.build import build_losses

    if (path.parent / "sweep.yaml").exists():
        raise IsoflopError(
            f"{path} lies beside a sweep.yaml, which is of its folder: read {path.parent}"
        )
    called = name or stem(path.name)
    chosen = _chosen(settings, "settings")
    tables = ingest_file(path, IngestSettings(), sweep=called)
    built = build_losses(tables.curves, tables.runs, tables.files, chosen.losses)
    return Sweep(called, built.losses, tables.runs, built.left_out, settings.get("approaches", {}))


def _read_frame(frame: Any, name: str, settings: Mapping[str, Any]) -> Sweep:
    from isoflop.ingest.tables.named_frames import with_known_names
    from isoflop.losses.build import best_rates
    from isoflop.tables import LeftOut, Runs

    chosen = _chosen(settings, "settings")
    losses = losses_of_frame(with_known_names(as_polars(frame)), name)
    losses, reasons = best_rates(losses, keep=chosen.losses.rates)
    if reasons and chosen.losses.rates == "all":
        warnings.warn(
            f"{len(reasons)} runs of the frame differ from another in their peak learning rate "
            "alone, and all are fitted: the worse ones are no noise. "
            'settings={"losses": {"rates": "best"}} keeps the lowest loss of each N and D',
            stacklevel=3,
        )
    schema = {n: c.dtype for n, c in LeftOut.columns().items()}
    left_out = pl.DataFrame(reasons, schema=schema)
    runs = pl.DataFrame(schema={n: c.dtype for n, c in Runs.columns().items()})
    return Sweep(name, losses, runs, left_out, settings.get("approaches", {}))


@dataclass(frozen=True, eq=False)
class Sweep:
    """A sweep that was read.

    Attributes
    ----------
    name : of the sweep.
    losses : table ``Losses``: the points that are fitted.
    runs : table ``Runs``; empty for a sweep that was read from a frame.
    left_out : table ``LeftOut``: what is not fitted, and why.
    settings : its section ``approaches``, as far as it differs from config.yaml's defaults.
    """

    name: str
    losses: pl.DataFrame
    runs: pl.DataFrame = field(repr=False)
    left_out: pl.DataFrame = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def fit(
        self,
        approaches: Sequence[Approach] = FITTED,
        *,
        settings: Mapping[str, Any] | None = None,
        forecasts: bool = True,
        threads: int | None = None,
        tell: Callable[[str], object] | None = None,
        **bootstrap: Any,
    ) -> Fit:
        """Fit approaches and the laws of the loss, with intervals, and mix the laws.

        As in a report, intervals are calibrated on simulated sweeps, the mixture's too, which takes
        a minute or two. Plain percentiles take a fifth of that, where none is checked either
        (``interval="percentile"``, ``draws=400``, ``settings={"mixture": {"simulations": 0}}``);
        how often they cover is then not known: "covers" has a dash in every answer.

        Parameters
        ----------
        approaches : keys of ``isoflop.approach``; by default those of every report. Without all the
            laws of ``approaches.mixture.laws`` there is no mixture, and an approach is recommended.
        settings : section ``approaches`` of config.yaml, as far as it differs, by itself or under
            that key; laid over the sweep's.
        forecasts : whether each is also fitted below a cut and scored above it, which the
            recommendation rests on.
        threads : all cores by default.
        tell : is given a line before each step, such as ``print``.
        bootstrap : keys of ``approaches.bootstrap``, such as ``draws`` and ``interval``.

        Returns
        -------
        Estimates, or why an approach could not be fitted, their mixture, and the draws.
        """
        from isoflop.approaches.fit_approach import fit_approach
        from isoflop.approaches.mix_laws import mix_laws
        from isoflop.approaches.score_forecasts import score_forecasts
        from isoflop.config.approaches import ApproachesSettings
        from isoflop.config.by_sweep import laid_over
        from isoflop.config.reading import parse
        from isoflop.estimates.estimate import provenance
        from isoflop.reference import read_published_laws

        given = laid_over(self.settings, (settings or {}).get("approaches", settings or {}))
        given["bootstrap"] = {**given.get("bootstrap", {}), **bootstrap}
        chosen = parse(given, ApproachesSettings, name="settings")
        made = provenance([])
        outcomes, draws = {}, {}
        steps = [*(NAMES[approach] for approach in approaches)]
        steps += ["forecasts"] * forecasts + [MIXTURE.label]
        begun = iter(enumerate(steps, start=1))

        def begin() -> None:
            number, step = next(begun)
            if tell is not None:
                tell(f"{number} of {len(steps)}: {step}")

        for approach in approaches:
            begin()
            outcomes[approach], draws[approach] = fit_approach(
                self.losses,
                approach,
                chosen,
                sweep=self.name,
                provenance=made,
                published=read_published_laws(facts_folder()),
                left_out=self.left_out,
                threads=threads,
            )
        scored: Forecasts | NoForecasts = NoForecasts(
            sweep=self.name,
            settings=chosen,
            refused="forecasts were not asked for",
            provenance=made,
        )
        if forecasts:
            begin()
            scored = score_forecasts(
                self.losses, chosen, sweep=self.name, provenance=made, threads=threads
            )
        begin()
        mixture: Mixture | NoMixture
        missing = [law for law in chosen.mixture.laws if law not in outcomes]
        mixture_draws = pl.DataFrame()
        if missing:
            refused = f"{', '.join(missing)} of the laws to mix were not asked for"
            mixture = NoMixture(sweep=self.name, settings=chosen, refused=refused, provenance=made)
        else:
            mixture, mixture_draws = mix_laws(
                outcomes,
                {name: Draws.of(table) for name, table in draws.items()},
                scored,
                chosen,
                sweep=self.name,
                provenance=made,
                losses=self.losses,
            )
        return Fit(self, outcomes, draws, scored, mixture, mixture_draws)

    def __repr__(self) -> str:
        """Say what was read."""
        from isoflop.numbers import PLAIN, count, power, times

        n, c = self.losses["params_total"], self.losses["flops_6nd"]
        finals = self.losses.filter("is_final")
        text = (
            f"Sweep {self.name}: {times(finals.height, 'run')}, "
            f"{times(self.losses.height, 'point')}, N {_span(n, lambda v: count(v, hand=PLAIN))}, "
            f"C {_span(c, lambda v: power(v, hand=PLAIN))} FLOPs"
        )
        return text.replace("\N{NO-BREAK SPACE}", " ")

    def _repr_html_(self) -> str:
        return f"<p>{html(repr(self))}</p>"


def _span(values: pl.Series, write: Any) -> str:
    if values.is_empty():
        return "none"
    return interval(float(values.min()), float(values.max()), write)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Fit:
    """Approaches fitted to a sweep.

    Attributes
    ----------
    sweep : what they were fitted to.
    outcomes : estimate, or the reason why there is none, by approach.
    draws : tables of draws, by approach.
    forecasts : how each predicted the sweep's upper part; or why that was not tried.
    mixture, mixture_draws : what the laws of the loss say together, or why nothing; its draws.
    """

    sweep: Sweep
    outcomes: Mapping[Approach, Estimate | Refusal]
    draws: Mapping[Approach, pl.DataFrame]
    forecasts: Forecasts | NoForecasts
    mixture: Mixture | NoMixture
    mixture_draws: pl.DataFrame = field(repr=False)

    @property
    def estimates(self) -> dict[Approach, Estimate]:
        """The approaches that gave an estimate."""
        return {
            name: outcome
            for name, outcome in self.outcomes.items()
            if isinstance(outcome, Estimate)
        }

    @cached_property
    def _drawn(self) -> dict[Approach, Draws]:
        return {name: Draws.of(table) for name, table in self.draws.items()}

    @cached_property
    def _mixture_drawn(self) -> Draws:
        return Draws.of(self.mixture_draws)

    def allocate(
        self,
        flops: float | None = None,
        *,
        loss: float | None = None,
        params: float | None = None,
        tokens: float | None = None,
        tokens_per_param: float | None = None,
        ratio: float | None = None,
        served: float | None = None,
        unique: float | None = None,
    ) -> Answers:
        """Answer one question by the mixture, every approach and law, and the published laws.

        Parameters
        ----------
        flops : compute C [FLOP]; or, instead of it,
        loss, params, tokens, tokens_per_param : what the compute-optimal training is to have.
        ratio : tokens_per_param by the name that the command and the page give it.
        served : tokens served over the model's life, for what is cheapest in all.
        unique : unique tokens, for what is best where they are repeated; by the approach
            ``data_constrained``, if it was fitted.

        Returns
        -------
        The recommended answer first; ``str`` gives the table of ``isoflop allocate``.

        Raises
        ------
        IsoflopError : not exactly one was given; or unique tokens without their law.
        """
        if ratio is not None and tokens_per_param is not None:
            raise IsoflopError("ratio= and tokens_per_param= are one question: give one of them")
        return ask(
            one_target(
                flops=flops,
                loss=loss,
                params=params,
                tokens=tokens,
                tokens_per_param=ratio if tokens_per_param is None else tokens_per_param,
                words=(
                    "allocate(flops), or loss=, params=, tokens= or tokens_per_param= (ratio=)",
                    "fit.allocate(1e21)",
                ),
            ),
            sweep=self.sweep.name,
            outcomes=self.outcomes,
            draws=self._drawn,
            forecasts=self.forecasts,
            mixture=self.mixture,
            mixture_draws=self._mixture_drawn,
            reference=facts_folder(),
            served=served,
            unique=unique,
            by="unique=" if isinstance(self.outcomes.get(REPEATS), Estimate) else "",
        )

    def plot(self) -> Picture:
        """Draw the report's first figure: tokens per parameter at the optimum against compute.

        Raises
        ------
        IsoflopError : no approach could be fitted.
        """
        from isoflop.config.figures import FiguresSettings
        from isoflop.drawing import style
        from isoflop.figures.answer import draw
        from isoflop.figures.inputs import FigureInputs
        from isoflop.reference import read_reference
        from isoflop.tables import Specifications

        inputs = FigureInputs(
            sweep=self.sweep.name,
            losses=self.sweep.losses,
            runs=self.sweep.runs,
            estimates={
                name: outcome for name, outcome in self.outcomes.items() if name in APPROACHES
            },
            draws=self._drawn,
            laws={name: outcome for name, outcome in self.outcomes.items() if name in LAWS},
            law_draws={name: drawn for name, drawn in self._drawn.items() if name in LAWS},
            mixture=self.mixture,
            mixture_draws=self._mixture_drawn,
            forecasts=self.forecasts,
            specifications=pl.DataFrame(
                schema={name: column.dtype for name, column in Specifications.columns().items()}
            ),
            reference=read_reference(facts_folder()),
            settings=FiguresSettings(),
        )
        from matplotlib import rc_context

        style.register_fonts()
        with rc_context(style.RC):
            drawn = draw(inputs)
        if isinstance(drawn, style.NothingToShow):
            raise IsoflopError(drawn.reason)
        return Picture(drawn.figure, drawn.alt)

    def _lines(self) -> list[list[str]]:
        rows = []
        refused = {
            name: outcome.refused
            for name, outcome in self.outcomes.items()
            if not isinstance(outcome, Estimate)
        }
        once = {names[0]: (names, why) for names, why in told_once(refused).items()}
        labels = {names[0]: listed([NAMES[name] for name in names]) for names, _ in once.values()}
        named = [
            (labels.get(name, NAMES[name]), outcome)
            for name, outcome in self.outcomes.items()
            if name not in refused or name in once
        ]
        reasons = {labels[name]: why for name, (_, why) in once.items()}
        for name, outcome in [(MIXTURE.label, self.mixture), *named]:
            if isinstance(outcome, Estimate | Mixture):
                ends = outcome.a.intervals.get("0.95")
                rows.append([
                    name, fixed(outcome.a.value), interval(*ends, fixed) if ends else NONE,
                    number_of(outcome.n_runs, "run"),
                ])  # fmt: skip
            else:
                # why single laws have no part in the mixture stands in their rows
                why = outcome.summary if isinstance(outcome, NoMixture) else ""
                rows.append([name, "refused", "", reasons.get(name, why or outcome.refused)])
        return rows

    @property
    def against_all(self) -> str:
        """That the runs reject every law of the loss, or none forecast them; else empty."""
        return against_all(self.estimates, self.forecasts, self.mixture)

    @property
    def cautions(self) -> dict[Approach, list[str]]:
        """What a reader must know before using the numbers, by approach; those that have any."""
        return {name: fit.cautions for name, fit in self.estimates.items() if fit.cautions}

    def __repr__(self) -> str:
        """Give a and its 95 % interval by the mixture and every approach and law."""
        head = f"Fit of {self.sweep.name}: N_opt ~ C^a"
        lines = [head, *("  ".join(filter(None, row)) for row in self._lines())]
        against = [self.against_all] if self.against_all else []
        return "\n".join([*lines, *against, *self._cautioned()])

    def _cautioned(self) -> list[str]:
        """Say how many cautions there are and where, in a line; none without any."""
        number = sum(len(cautions) for cautions in self.cautions.values())
        if not number:
            return []
        return [f"{number} {'caution' if number == 1 else 'cautions'} of these fits: .cautions"]

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{html(cell)}</td>" for cell in row) + "</tr>"
            for row in self._lines()
        )
        return (
            f"<table><caption>Fit of {html(self.sweep.name)}: N<sub>opt</sub> ∝ C<sup>a</sup>"
            "</caption><thead><tr><th>Approach</th><th>a</th><th>95 %</th><th></th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
            + (f"<p>{html(self.against_all)}</p>" if self.against_all else "")
            + "".join(f"<p>{line}</p>" for line in self._cautioned())
        )


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure with the words for those who do not see it; notebooks show it as SVG."""

    figure: Figure
    alt: str

    def save(self, path: Path | str) -> None:
        """Write it, in the format that the name ends in: svg, pdf or png."""
        self.figure.savefig(path)

    def _repr_svg_(self) -> str:
        from isoflop.drawing.svg import alone

        return alone(self.figure, "answer")
