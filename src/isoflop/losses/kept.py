"""What was built of each run of a large sweep, kept from one build to the next.

A table of curves is looked at by stretches: row groups that no run crosses. One whose bytes are
known is not read, unless a run in it is wanted otherwise than before; of one that is not, a run
whose points and facts are known is taken as it was. The entry holds what the last build of the
sweep used, ends with its checksum, and changes speed and nothing else.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from isoflop.entries import package_code, read_entry, write_entry
from isoflop.tables import LIVE, Curves, TableError, validated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from isoflop.config.losses import LossesSettings

    Built = Mapping[str, tuple[pl.DataFrame | None, list[dict[str, Any]]]]
    """By kind of loss a run's rows, and what of it is left out."""
    Builder = Callable[[Mapping[str, Any], "Counts", pl.DataFrame], Built]
    """Builds a run by its row of the table of runs, its counts and its points."""
    Content = tuple[str, str, "Counts"]
    """A run in a stretch, the digest of its points, and their counts."""

LEAST: Final = 4 << 20
"""Bytes of a table of curves from which on results are kept: less is built as soon as read."""
_AT_ONCE: Final = 1 << 20
_PLACE: Final = "place"
"""Column of kept rows: which run they are of."""


class Counts(NamedTuple):
    """What of a run's points counts."""

    points: int = 0
    evals: int = 0
    trains: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Row groups of a table that no run crosses.

    Attributes
    ----------
    digest : of their bytes, and of how these are to be read.
    first : the number of their first row in the table.
    rows : how many they have.
    """

    digest: str
    first: int
    rows: int


def stretches_of(path: Path) -> list[Stretch]:
    """Divide a table of curves where one run ends and another begins.

    Row groups that do not tell their runs' names, or whose names are in no order, are one stretch.
    """
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    names = [_names(group) for group in groups]
    highest = [*accumulate(("" if n is None else n[1] for n in names), max)]
    lowest = [*accumulate(("" if n is None else n[0] for n in reversed(names)), min)][::-1]
    unnamed = any(n is None for n in names)
    begins = [
        i for i in range(len(groups)) if i == 0 or (not unnamed and highest[i - 1] < lowest[i])
    ]
    schema = metadata.schema.to_arrow_schema().to_string()
    stretches, first = [], 0
    with path.open("rb") as table:
        for begin, end in zip(begins, [*begins[1:], len(groups)], strict=True):
            digest = hashlib.sha256(schema.encode())
            for group in groups[begin:end]:
                _digest(group, table, digest)
            rows = sum(group.num_rows for group in groups[begin:end])
            stretches.append(Stretch(digest.hexdigest(), first, rows))
            first += rows
    return stretches


def _names(group: Any) -> tuple[str, str] | None:
    """Give the first and the last name of a row group's runs, by its statistics."""
    for column in (group.column(i) for i in range(group.num_columns)):
        if column.path_in_schema == "run" and column.is_stats_set:
            told = column.statistics
            return (str(told.min), str(told.max)) if told.has_min_max else None
    return None


def _digest(group: Any, table: Any, digest: Any) -> None:
    """Take a row group's bytes into a digest, and how they are to be read."""
    columns = [group.column(i) for i in range(group.num_columns)]
    told = [(c.path_in_schema, c.compression, c.encodings, c.num_values) for c in columns]
    digest.update(json.dumps(told).encode())
    begins = [min(p for p in (c.dictionary_page_offset, c.data_page_offset) if p) for c in columns]
    ends = [begin + c.total_compressed_size for begin, c in zip(begins, columns, strict=True)]
    table.seek(min(begins))
    left = max(ends) - min(begins)
    while left > 0 and (piece := table.read(min(_AT_ONCE, left))):
        digest.update(piece)
        left -= len(piece)


class KeptLosses:
    """What was built of a sweep's runs the last time, and what is built of them now.

    Parameters
    ----------
    curves : table of curves, a Parquet file.
    entry : where results are kept.
    settings : section `losses`.
    """

    def __init__(self, curves: Path, entry: Path, settings: LossesSettings) -> None:
        self._curves = curves
        self._entry = entry
        basis = json.dumps([package_code(), settings.model_dump(mode="json")])
        self._basis = hashlib.sha256(basis.encode()).hexdigest()
        self.built = 0
        """Runs that were built anew."""
        self._stretches: dict[str, list[Content]] = {}
        self._places: dict[str, int] = {}
        self._left_out: list[dict[str, list[dict[str, Any]]]] = []
        self._rows: dict[str, list[pl.DataFrame]] = {}
        self._now: dict[str, list[Content]] = {}
        self._keys: dict[str, str] = {}
        self._read()

    def fill(
        self,
        wanted: Sequence[Mapping[str, Any]],
        build: Builder,
    ) -> dict[str, Counts]:
        """Build what of the wanted runs is not known, and keep it.

        Parameters
        ----------
        wanted : rows of the table of runs.
        build : builds a run of its points.

        Returns
        -------
        By run, what of its points counts; a run that has none is not there.
        """
        by_name = {run["run"]: run for run in wanted}
        scanned = pl.scan_parquet(self._curves, glob=False)
        counts: dict[str, Counts] = {}
        for stretch in stretches_of(self._curves):
            contents = self._stretches.get(stretch.digest)
            if contents is None or self._lacks(contents, by_name):
                contents = []
                for run, points in _points_of(scanned, stretch):
                    count = Counts(
                        points.height, points["eval_loss"].count(), points["train_loss"].count()
                    )
                    contents.append((run, _content(points), count))
                    if run in by_name:
                        self._take(by_name[run], contents[-1], points, build)
            self._now[stretch.digest] = contents
            for run, content, count in contents:
                if run in counts:
                    raise TableError(f"{self._curves}: rows of run '{run}' lie apart, and must not")
                counts[run] = count
                if run in by_name:
                    self._keys[run] = self._key(by_name[run], content)
        empty = scanned.head(0).collect()
        for run in sorted(by_name.keys() - counts.keys()):
            nothing = run, "", Counts()
            self._take(by_name[run], nothing, empty, build)
            self._keys[run] = self._key(by_name[run], "")
        return counts

    def _lacks(self, contents: Sequence[Content], by_name: Mapping[str, Mapping[str, Any]]) -> bool:
        """Tell whether a wanted run of a stretch has not been built of these points."""
        return any(
            self._key(by_name[run], content) not in self._places
            for run, content, _ in contents
            if run in by_name
        )

    def _take(
        self, run: Mapping[str, Any], content: Content, points: pl.DataFrame, build: Builder
    ) -> None:
        """Build a run, unless it is known."""
        _, digest, count = content
        key = self._key(run, digest)
        if key not in self._places:
            self._keep(key, build(run, count, points))

    def of_runs(
        self, runs: Sequence[str], kind: str
    ) -> tuple[list[pl.DataFrame], list[dict[str, Any]]]:
        """Give what was built of runs by one kind of loss.

        Parameters
        ----------
        runs : some of those that were wanted, in the order in which to say what is left out.
        kind : of loss.
        """
        places = [self._places[self._keys[run]] for run in runs]
        left_out = [each for place in places for each in self._left_out[place].get(kind, ())]
        chosen = pl.Series(places, dtype=pl.UInt32).implode()
        if kind not in self._rows:
            return [], left_out
        self._rows[kind] = [pl.concat(self._rows[kind])]
        rows = self._rows[kind][0].filter(pl.col(_PLACE).is_in(chosen)).drop(_PLACE)
        return [rows] if rows.height else [], left_out

    def write(self) -> None:
        """Keep what this build used, and nothing else."""
        if not self.built and self._now == self._stretches:
            return
        used = {key: self._places[key] for key in sorted(self._keys.values())}
        told = {
            "basis": self._basis,
            "stretches": self._now,
            "keys": list(used),
            "left_out": [self._left_out[place] for place in used.values()],
        }
        parts = {"told": json.dumps(told).encode()}
        moved = pl.DataFrame(
            {_PLACE: list(used.values()), "moved": range(len(used))},
            schema={_PLACE: pl.UInt32, "moved": pl.UInt32},
        )
        for kind, frames in sorted(self._rows.items()):
            rows = pl.concat(frames).join(moved, on=_PLACE, maintain_order="left")
            table = io.BytesIO()
            rows.drop(_PLACE).rename({"moved": _PLACE}).write_parquet(table)
            parts[kind] = table.getvalue()
        write_entry(self._entry, parts)

    def _read(self) -> None:
        """Take what the last build kept; nothing, where it is damaged or of another kind."""
        parts = read_entry(self._entry)
        try:
            told = json.loads(parts["told"]) if parts is not None else {}
            if parts is None or told["basis"] != self._basis:
                return
            self._stretches = {
                digest: [(run, content, Counts(*count)) for run, content, count in contents]
                for digest, contents in told["stretches"].items()
            }
            self._left_out = told["left_out"]
            self._rows = {
                kind: [pl.read_parquet(io.BytesIO(part))]
                for kind, part in parts.items()
                if kind != "told"
            }
            self._places = {key: place for place, key in enumerate(told["keys"])}
        except (KeyError, TypeError, ValueError):
            return  # whole, but written by another version

    def _key(self, run: Mapping[str, Any], content: str) -> str:
        """Name all that the losses of a run depend on, besides the settings."""
        told = json.dumps([content, run], default=str, sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    def _keep(self, key: str, built: Built) -> None:
        """Keep what was built of a run."""
        place = self._places[key] = len(self._left_out)
        self._left_out.append({kind: left_out for kind, (_, left_out) in built.items()})
        self.built += 1
        for kind, (rows, _) in built.items():
            if rows is not None:
                placed = rows.with_columns(pl.lit(place, dtype=pl.UInt32).alias(_PLACE))
                self._rows.setdefault(kind, []).append(placed)


def kept_losses(curves: Path, entry: Path | None, settings: LossesSettings) -> KeptLosses | None:
    """Look up what was kept of a sweep; None where it is too small to gain by that.

    Parameters
    ----------
    curves : its table of curves.
    entry : where results are kept, if anywhere.
    settings : section `losses`.
    """
    if entry is None or curves.stat().st_size < LEAST:
        return None
    return KeptLosses(curves, entry, settings)


def _points_of(curves: pl.LazyFrame, stretch: Stretch) -> Iterator[tuple[str, pl.DataFrame]]:
    """Read the live points of a stretch's runs, one run after the other."""
    read = curves.slice(stretch.first, stretch.rows).collect()
    first, last = (
        str(name) for name in read.select(pl.min("run"), pl.max("run").alias("last")).row(0)
    )
    table = validated(read, Curves, name=f"curves of runs {first} to {last}")
    live = table.filter(LIVE).sort("run", "segment", "step")
    for (run,), points in live.partition_by("run", as_dict=True, maintain_order=True).items():
        yield str(run), points


def _content(points: pl.DataFrame) -> str:
    """Give a digest of a run's points; polars' version is part of what it is compared under."""
    rows = points.hash_rows(seed=0).to_numpy()
    return hashlib.sha256(rows.tobytes()).hexdigest()
