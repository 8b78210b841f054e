"""The report of a published study's sweep: its numbers, counted, and its way back to the others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from isoflop.errors import ConfigError
from isoflop.estimates.published_numbers import read_numbers, write_numbers
from isoflop.report.document import write_document
from isoflop.report.read_inputs import _study
from isoflop.report.sections.provenance import citation
from isoflop.report.sections.study import study_facts
from tests.report.study import number

if TYPE_CHECKING:
    from pathlib import Path

    from tests.report.conftest import Rendered


ROWS = [
    number("near"),
    number("reproduced", recomputed=True),
    number("not reproduced", reproduced=None, difference=None, refused="too few runs"),
    number("reproduced", sweep=None),
]


def test_a_studys_numbers_are_counted_in_its_report(rendered: Rendered) -> None:
    inputs = replace(rendered.inputs, sweep="published/first", study=ROWS)
    facts = study_facts(inputs)
    assert facts is not None
    said = facts.summary.replace("\xa0", " ")
    assert (
        "Of 3 published numbers 1 reproduced, 1 near and 1 not reproduced; of 1 recomputed" in said
    )
    assert "The table has the 3 numbers that were found in this sweep" in said
    assert facts.table is not None
    assert [row[-1] for row in facts.table.rows] == ["near", "reproduced", "not reproduced"]
    assert facts.table.rows[0][2:6] == ["0.513", "0.51362", "+0.00062", "0.01"]
    assert facts.table.rows[2][3:5] == ["—", "—"]
    document = write_document(inputs)
    assert "{#study}" in document.markdown
    assert "0.51362" in document.markdown
    assert document.metadata["home"] == "../../index.html"
    assert document.metadata["study"] == "../index.html#one"
    assert "](../../index.html#downstream)" in document.markdown
    assert "run.py archive" not in citation(inputs)
    assert "snakemake published" in citation(inputs)


def test_numbers_of_other_sweeps_make_no_table(rendered: Rendered) -> None:
    inputs = replace(rendered.inputs, sweep="published/second", study=ROWS)
    facts = study_facts(inputs)
    assert facts is not None
    assert facts.table is None
    markdown = write_document(inputs).markdown
    assert "{#study}" in markdown
    assert "0.51362" not in markdown


def test_a_sweep_of_no_study_tells_of_none(rendered: Rendered) -> None:
    assert study_facts(rendered.inputs) is None
    document = write_document(rendered.inputs)
    assert "{#study}" not in document.markdown
    assert "study" not in document.metadata
    assert document.metadata["home"] == "../index.html"
    assert "run.py archive" in citation(rendered.inputs)


def test_a_sweep_reads_the_numbers_of_its_own_study(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_numbers([*ROWS, number("near", study="two", reports=("third",))], path)
    assert _study("published/second", path) == tuple(ROWS)
    assert [row.study for row in _study("published/third", path)] == ["two"]
    assert _study("mine", None) == ()


def test_a_number_with_another_key_or_without_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_numbers(ROWS, path)
    assert read_numbers(path) == tuple(ROWS)
    rows = json.loads(path.read_text(encoding="utf-8"))
    # renamed by the writer alone: the report says so, and prints no dash in its place
    rows[1]["differences"] = rows[1].pop("difference")
    path.write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_numbers(path)
    assert "key 'difference' in numbers.1 is missing" in str(caught.value)
    assert "unknown key 'differences' in numbers.1; did you mean" in str(caught.value)
