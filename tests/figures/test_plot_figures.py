"""All figures of a made-up sweep: complete, accessible, the same bytes twice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl
import pytest
from matplotlib import rc_context

from isoflop.drawing.data import COLUMNS
from isoflop.drawing.manifest import read_manifest
from isoflop.drawing.style import RC, Drawn
from isoflop.estimates.forecasts import Prediction
from isoflop.figures.plot_figures import FIGURES, plot_figure, plot_figures
from tests import example_sweep
from tests.conftest import ROOT
from tests.figures.conftest import drawn
from tests.outputs import leaks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.figures.conftest import Plotted

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_and_told_in_words(plotted: Plotted, name: str) -> None:
    said = plotted.manifest[name]
    assert said.shown, said.reason
    assert len(said.alt) > 60
    assert said.alt.endswith(".")
    assert leaks(said.alt) == []
    assert (plotted.folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", FIGURES)
def test_the_numbers_of_a_figure_are_those_of_its_drawing(plotted: Plotted, name: str) -> None:
    rows = pl.read_csv(plotted.folder / f"{name}.csv", infer_schema_length=None)
    assert rows.columns == list(COLUMNS)
    assert rows.height > 0
    assert rows["x_axis"].null_count() == 0
    # a series is a group of the SVG; of a contour its level stands behind
    root = ET.parse(plotted.folder / f"{name}.svg").getroot()  # noqa: S314  our own
    groups = {element.attrib.get("id", "").removeprefix(f"{name}-") for element in root.iter()}
    assert {series.partition("contours-")[0] or "contours" for series in rows["series"]} <= groups
    figure = drawn(FIGURES[name], plotted.inputs).figure
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert set(rows["panel"]) == set(range(1, len(panels) + 1))
    # and nothing that is drawn is left out
    for number, axes in enumerate(panels, start=1):
        told = set(rows.filter(pl.col("panel") == number)["series"])
        for line in axes.lines:
            places = line.get_xydata()
            if line.get_gid() is not None and np.isfinite(places).all(axis=1).any():
                assert line.get_gid() in told
    shown = plotted.manifest[name].runs
    assert set(rows["run"].drop_nulls()) == {run for runs in shown.values() for run in runs}


def test_a_curve_s_numbers_are_the_losses(plotted: Plotted) -> None:
    rows = pl.read_csv(plotted.folder / "training_curves.csv", infer_schema_length=None)
    run = rows["run"].drop_nulls()[0]
    curve = plotted.inputs.losses.filter(pl.col("run") == run).sort("tokens")
    drawn = rows.filter(pl.col("run") == run)
    assert drawn["x"].to_list() == curve["flops_6nd"].to_list()
    assert drawn["y"].to_list() == curve["loss"].to_list()


@pytest.mark.parametrize("name", FIGURES)
def test_all_that_lies_at_numbers_has_a_name(plotted: Plotted, name: str) -> None:
    """What has none is left out of the figure's CSV."""
    for axes in drawn(FIGURES[name], plotted.inputs).figure.axes:
        if axes.get_label() == "<colorbar>":
            continue
        for artist in (*axes.lines, *axes.collections):
            at_numbers = artist.get_transform().contains_branch_seperately(axes.transData)
            assert artist.get_gid() is not None or not all(at_numbers), artist


@pytest.mark.parametrize("name", FIGURES)
def test_svgs_can_share_a_page(plotted: Plotted, name: str) -> None:
    text = (plotted.folder / f"{name}.svg").read_text(encoding="utf-8")
    root = ET.fromstring(text)  # noqa: S314  our own file
    identities = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(identities) == len(set(identities))
    assert all(identity.startswith(f"{name}-") for identity in identities)
    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert {a or b for a, b in references} <= set(identities)


@pytest.mark.parametrize("name", FIGURES)
def test_svgs_carry_no_date_and_no_path_of_this_machine(plotted: Plotted, name: str) -> None:
    text = (plotted.folder / f"{name}.svg").read_text(encoding="utf-8")
    assert "<dc:date>" not in text
    assert "/home/" not in text
    assert "/tmp" not in text  # noqa: S108


@pytest.mark.parametrize("name", ["isoflop_profiles", "exponents", "parametric_fit"])
def test_two_builds_give_the_same_bytes(plotted: Plotted, name: str, tmp_path: Path) -> None:
    plot_figure(name, plotted.inputs, tmp_path)
    for suffix in ("svg", "pdf"):
        again = (tmp_path / f"{name}.{suffix}").read_bytes()
        assert again == (plotted.folder / f"{name}.{suffix}").read_bytes()


def test_processes_change_no_byte(
    plotted: Plotted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # two for the time that they take; another process has all and is told which
    for name in set(FIGURES) - {"design", "exponents"}:
        monkeypatch.delitem(FIGURES, name)
    plot_figures(plotted.inputs, tmp_path, processes=2)
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {
        "figures.json",
        *(f"{name}.{end}" for name in FIGURES for end in ("svg", "pdf", "csv")),
    }
    for name in drawn - {"figures.json"}:
        assert (tmp_path / name).read_bytes() == (plotted.folder / name).read_bytes(), name
    assert read_manifest(tmp_path) == {name: plotted.manifest[name] for name in FIGURES}


KILLED = """
import sys
from pathlib import Path
from isoflop.figures.plot_figures import plot_figures
from tests import example_sweep
from tests.conftest import ROOT
if __name__ == "__main__":
    inputs = example_sweep.Paths.below(Path(sys.argv[1])).figure_inputs()
    plot_figures(inputs, Path(sys.argv[2]), processes=2)
"""


def test_a_kill_ends_all_drawing_and_leaves_no_folder_of_some_figures(
    paths: example_sweep.Paths, tmp_path: Path
) -> None:
    """What is there under its own name counts as every figure: Snakemake keeps no note of a job
    that failed, and the processes that drew for it must not write after it has cleaned up."""
    (tmp_path / "draw.py").write_text(KILLED)
    folder = tmp_path / "reports" / "figures"
    words = [sys.executable, tmp_path / "draw.py", paths.root, folder]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) as drawing:
        until = time.monotonic() + 120
        while not list(tmp_path.glob("reports/.figures.*.tmp/*.svg")):
            assert drawing.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        assert not folder.exists()
        drawing.kill()
        # its end is open for as long as any process of it lives
        assert drawing.communicate(timeout=60) == (b"", None)
    assert not folder.exists()


def test_a_sweep_without_profiles_or_check_pair_says_why(tmp_path: Path) -> None:
    inputs = example_sweep.write(tmp_path, check=False, refuse=("profiles",)).figure_inputs()
    profiles = plot_figure("isoflop_profiles", inputs, tmp_path)
    pair = plot_figure("check_pair", inputs, tmp_path)
    assert "needs 3 budgets" in profiles.reason
    assert "role: check" in pair.reason
    for name in ("isoflop_profiles", "check_pair"):
        assert (tmp_path / f"{name}.svg").exists()
        assert (tmp_path / f"{name}.pdf").exists()
        assert not (tmp_path / f"{name}.csv").exists()


def test_a_sweep_where_all_is_refused_shows_its_design_and_the_papers(tmp_path: Path) -> None:
    every = ("envelope", "profiles", "parametric", "kaplan")
    inputs = example_sweep.write(tmp_path, refuse=every).figure_inputs()
    with rc_context(RC):
        drawn = {name: draw(inputs) for name, draw in FIGURES.items()}
    shown = {name for name, found in drawn.items() if isinstance(found, Drawn)}
    assert shown == {"design", "allocations"}


def test_a_sweep_that_cannot_be_split_says_what_to_add(tmp_path: Path) -> None:
    inputs = example_sweep.write(tmp_path, forecast=False).figure_inputs()
    assert plot_figure("forecast", inputs, tmp_path).reason == example_sweep.NO_FORECAST


def test_a_forecast_without_one_law_is_drawn(tmp_path: Path) -> None:
    inputs = example_sweep.write(tmp_path, refuse=("kaplan",)).figure_inputs()
    said = plot_figure("forecast", inputs, tmp_path)
    assert said.shown
    assert "3 Parametric errs by +0.050 nats on average over 11 runs" in said.alt
    assert "Kaplan" not in said.alt


def test_runs_of_one_compute_stand_apart_by_size() -> None:
    from isoflop.figures.forecast import _moved_apart

    fields = {"run": "r", "role": "fit", "tokens": 1.0, "decades": 0.1, "intervals": {}}
    runs = [
        Prediction(flops=flops, params=params, predicted=1.0, measured=1.0, **fields)
        for flops, params in ((1e12, 3e5), (1.001e12, 1e5), (1e12, 2e5), (3e12, 1e5))
    ]
    places = _moved_apart(runs)
    assert places[1] < places[2] < places[0] < 1.1e12
    assert places[2] == pytest.approx(1e12, rel=1e-3)
    assert places[3] == pytest.approx(3e12)


def test_every_mark_of_a_run_has_its_name(plotted: Plotted) -> None:
    """The page names marks by their order: as many are drawn as there are names."""
    drawn = 0
    for name, text in plotted.manifest.items():
        svg = ET.parse(plotted.folder / f"{name}.svg").getroot()  # noqa: S314  our own
        by_id = {element.get("id"): element for element in svg.iter()}
        for gid, runs in text.runs.items():
            group = by_id[f"{name}-{gid}"]
            inside = [element.tag.rpartition("}")[2] for element in group.iter()]
            if len(runs) != 1 and runs:
                assert len(runs) in {inside.count("use"), inside.count("path")}, f"{name}: {gid}"
            drawn += len(runs)
    assert drawn > 4 * plotted.inputs.runs.height
    fitted = set(plotted.inputs.losses["run"])
    for name in ("training_curves", "isoflop_profiles", "parametric_fit", "design"):
        named = {run for runs in plotted.manifest[name].runs.values() for run in runs}
        assert len(named & fitted) > 5, name
    # the first mark of the slice at the least budget is the run with the fewest parameters
    slices = plotted.manifest["parametric_fit"].runs
    gid = next(gid for gid in slices if gid.startswith("points-"))
    sizes = dict(plotted.inputs.losses.select("run", "params_total").iter_rows())
    assert [sizes[run] for run in slices[gid]] == sorted(sizes[run] for run in slices[gid])
