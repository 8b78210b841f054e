"""The page that puts every sweep beside the papers."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from isoflop.approach import APPROACHES, NAMES
from isoflop.drawing import style, svg
from isoflop.escape import BREAK, link, markdown
from isoflop.estimates.estimate import Estimate
from isoflop.files import write_text
from isoflop.numbers import NONE, fixed, interval, power, with_intervals
from isoflop.report import downstream_figure
from isoflop.report.render import environment, to_html
from isoflop.report.sections import downstream
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isoflop.approach import Approach
    from isoflop.config.sidecar import SweepFile
    from isoflop.estimates.estimate import Refusal
    from isoflop.reference import Reference
    from isoflop.report.tables import Value


@dataclass(frozen=True, slots=True)
class IndexedSweep:
    """One sweep as the index shows it."""

    name: str
    sidecar: SweepFile
    estimates: Mapping[Approach, Estimate | Refusal]

    @property
    def fitted(self) -> dict[Approach, Estimate]:
        """The approaches that gave an estimate."""
        return {
            name: value for name, value in self.estimates.items() if isinstance(value, Estimate)
        }


def render_index(sweeps: Sequence[IndexedSweep], reference: Reference, out: Path) -> None:
    """Write reports/index.html.

    Parameters
    ----------
    sweeps : every sweep, in the order in which they are shown.
    reference : the published facts they stand beside.
    out : page to write; links lead to {sweep}/report.html beside it.
    """
    drawn = _downstream_figure(reference)
    source = (
        environment()
        .get_template("index.md.j2")
        .render(
            sweeps=sweeps,
            escape=markdown,
            link=link,
            exponents=_exponents(sweeps, reference).markdown(1, files=False),
            headline=downstream.headline_table(reference).markdown(2, files=False),
            summary=downstream.summary_table(reference).markdown(3, files=False),
            downstream_words=markdown(drawn.alt),
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
        svg.save(drawn.figure, Path(folder), "downstream")
        write_text(out, to_html(source, metadata, Path(folder)))


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


def _exponents(sweeps: Sequence[IndexedSweep], reference: Reference) -> Table:
    """Tabulate a by approach, one row per sweep, then one per paper."""
    rows = [_sweep_row(sweep) for sweep in sweeps]
    hoffmann = reference.hoffmann.exponents
    rows.append([
        "Hoffmann et al. 2022, Table 2",
        *(f"{fixed(row.a, 2)} {BREAK} [80 %: {interval(*row.a_interval, fixed)}]{{.ci}}"
          for row in hoffmann.rows),
        NONE,
    ])  # fmt: skip
    besiroglu = reference.besiroglu.a
    spread = f"±{fixed(besiroglu.standard_error)} (s.e.)"
    rows.append([
        "Besiroglu et al. 2024", NONE, NONE,
        f"{fixed(besiroglu.value)} {BREAK} [{spread}]{{.ci}}", NONE,
    ])  # fmt: skip
    kaplan = reference.kaplan.optimal_allocation
    rows.append(["Kaplan et al. 2020", NONE, NONE, NONE, fixed(kaplan.p_N, 2)])
    data: list[list[Value]] = []
    return Table(
        key="sweeps",
        caption="Exponent *a* of *N*~opt~ ∝ *C*^*a*^ by approach, with intervals.",
        columns=(
            Column("Sweep or paper", "left"),
            *(Column(NAMES[approach]) for approach in APPROACHES),
        ),
        rows=rows,
        data_columns=(),
        data=data,
        classes=" .wide",
    )


def _sweep_row(sweep: IndexedSweep) -> list[str]:
    """Write one sweep's row; a refused approach says so."""
    fitted = sweep.fitted
    ranges = [estimate.flops_range for estimate in fitted.values()]
    span = ""
    if ranges:
        low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
        span = f" {BREAK} [*C* of {power(low, 2)} to {power(high, 2)} FLOPs]{{.ci}}"
    cells = [
        with_intervals(fitted[name].a, fixed, (0.8, 0.95)) if name in fitted else "refused"
        for name in APPROACHES
    ]
    page = link(sweep.name, "report.html")
    return [f"**[{markdown(sweep.sidecar.title)}]({page})**{span}", *cells]
