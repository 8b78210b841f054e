"""What the report was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop import __version__
from isoflop.approach import NAMES
from isoflop.escape import bibtex, code, code_block, markdown
from isoflop.numbers import listed
from isoflop.project import PUBLISHED
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs

SHORT = 16
"""Digits of a sha256 shown; the CSV has all."""


def provenance_table(inputs: ReportInputs) -> Table:
    """Tabulate the digests of every input, those that the estimates name included."""
    digests = dict(inputs.digests)
    for estimate in inputs.estimates.values():
        digests.update(estimate.provenance.inputs)
    rows = [[code(path), code(digest[:SHORT])] for path, digest in sorted(digests.items())]
    return Table(
        key="provenance",
        caption="Inputs, with the first digits of their sha256.",
        columns=(Column("File", "left"), Column("sha256", "left")),
        rows=rows,
        data_columns=("path", "sha256"),
        data=sorted(digests.items()),
        classes=" .dense",
    )


def versions(inputs: ReportInputs) -> str:
    """Say which version and git revision gave the estimates: once, where they are all of one."""
    made: dict[tuple[str, str], list[str]] = {}
    for name, estimate in inputs.estimates.items():
        provenance = estimate.provenance
        revision = (
            f"revision {code(provenance.git_revision)}"
            if provenance.git_revision
            else "outside git"
        )
        made.setdefault((provenance.version, revision), []).append(NAMES[name])
    if len(made) == 1:
        ((version, revision),) = made
        return f"All estimates: isoflop {version}, {revision}."
    return "\n".join(
        f"- {listed(names)}: isoflop {version}, {revision}."
        for (version, revision), names in made.items()
    )


def citation(inputs: ReportInputs) -> str:
    """Say how to cite the report, under which licence the logs are, and what archives it."""
    revisions = sorted(
        {estimate.provenance.git_revision or "" for estimate in inputs.estimates.values()}
    )
    revision = ", ".join(known for known in revisions if known)
    note = f"isoflop {__version__}" + (f", revision {revision}" if revision else "")
    sidecar = inputs.sidecar
    named = " and ".join(f"{{{bibtex(author)}}}" for author in sidecar.authors)
    entry = "\n".join([
        f"@misc{{isoflop-{bibtex(inputs.sweep, key=True)},",
        *([f"  author = {{{named}}},"] if named else []),
        *([f"  date = {{{inputs.day}}},", f"  year = {{{inputs.day.year}}},"]
          if inputs.day else []),
        f"  title = {{{{{bibtex(sidecar.title)}: compute-optimal allocation}}}},",
        f"  howpublished = {{Report of sweep {bibtex(inputs.sweep)}}},",
        f"  note = {{{bibtex(note)}}},",
        "}",
    ])  # fmt: skip
    licence = sidecar.licence
    lines = [
        f"Licence of the logs: {markdown(licence)}." if licence else "sweep.yaml names no licence.",
        "Cite this report, and the papers whose methods it uses (below), as",
        code_block(entry),
        _kept(inputs) + " Numbers for a paper: "
        "[numbers.tex](tables/numbers.tex) has a macro for each headline number, "
        "[columns.csv](tables/columns.csv) explains every column of the tables, "
        "[references.bib](tables/references.bib) has the works below.",
    ]
    return "\n\n".join(lines)


def _kept(inputs: ReportInputs) -> str:
    """Say where all that the report was made from is to be had."""
    if inputs.sweep.startswith(PUBLISHED):
        return (
            "The data are the study’s and not ours to pack: the [page of published studies]"
            "(../index.html) names files, addresses and digests, and `snakemake published` gets "
            "them and makes this report again."
        )
    return (
        "[An archive]{#archive} is made by whoever has the project: `python3 run.py archive` packs "
        "this report with its tables, figures, estimates, draws and raw logs into one file, in "
        "`archive/` beside this page."
    )
