"""What the report was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop.approach import NAMES
from isoflop.escape import code
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


def versions(inputs: ReportInputs) -> list[tuple[str, str, str]]:
    """Give approach, version and git revision of every estimate."""
    return [
        (
            NAMES[name],
            estimate.provenance.version,
            estimate.provenance.git_revision or "outside git",
        )
        for name, estimate in inputs.estimates.items()
    ]
