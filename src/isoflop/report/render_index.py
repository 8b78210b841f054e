"""The page that puts every sweep beside the papers."""

from __future__ import annotations

import csv
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.approach import APPROACHES, MIXTURE, NAMES
from isoflop.counting import SIZES
from isoflop.drawing import exponents, style, svg
from isoflop.escape import BREAK, link, markdown
from isoflop.estimates.estimate import Estimate
from isoflop.estimates.mixture import Mixture
from isoflop.files import write_text
from isoflop.numbers import (
    NONE,
    count,
    fixed,
    interval,
    listed,
    power,
    ratio,
)
from isoflop.project import PUBLISHED
from isoflop.published_laws import published_exponents
from isoflop.report import downstream_figure
from isoflop.report.render import environment, to_html
from isoflop.report.sections import downstream
from isoflop.report.sections.study import counted
from isoflop.report.tables import Column, Table, sorted_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isoflop.approach import Approach
    from isoflop.config.sidecar import SweepFile
    from isoflop.estimates.estimate import Refusal
    from isoflop.estimates.mixture import NoMixture
    from isoflop.estimates.published_numbers import PublishedNumber
    from isoflop.reference import Reference
    from isoflop.report.tables import Value

LEVEL: Final = "0.95"
"""Confidence level of the intervals."""


@dataclass(frozen=True, slots=True)
class IndexedSweep:
    """One sweep as the index shows it.

    Attributes
    ----------
    runs : table of ingest-sweep.
    mixture : of the laws of the loss, or why there is none.
    answers : rows of its report's tables/answer.csv, the recommended one first; empty where nothing
        could be fitted.
    """

    name: str
    sidecar: SweepFile
    estimates: Mapping[Approach, Estimate | Refusal]
    runs: pl.DataFrame
    mixture: Mixture | NoMixture
    answers: Sequence[Mapping[str, str]] = ()

    @property
    def fitted(self) -> dict[Approach, Estimate]:
        """The approaches that gave an estimate."""
        return {
            name: value for name, value in self.estimates.items() if isinstance(value, Estimate)
        }


def read_answers(tables: Path) -> list[dict[str, str]]:
    """Read a report's answer.csv; nothing where the report has none, since nothing was fitted."""
    path = tables / "answer.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def render_index(
    sweeps: Sequence[IndexedSweep],
    reference: Reference,
    out: Path,
    published: Sequence[PublishedNumber] = (),
    of_studies: Sequence[IndexedSweep] = (),
) -> None:
    """Write reports/index.html.

    Parameters
    ----------
    sweeps : every sweep, in the order in which they are shown.
    reference : the published facts they stand beside.
    out : page to write; links lead to {sweep}/report.html beside it.
    published : numbers of the published studies, where these were built.
    of_studies : their sweeps that have a report.
    """
    drawn = _downstream_figure(reference)
    forest = exponents.draw(_groups(sweeps, reference, published))
    source = (
        environment()
        .get_template("index.md.j2")
        .render(
            sweeps=sweeps,
            escape=markdown,
            link=link,
            sweeps_table=_sweeps_table(sweeps, reference, published, of_studies).markdown(
                1, files=False
            ),
            published=bool(published),
            headline=downstream.headline_table(reference).markdown(2, files=False),
            summary=downstream.summary_table(reference).markdown(3, files=False),
            downstream_words=markdown(drawn.alt),
            forest_words=markdown(forest.alt),
            count=len(sweeps),
            **_downstream_numbers(reference),
        )
    )
    metadata = {
        "title": "Compute-optimal allocation",
        "pagetitle": "Compute-optimal allocation: every sweep beside the papers",
        "kind": "isoflop",
        "subtitle": "Every sweep beside Hoffmann et al. (2022), Besiroglu et al. (2024) and Kaplan "
        "et al. (2020).",
        "lang": "en-GB",
    }
    with tempfile.TemporaryDirectory() as folder:
        svg.save_svg(drawn.figure, Path(folder), "downstream")
        svg.save_svg(forest.figure, Path(folder), "forest")
        write_text(out, to_html(source, metadata, Path(folder)))


def _groups(
    sweeps: Sequence[IndexedSweep], reference: Reference, published: Sequence[PublishedNumber]
) -> list[exponents.Group]:
    """List the exponents of every sweep, of every study that was built, and of the papers."""
    listed = [
        exponents.of_sweep(
            sweep.sidecar.title, {name: sweep.estimates[name] for name in APPROACHES}, sweep.mixture
        )
        for sweep in sweeps
    ]
    by_study: dict[str, list[exponents.Line]] = {}
    for row in published:
        if row.exponent is not None:
            by_study.setdefault(row.title, []).append(exponents.of_drawn(row.exponent))
    listed += [exponents.Group(title, tuple(lines)) for title, lines in by_study.items()]
    listed.append(exponents.of_papers(reference))
    return [group for group in listed if group.lines]


def _downstream_figure(reference: Reference) -> style.Drawn:
    from matplotlib import rc_context

    style.register_fonts()
    with rc_context(style.RC):
        return downstream_figure.draw(reference.gopher_chinchilla)


def _downstream_numbers(reference: Reference) -> dict[str, object]:
    """Count and average the rows of the published tables."""
    facts = reference.gopher_chinchilla
    printed = {row.task: row for row in facts.headline.rows}
    return {
        "mmlu_rows": len(facts.mmlu.rows),
        "mmlu_wins": facts.mmlu.wins(),
        "mmlu_mean": fixed(facts.mmlu.mean("gopher"), 1),
        "mmlu_printed": fixed(printed["MMLU 5-shot avg"].gopher, 1),
        "bigbench_rows": len(facts.bigbench.rows),
        "bigbench_wins": facts.bigbench.wins(),
        "bigbench_mean": fixed(facts.bigbench.mean("chinchilla"), 1),
        "bigbench_printed": fixed(printed["BIG-bench avg (62)"].chinchilla, 1),
    }


def _sweeps_table(
    sweeps: Sequence[IndexedSweep],
    reference: Reference,
    published: Sequence[PublishedNumber],
    of_studies: Sequence[IndexedSweep],
) -> Table:
    """Tabulate recommendation and exponents: a row per sweep, then one per paper and study."""
    rows = [_sweep_row(sweep) for sweep in sweeps]
    rows.append([
        "Hoffmann et al. 2022, Table 2", NONE, NONE,
        *(
            _exponent(row.a, row.a_interval, partial(fixed, decimals=2))
            for row in reference.hoffmann.exponents.rows
        ),
        *[NONE] * 4,
    ])  # fmt: skip
    papers = published_exponents(reference.hoffmann, reference.besiroglu, reference.kaplan)
    (besiroglu,) = (row for row in papers if row.a95 is not None)
    rows.append([
        besiroglu.source, *[NONE] * 4, _exponent(besiroglu.a, besiroglu.a95), *[NONE] * 4,
    ])  # fmt: skip
    kaplan = reference.kaplan.optimal_allocation.p_N
    rows.append([
        "Kaplan et al. 2020", *[NONE] * 5, sorted_by(fixed(kaplan, 2), kaplan), *[NONE] * 3,
    ])  # fmt: skip
    rows += _study_rows(published, {sweep.name: sweep for sweep in of_studies})
    data: list[list[Value]] = []
    return Table(
        key="sweeps",
        caption="Every sweep with what its report recommends, and the exponent *a* of "
        "*N*~opt~ ∝ *C*^*a*^ by the mixture of laws and by approach, "
        "each with its 95 % interval, a dash where none is given; below them the papers, "
        "Hoffmann’s with the 10th to 90th percentile"
        + (", and the studies that were built again from their data." if published else "."),
        columns=(
            Column("Sweep or study", "left"),
            Column("Recommended", "left"),
            Column(f"*a*, {MIXTURE.label.lower()}"),
            *(Column(f"*a*, {NAMES[approach]}") for approach in APPROACHES),
            Column("Runs"),
            Column("Budgets"),
            Column("State", "left"),
        ),
        rows=rows,
        data_columns=(),
        data=data,
        classes=" .wide .sortable",
    )


def _sweep_row(sweep: IndexedSweep) -> list[str]:
    """Write one sweep's row; a refused approach says so."""
    fitted = sweep.fitted
    cells = [
        _exponent(fitted[name].a.value, fitted[name].a.intervals.get(LEVEL))
        if name in fitted
        else "refused"
        for name in APPROACHES
    ]
    runs = sweep.runs.filter((pl.col("role") == "fit") & ~pl.col("excluded"))
    budgets = runs["budget"].drop_nulls().unique().sort()
    span = NONE
    if budgets.len():
        # on two lines, so that no column is beyond a usual window
        low, high = (power(budgets[place], 2) for place in (0, -1))
        ends = f"[{low} to]{{.ci}} {BREAK} [{high}]{{.ci}}"
        span = sorted_by(f"{budgets.len()} {BREAK} {ends}", budgets.len())
    refused = [NAMES[name] for name in APPROACHES if name not in fitted]
    folder = sweep.name.split("/")
    return [
        f"**[{markdown(sweep.sidecar.title)}]({link(*folder, 'report.html')})** {BREAK} "
        f"[[PDF]({link(*folder, 'report.pdf')})]{{.ci}}",
        _recommended(sweep),
        _mixed(sweep.mixture),
        *cells,
        sorted_by(str(runs.height), runs.height),
        span,
        f"{listed(refused)} refused" if refused else "complete",
    ]


def _mixed(mixture: Mixture | NoMixture) -> str:
    """Write the mixture's exponent; a sweep without laws to mix says so."""
    if not isinstance(mixture, Mixture):
        return "none"
    return _exponent(mixture.a.value, mixture.a.intervals.get(LEVEL))


def _exponent(
    value: float, ends: tuple[float, float] | None, write: Callable[[float], str] = fixed
) -> str:
    """Write an exponent above its interval; a dash below it where none is given."""
    below = NONE if ends is None else interval(*ends, write)
    return sorted_by(f"{write(value)} {BREAK} [{below}]{{.ci}}", value)


def _sizes(first: Mapping[str, str], name: str) -> str:
    """Write a count of answer.csv with its 95 % interval, where it has one."""
    ends = [first.get(f"{name}_lo95"), first.get(f"{name}_hi95")]
    written = count(float(first[name]))
    if not all(ends):
        return written
    low, high = (float(end) for end in ends if end)
    return f"{written} ({interval(low, high, count)})"


def _recommended(sweep: IndexedSweep) -> str:
    """Write a report's recommendation as its answer.csv has it."""
    if not sweep.answers:
        return "none: nothing could be fitted"
    first = sweep.answers[0]
    flops, params, per_param = (
        float(first[name]) for name in ("flops", "params", "tokens_per_param")
    )
    # a study's report may be of an earlier version, whose tables did not say
    counted = SIZES[first.get("params_counted", "total")]
    shown = (
        f"{_sizes(first, 'params')} {counted}, {_sizes(first, 'tokens')} tokens {BREAK} "
        f"[at {power(flops)} FLOPs; *D*/*N* = {ratio(per_param)}]{{.ci}}"
    )
    if against := first.get("against_all"):
        shown += f" {BREAK} [{markdown(against)}]{{.ci}}"
    return sorted_by(shown, params)


def _study_rows(
    published: Sequence[PublishedNumber], of_studies: Mapping[str, IndexedSweep]
) -> list[list[str]]:
    """Write a row per study, with what of its numbers came out, and one for each of its reports."""
    studies: dict[str, list[PublishedNumber]] = {}
    for row in published:
        studies.setdefault(row.study, []).append(row)
    written = []
    for name, rows in studies.items():
        page = f"[{markdown(rows[0].title)}](published/index.html#{name})"
        written.append([page, *[NONE] * 8, counted(rows).rstrip(".")])
        names = [f"{PUBLISHED}{report}" for report in rows[0].reports]
        written += [_sweep_row(of_studies[report]) for report in names if report in of_studies]
    return written
