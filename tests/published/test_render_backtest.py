"""The page of the backtest shows every candidate and every forecast, and loads nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from isoflop.config.approaches import ApproachesSettings
from isoflop.estimates.backtest import Backtest, Candidate, Cell, CellScore, Choice, Gamma
from isoflop.laws import KaplanLaw
from isoflop.published.render_backtest import render_backtest
from tests.outputs import html_text, leaks

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.published.catalogue import Catalogue

LEVELS = {"0.8": 0.81, "0.95": 0.93}


KAPLAN = KaplanLaw(N_c=6.4e13, D_c=1.8e13, alpha_N=0.076, alpha_D=0.103)


def backtest() -> Backtest:
    score = CellScore(
        bias=0.01, rms=0.0234, inside=LEVELS, width=LEVELS, interval_score=LEVELS, weights={}
    )
    keys = {"parametric": "Chinchilla <law>", "mixture": "Mixture: all; equal"}
    return Backtest(
        settings=ApproachesSettings(),
        draws=40,
        default="mixture",
        candidates=[
            Candidate(
                key=key, label=label, kind="law", cells=2, rms_ratio=0.75, rms_ratio_by_study=0.7,
                interval_score_ratio=0.6, interval_score_ratio_by_study=0.5, rms=0.0234,
                interval_score=0.1, bias=0.0, inside=LEVELS, inside_by_study=LEVELS, width=LEVELS,
            )
            for key, label in keys.items()
        ],
        at_minima=[
            Candidate(
                key="profiles", label="Approach 2's line", kind="line", cells=1, rms_ratio=1.5,
                rms_ratio_by_study=1.5, interval_score_ratio=1.5,
                interval_score_ratio_by_study=1.5, rms=0.0567, interval_score=0.1, bias=0.0,
                inside=LEVELS, inside_by_study=LEVELS, width=LEVELS,
            )
        ],
        choices=[
            Choice(
                study="a", laws=["parametric"], rms_ratio=0.8, interval_score_ratio=0.7,
                interval_score=0.1, inside=LEVELS,
            )
        ],
        gammas=[
            Gamma(
                sweep="a1", study="a", gamma=0.4, E=1.5, points=30,
                draws=[(1.4, 0.35), (1.6, 0.5)],
            )
        ],
        exponents=[],
        priors=[],
        cells=[
            Cell(
                sweep="a1", study="a", hidden="upper half", flops=1e18, seen=20, predicted=10,
                scores=dict.fromkeys(keys, score), minima={"profiles": score}, n_minima=3,
                refused={},
            )
        ],
        left_out={"gone": "too <few> runs"},
    )  # fmt: skip


def test_page_has_every_number_and_loads_nothing(tmp_path: Path) -> None:
    out = tmp_path / "backtest.html"
    render_backtest(backtest(), out, kaplan=KAPLAN)
    page = out.read_text()
    assert leaks(html_text(out)) == []
    assert "Chinchilla &lt;law&gt;" in page
    assert "too &lt;few&gt; runs" in page
    assert "0.0234" in page
    assert "0.0567" in page
    # the laws that others chose, by their names
    assert "<td>Chinchilla &lt;law&gt;</td>" in page
    assert "3 minima of\n1 forecasts" in page
    assert not re.search(r"<(?:script|link|img|iframe)\b|@import|url\((?!\"data:|#)", page)
    render_backtest(backtest(), tmp_path / "again.html", kaplan=KAPLAN)
    assert (tmp_path / "again.html").read_bytes() == out.read_bytes()


def test_nothing_to_show_is_a_page_too(tmp_path: Path) -> None:
    empty = backtest().model_copy(
        update={
            "candidates": [],
            "at_minima": [],
            "cells": [],
            "choices": [],
            "gammas": [],
            "left_out": {},
        }
    )
    render_backtest(empty, tmp_path / "empty.html", kaplan=KAPLAN)
    assert "There is one study only." in (tmp_path / "empty.html").read_text()


def test_every_sweep_that_is_read_says_how_it_takes_part(catalogue: Catalogue) -> None:
    read = [
        sweep for study in catalogue.studies for sweep in study.sweeps if sweep.sidecar is not None
    ]
    assert [sweep.name for sweep in read if sweep.backtest is None] == []
    assert sum(sweep.backtest.left_out is None for sweep in read if sweep.backtest) == 12
