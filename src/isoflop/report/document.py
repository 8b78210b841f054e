"""The report's Markdown: numbered figures and tables, and everything the template may name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from isoflop.approach import IN_PROSE, NAMES
from isoflop.escape import code, markdown, paragraphs
from isoflop.estimates.allocation import FARTHEST, REACH, UNKNOWN, reach
from isoflop.numbers import NONE, SHORT, count, fixed, interval, listed, number_of, power, times
from isoflop.project import PUBLISHED
from isoflop.report.render import environment, template_text
from isoflop.report.sections import (
    announced,
    answer,
    calibration,
    captions,
    check,
    comparison,
    constants,
    countings,
    curvature,
    data,
    diagnostics,
    first_screen,
    forecast,
    hypotheses,
    influence,
    laws,
    ledger,
    methods,
    plausibility,
    rates,
    schedules,
)
from isoflop.report.sections import provenance as sources
from isoflop.report.sections import specifications as curve
from isoflop.report.sections.study import study_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from isoflop.reference import FlopCount
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.sections.first_screen import FirstScreen
    from isoflop.report.tables import Table


GLOSSARY: Final = "[[glossary]]"
"""Stands for the glossary until the page is known."""
SIGNS: Final = {SHORT: SHORT, NONE: first_screen.WITHOUT}
"""Signs that the glossary explains, and how each is written where it needs that."""
STAND_INS: Final = (
    "**Caution:** a ? in the drawing stands for a character that its font lacks; the tables of "
    "this page have the name in full."
)
FIGURE_FILES: Final = ("svg", "pdf", "csv")
"""Files of each figure: drawn twice, and its numbers."""


@dataclass
class Numbering:
    """Numbers figures and tables in the order in which the template shows them."""

    inputs: ReportInputs
    figures: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def figure(self, name: str, caller: Callable[[], str]) -> str:
        """Show a figure with its caption, or say why this sweep has nothing to show in it."""
        shown = self.inputs.manifest[name]
        if not shown.shown:
            refused = [key for key, why in self.inputs.refused.items() if why == shown.reason]
            if refused:
                return _block(
                    "reason",
                    f"**No figure here:** {IN_PROSE[refused[0]]} was not fitted; the reason stands "
                    "below [the answer](#answer).",
                )
            return _reason("No figure here:", shown.reason)
        self.figures.append(name)
        caption = " ".join(caller().split())
        if shown.stand_ins:
            caption += f" {STAND_INS}"
        alt = markdown(shown.alt)
        identity = name.replace("_", "-")
        number = len(self.figures)
        links = " · ".join(f"[{kind.upper()}](figures/{name}.{kind})" for kind in FIGURE_FILES)
        files = f"[{links}]{{.links}}"
        return (
            f"\n\n![**Figure {number}.** {caption} {files}]({name}.svg)"
            f'{{#fig-{identity} alt="{alt}"}}\n\n'
        )

    def absent(self, name: str) -> str:
        """Say why a sweep has nothing to show in a figure; empty where it has."""
        shown = self.inputs.manifest[name]
        return "" if shown.shown else shown.reason

    def table(self, table: Table) -> str:
        """Show a table."""
        self.tables.append(table)
        return table.markdown(len(self.tables))

    def files(self) -> str:
        """List every file beside the page: tables, figures, and what serves a paper."""
        tables = [
            _files(f"Table {number}", "tables", table.key, ("csv", "tex"))
            for number, table in enumerate(self.tables, start=1)
        ]
        every = curve.specification_table(self.inputs).key
        tables.append(_files("Every specification", "tables", every, ("csv", "tex")))
        figures = [
            _files(f"Figure {number}", "figures", name, FIGURE_FILES)
            for number, name in enumerate(self.figures, start=1)
        ]
        others = [
            "[numbers.tex](tables/numbers.tex): a macro for each headline number",
            "[columns.csv](tables/columns.csv): what every column means",
            "[references.bib](tables/references.bib): the works below",
            "[figures.json](figures/figures.json): every figure in words",
            "[report.pdf](report.pdf): this page for print",
        ]
        lines = [f"- {file}" for file in (*tables, *figures, *others)]
        return "\n".join(
            ["", "::: {#files}", "**Data: every file of this report.**", "", *lines, ":::", ""]
        )


def _files(what: str, folder: str, name: str, kinds: tuple[str, ...]) -> str:
    links = (f"[{kind.upper()}]({folder}/{name}.{kind})" for kind in kinds)
    return f"{what}, {markdown(name)}: {' · '.join(links)}"


def _reason(what: str, reason: str) -> str:
    """Say why something is absent, as a paragraph of its own."""
    # what a room says of itself may be told in the middle of a sentence, and starts small
    sentence = re.sub(r"^[a-z]+(?= )", lambda first: first[0].capitalize(), reason)
    return _block("reason", f"**{what}** {data.words(sentence)}")


def callout(caller: Callable[[], str]) -> str:
    """Set a paragraph apart."""
    return _block("callout", caller().strip())


def _block(kind: str, text: str) -> str:
    """Fence a block, with the blank lines that a fence needs: a template may trim its own."""
    return f"\n\n::: {{.{kind}}}\n{text}\n:::\n\n"


@dataclass(frozen=True, slots=True)
class Document:
    """The report before it becomes HTML and PDF.

    Attributes
    ----------
    tables : every table in the text, and those too long for it, which are files alone.
    """

    markdown: str
    metadata: dict[str, str]
    tables: tuple[Table, ...]
    figures: tuple[str, ...]


def write_document(inputs: ReportInputs) -> Document:
    """Fill the template."""
    numbering = Numbering(inputs)
    screen = first_screen.first_screen(inputs)
    template = environment().get_template("report.md.j2")
    source = template.render(
        **_sections(inputs),
        **_published(inputs),
        inputs=inputs,
        screen=screen,
        cite=sources.citation(inputs),
        study=study_facts(inputs),
        home=home(inputs.sweep),
        names=NAMES,
        glossary=GLOSSARY,
        escape=markdown,
        paragraphs=paragraphs,
        code=code,
        callout=callout,
        reason=_reason,
        words=data.words,
        times=times,
        fixed=fixed,
        interval=interval,
        fig=numbering.figure,
        tbl=numbering.table,
        files=numbering.files,
        absent=numbering.absent,
    )
    source = source.replace(GLOSSARY, _glossary(source))
    tables = (*numbering.tables, curve.specification_table(inputs))
    return Document(
        markdown=source,
        metadata=_metadata(inputs, screen),
        tables=tables,
        figures=tuple(numbering.figures),
    )


def _glossary(page: str) -> str:
    """Give the glossary, of signs those that the page has."""
    lines = template_text("glossary.md").splitlines()
    missing = tuple(f"- **{sign}**" for sign, mark in SIGNS.items() if mark not in page)
    return "\n".join(line for line in lines if not missing or not line.startswith(missing))


def _metadata(inputs: ReportInputs, screen: FirstScreen) -> dict[str, str]:
    return {
        "title": screen.title,
        "pagetitle": f"{screen.title} · {inputs.sidecar.title}",
        "kind": f"Compute-optimal allocation · {inputs.sidecar.title} · sweep {inputs.sweep}",
        "subtitle": screen.subtitle,
        "sweep": inputs.sweep,
        "home": home(inputs.sweep),
        **({"study": f"../index.html#{inputs.study[0].study}"} if inputs.study else {}),
        "lang": "en-GB",
    }


def home(sweep: str) -> str:
    """Link to the index of all sweeps; a published sweep's report lies a folder deeper."""
    return "../../index.html" if sweep.startswith(PUBLISHED) else "../index.html"


def cited(inputs: ReportInputs) -> list[str]:
    """List the keys of all works that a report rests on, whether its text names them or not."""
    reference = inputs.reference
    known = (
        reference.hoffmann.citation,
        reference.kaplan.citation,
        reference.gopher_chinchilla.gopher_citation,
        reference.besiroglu.citation,
        *reference.effects.citations,
        *([] if inputs.unique_tokens is None else [reference.muennighoff.citation]),
    )
    return sorted({citation.key for citation in known})


def _sections(inputs: ReportInputs) -> dict[str, Any]:
    """Collect what comes from the sweep."""
    fitted = inputs.fitted
    extrapolated = comparison.this_sweep(inputs)
    return {
        "verdicts": [v for v in answer.verdicts(inputs) if v.name != IN_PROSE["kaplan"]],
        "exponent_table": answer.exponent_table(inputs),
        "calibration": calibration.calibration(inputs),
        "data": data.data_facts(inputs),
        "rates": rates.rate_sentences(inputs),
        "schedules": schedules.schedule_sentences(inputs),
        "budget_table": data.budget_table(inputs),
        "left_out_table": data.left_out_table(inputs),
        "checks": plausibility.checks(inputs),
        "run_table": data.run_table(inputs),
        "envelope": diagnostics.envelope_facts(fitted["envelope"])
        if "envelope" in fitted
        else None,
        "profiles_along": diagnostics.profiles_along(fitted.get("profiles")),
        "parametric": (
            diagnostics.parametric_facts(fitted["parametric"]) if "parametric" in fitted else None
        ),
        "constants_table": constants.constants_table(inputs),
        "hypotheses": hypotheses.hypothesis_facts(fitted.get("parametric")),
        "hypotheses_table": hypotheses.exponents_test_table(fitted.get("parametric")),
        "methods": methods.methods(inputs),
        "curvature_table": curvature.curvature_table(inputs),
        "curvature_sentences": curvature.curvature_sentences(inputs),
        "fit_table": diagnostics.fit_table(inputs),
        "influence_table": influence.influence_table(inputs),
        "laws": laws.law_facts(inputs),
        "recounted": countings.counting_sentences(inputs),
        "countings_table": countings.counting_table(inputs),
        "no_laws": laws.why_no_laws(inputs),
        "forecast": forecast.forecast_facts(inputs),
        "analysis": curve.analysis(inputs),
        "announced": announced.announced_facts(inputs),
        "announced_pair": announced.pair_facts(inputs),
        "check": check.check_pair(inputs),
        "finding": captions.findings(inputs),
        "loss_table": comparison.loss_table(inputs),
        "sweep_decades": fixed(comparison.beyond(inputs, extrapolated), 1) if extrapolated else "",
        "sweep_counts": comparison.other_counts(extrapolated) if extrapolated else "",
        "ledger_table": ledger.ledger_table(inputs),
        "versions": sources.versions(inputs),
        "provenance_table": sources.provenance_table(inputs),
    }


def _published(inputs: ReportInputs) -> dict[str, Any]:
    """Collect what comes from the papers."""
    reference = inputs.reference
    hoffmann, facts = reference.hoffmann, reference.gopher_chinchilla
    budget = inputs.reference.gopher_budget
    laws = {
        "printed": hoffmann.printed_law,
        "tex": hoffmann.law,
        "besiroglu": reference.besiroglu.law,
    }
    optima = {
        f"{name}_{what}": count(float(getattr(law, f"{what}_opt")(budget)))
        for name, law in laws.items()
        for what in ("params", "tokens")
    }
    trained = [
        f"{m.name} ({count(m.params, 2)} parameters, {count(m.tokens, 2)} tokens)"
        for m in facts.models.rows
    ]
    return {
        **optima,
        "hoffmann": hoffmann,
        "third": next(row for row in hoffmann.exponents.rows if row.approach == "parametric"),
        "kaplan_c": fixed(reference.kaplan.single_laws.alpha_C),
        "kaplan_c_min": fixed(reference.kaplan.single_laws.alpha_C_min),
        "contain": lambda number: f"{number} {'contains' if number == 1 else 'contain'}",
        "kaplan_p": fixed(reference.kaplan.optimal_allocation.p_N, 2),
        "hoffmann_a": fixed(curve.published_exponents(reference)[0], 2),
        "gopher_budget": power(budget),
        "gopher_reached": any(
            reach(comparison.beyond(inputs, estimate)) != UNKNOWN
            for estimate in inputs.fitted.values()
        ),
        "reach_words": _reach_words(),
        "farthest": fixed(FARTHEST, 0),
        "models": listed(trained),
        "gopher_counts": _counts(facts.gopher_flops),
        "chinchilla_counts": _counts(facts.chinchilla_flops),
        "mmlu_rows": len(facts.mmlu.rows),
        "mmlu_wins": facts.mmlu.wins(),
        "bigbench_rows": len(facts.bigbench.rows),
        "bigbench_wins": facts.bigbench.wins(),
    }


def _reach_words() -> str:
    """Say up to which distance an answer gets which word."""
    (nearest, first), *others, (_, last) = REACH
    told = [f"up to {fixed(decades, 0)} “{words}”" for decades, words in others]
    return (
        f"Up to {number_of(round(nearest), 'decade')} of compute beyond the largest fitted run an "
        f"answer is called “{first}”, {listed(told)}; further out {last}."
    )


def _counts(counted: Mapping[str, FlopCount]) -> str:
    """List the published counts of one training's compute, each with who counted."""
    sentences = [
        f"{power(item.flops)} (" + ("6*ND*" if key == "6nd" else item.source) + ")"
        for key, item in counted.items()
    ]
    return listed(sentences)
