"""What is kept of a build changes its speed and nothing else: results are the same bytes."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from isoflop.cli import main
from isoflop.config.losses import LossesSettings
from isoflop.ingest.sweep import Ingested, ingest_sweep
from isoflop.losses import kept as kept_module
from isoflop.losses.build import BuiltLosses, build_losses
from isoflop.losses.kept import KeptLosses, _content, stretches_of
from isoflop.tables import Curves, Files, Losses, Runs, TableError, scan_table, write_table
from tests.ingest.samples import ONE_CURVE as SETTINGS
from tests.ingest.samples import jsonl, run_lines, write

if TYPE_CHECKING:
    from pathlib import Path

CURVES = {
    **{f"r{i}": run_lines(f"r{i}", steps=30 + i) for i in range(5)},
    "tuned": run_lines("tuned", steps=40, role="tuning"),
    "cut": run_lines("cut", steps=40)[:20],
    "trained": [line for line in run_lines("trained", steps=40) if line["kind"] != "eval"],
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    logs: dict[str, str | bytes] = {f"{name}.jsonl": jsonl(each) for name, each in CURVES.items()}
    return ingest_sweep(write(tmp_path_factory.mktemp("sweep"), logs, "title: t\n"), SETTINGS)


def of_runs(tables: Ingested, names: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    chosen = pl.col("run").is_in(names)
    return tables.curves.filter(chosen), tables.runs.filter(chosen)


class Kept:
    """A sweep's tables on disk, and what its builds keep."""

    def __init__(self, folder: Path, files: pl.DataFrame) -> None:
        self.curves = folder / "curves.parquet"
        self.entry = folder / "s.entry"
        self.files = files
        self.read: list[str] = []
        """Runs whose points were read by the last build."""

    def write(self, curves: pl.DataFrame, rows: int | None = None) -> None:
        """Write the curves, a row group a run, or one for so many rows."""
        pieces = curves.partition_by("run", maintain_order=True)
        with pq.ParquetWriter(self.curves, curves.to_arrow().schema) as writer:
            if rows is not None:
                writer.write_table(curves.to_arrow(), row_group_size=rows)
            for piece in pieces if rows is None else ():
                writer.write_table(piece.to_arrow())

    def build(
        self, runs: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, **settings: Any
    ) -> tuple[BuiltLosses, int]:
        """Build by what is kept; give the losses, and how many runs were built anew."""
        plain = kept_module._points_of
        self.read = []

        def watched(*arguments: Any) -> Any:
            for run, points in plain(*arguments):
                self.read.append(run)
                yield run, points

        monkeypatch.setattr(kept_module, "_points_of", watched)
        section = LossesSettings(**settings)
        kept = KeptLosses(self.curves, self.entry, section)
        built = build_losses(scan_table(self.curves, Curves), runs, self.files, section, kept)
        kept.write()
        monkeypatch.undo()
        return built, kept.built


def assert_same(built: BuiltLosses, expected: BuiltLosses, folder: Path) -> None:
    for name in ("losses", "alternate_loss"):
        paths = [folder / f"{name}.{i}" for i in (1, 2)]
        for path, each in zip(paths, (built, expected), strict=True):
            write_table(getattr(each, name), Losses, path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert built.left_out.equals(expected.left_out)
    assert built.kind == expected.kind


@pytest.mark.parametrize("rows", [None, 1, 17, 10_000])
def test_any_history_gives_what_a_build_from_nothing_gives(
    tables: Ingested, rows: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs come and go, their points and facts change, so do settings; the entry is damaged."""
    kept = Kept(tmp_path, tables.files)
    chance = random.Random(7 if rows is None else rows)  # noqa: S311  histories, no secrets
    for _ in range(14):
        names = sorted(chance.sample([*CURVES], chance.randrange(2, len(CURVES) + 1)))
        curves, runs = of_runs(tables, names)
        if chance.random() < 0.4:
            changed = pl.col("run") == chance.choice(names)
            loss = pl.when(changed).then(2.5).otherwise("eval_loss")
            curves = curves.with_columns(loss.alias("eval_loss"))
        if chance.random() < 0.3:
            ended = pl.when(pl.col("run") == names[0]).then(pl.lit("diverged")).otherwise("status")
            runs = runs.with_columns(ended.cast(runs.schema["status"]).alias("status"))
        settings: dict[str, Any] = {"loss": chance.choice(["auto", "auto", "train"])}
        if kept.entry.exists() and chance.random() < 0.2:
            content = bytearray(kept.entry.read_bytes())
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            kept.entry.write_bytes(content)
        kept.write(curves, rows)
        built, _ = kept.build(runs, monkeypatch, **settings)
        expected = build_losses(curves, runs, tables.files, LossesSettings(**settings))
        assert_same(built, expected, tmp_path)


def test_a_run_that_is_added_is_built_alone_and_no_other_is_read(
    tables: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(tmp_path, tables.files)
    without = [name for name in CURVES if name != "r3"]
    curves, runs = of_runs(tables, without)
    kept.write(curves)
    assert kept.build(runs, monkeypatch)[1] == len(without)
    before = kept.entry.read_bytes()
    assert kept.build(runs, monkeypatch)[1] == 0
    assert kept.read == []
    assert kept.entry.read_bytes() == before
    kept.write(tables.curves)
    assert kept.build(tables.runs, monkeypatch)[1] == 1
    assert kept.read == ["r3"]
    # in row groups of several runs the one that it is added to is read, and the run alone is built
    kept.write(curves, 40)
    kept.build(runs, monkeypatch)
    kept.write(tables.curves, 40)
    assert kept.build(tables.runs, monkeypatch)[1] == 1
    # a run that goes is kept no longer
    kept.write(curves)
    assert kept.build(runs, monkeypatch)[1] == 0
    kept.write(tables.curves)
    assert kept.build(tables.runs, monkeypatch)[1] == 1


def tenfold(runs: pl.DataFrame) -> pl.DataFrame:
    longer = pl.when(pl.col("run") == "r1").then(pl.col("schedule_tokens") * 10)
    return runs.with_columns(longer.otherwise("schedule_tokens").alias("schedule_tokens"))


def another_loss(curves: pl.DataFrame) -> pl.DataFrame:
    higher = pl.when(pl.col("run") == "r2").then(9.5).otherwise("eval_loss")
    return curves.with_columns(higher.alias("eval_loss"))


@pytest.mark.parametrize(("what", "anew"), [("nothing", []), ("fact", ["r1"]), ("loss", ["r2"])])
def test_a_change_of_one_run_builds_that_run(
    what: str,
    anew: list[str],
    tables: Ingested,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Kept(tmp_path, tables.files)
    kept.write(tables.curves)
    kept.build(tables.runs, monkeypatch)
    curves = another_loss(tables.curves) if what == "loss" else tables.curves
    runs = tenfold(tables.runs) if what == "fact" else tables.runs
    kept.write(curves)
    built, count = kept.build(runs, monkeypatch)
    assert (count, kept.read) == (len(anew), anew)
    assert_same(built, build_losses(curves, runs, tables.files, LossesSettings()), tmp_path)


@pytest.mark.parametrize("what", ["cut", "flipped", "empty", "foreign", "settings", "code"])
def test_what_cannot_be_believed_is_built_anew(
    what: str, tables: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(tmp_path, tables.files)
    kept.write(tables.curves)
    kept.build(tables.runs, monkeypatch)
    content = kept.entry.read_bytes()
    damaged = {
        "cut": content[:-7],
        "flipped": content[:500] + bytes([content[500] ^ 1]) + content[501:],
        "empty": b"",
        "foreign": b"PAR1" * 99,
    }
    kept.entry.write_bytes(damaged.get(what, content))
    settings: dict[str, Any] = {"points_per_run": 5} if what == "settings" else {}
    if what == "code":
        monkeypatch.setattr(kept_module, "package_code", lambda: "another version")
    built, count = kept.build(tables.runs, monkeypatch, **settings)
    assert count == len(CURVES)
    section = LossesSettings(**settings)
    assert_same(built, build_losses(tables.curves, tables.runs, tables.files, section), tmp_path)
    if what != "code":
        assert kept.build(tables.runs, monkeypatch, **settings)[1] == 0


def test_a_full_disk_costs_time_alone(
    tables: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(tmp_path, tables.files)
    kept.entry = tmp_path / "curves.parquet" / "no folder"
    kept.write(tables.curves)
    built, _ = kept.build(tables.runs, monkeypatch)
    assert_same(
        built, build_losses(tables.curves, tables.runs, tables.files, LossesSettings()), tmp_path
    )


def test_stretches_end_where_runs_do(tables: Ingested, tmp_path: Path) -> None:
    path = tmp_path / "curves.parquet"
    names = sorted(CURVES)
    kept = Kept(tmp_path, tables.files)
    kept.write(tables.curves)
    heights = [tables.curves.filter(run=name).height for name in names]
    found = stretches_of(path)
    assert [each.rows for each in found] == heights
    assert [each.first for each in found] == np.cumsum([0, *heights[:-1]]).tolist()
    # whatever row groups there are, no run is in two of them
    for rows in (1, 7, 30, 10_000):
        kept.write(tables.curves, rows)
        found = stretches_of(path)
        runs = [set(tables.curves[s.first : s.first + s.rows]["run"]) for s in found]
        assert sum(map(len, runs)) == len(set.union(*runs)) == len(names)
    # in no order, or without names, all is one
    kept.write(tables.curves[::-1], 40)
    assert len(stretches_of(path)) == 1
    tables.curves.write_parquet(path, row_group_size=40, statistics=False)
    assert len(stretches_of(path)) == 1
    assert stretches_of(path)[0].rows == tables.curves.height


def test_rows_of_a_table_that_is_no_table_of_curves_are_refused(
    tables: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(tmp_path, tables.files)
    kept.write(pl.concat([tables.curves, tables.curves[-1:]]))
    with pytest.raises(TableError, match=r"(?s)curves of runs .*primary_key"):
        kept.build(tables.runs, monkeypatch)


def test_points_have_one_digest_in_every_process(tables: Ingested, tmp_path: Path) -> None:
    path = tmp_path / "points.parquet"
    points = tables.curves.filter(run="r1")
    points.write_parquet(path)
    program = (
        "import sys, polars\nfrom isoflop.losses.kept import _content\n"
        "print(_content(polars.read_parquet(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == _content(pl.read_parquet(path))
    assert _content(points.with_columns(step=pl.col("step") + 1)) != _content(points)
    assert _content(points[:-1]) != _content(points)


def test_the_command_keeps_results_of_large_tables_alone(
    tables: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, schema in (("curves", Curves), ("runs", Runs), ("files", Files)):
        write_table(getattr(tables, name), schema, tmp_path / f"{name}.parquet")

    def build(out: str, *more: str) -> tuple[str, list[bytes]]:
        inputs = [f"--{name}={tmp_path / name}.parquet" for name in ("curves", "runs", "files")]
        names = ("losses", "left-out", "alternate-loss")
        outputs = [f"--{name}={tmp_path / out / name}.parquet" for name in names]
        words = ["build-losses", "--sweep=s", "--settings={}", *more, *inputs, *outputs]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        return done.output, [(tmp_path / out / f"{name}.parquet").read_bytes() for name in names]

    cache = tmp_path / "cache"
    said, expected = build("plain")
    assert build("small", f"--cache={cache}") == (said, expected)
    assert not cache.exists()
    monkeypatch.setattr(kept_module, "LEAST", 0)
    for count in (len(CURVES), 0):
        said, written = build("kept", f"--cache={cache}")
        assert said.endswith(f"; {count} runs built anew\n")
        assert written == expected
    assert [path.name for path in cache.iterdir()] == ["s.entry"]
