"""How fast TensorBoard's event files are read, beside the libraries that read them for others.

    python bench/event_files.py [SCALARS]

Needs `pip install tensorboard tbparse`, which isoflop itself does without: TensorBoard's own writer
makes a file of about so many scalars (default 230,000), four tags a step, once as version 1, as
torch writes them, and once as tensors, as TensorFlow 2 does. Each reader reads every scalar:
isoflop's as ingest does, to the records that the cache would keep; TensorBoard's EventAccumulator
with nothing sampled; tbparse, which stands on it, to its table. They must find the same losses. CPU
seconds are of all threads, and the least of three rounds in which the readers and a loop that tells
the machine's speed take turns.
"""

from __future__ import annotations

import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isoflop.ingest.formats import scan
from isoflop.ingest.reading.parsed import gather
from isoflop.ingest.reading.source import RawFile

if TYPE_CHECKING:
    from collections.abc import Callable

TAGS: Final = ("train/loss", "train/learning_rate", "train/grad_norm", "train/tokens")
LOSS: Final = TAGS[0]
ROUNDS: Final = 3
"""Times that everything is measured; the least counts, since other programs only add to it."""


def losses(steps: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Make up a training loss (steps,), in the precision of the files."""
    noise = np.random.default_rng(0).normal(0.0, 0.02, steps)
    return np.asarray(1.5 + 4.0 / np.sqrt(1.0 + np.arange(steps)) + noise, dtype=np.float32)


def write(folder: Path, steps: int, *, tensors: bool) -> Path:
    """Let TensorBoard write a run of so many steps; give its file."""
    from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-not-found]
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-not-found]
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb  # type: ignore[import-not-found]
    from tensorboard.summary.writer.event_file_writer import (  # type: ignore[import-not-found]
        EventFileWriter,
    )

    writer = EventFileWriter(str(folder))
    for step, loss in enumerate(losses(steps)):
        for tag, value in zip(TAGS, (loss, 3e-4, 1.25, 1024.0 * step), strict=True):
            summary = (
                scalar_pb(tag, float(value))
                if tensors
                else Summary(value=[Summary.Value(tag=tag, simple_value=float(value))])
            )
            writer.add_event(Event(wall_time=1.75e9 + step, step=step, summary=summary))
    writer.close()
    (path,) = folder.iterdir()
    return path


def ours(path: Path) -> np.ndarray[Any, Any]:
    """Read the losses as ingest does."""
    frame = gather(scan("tensorboard", RawFile.at(path, path.parent))).records
    # every tag became a column
    assert not sum(frame.select("tokens", "train_loss", "lr", "grad_norm").null_count().row(0))
    return frame["train_loss"].to_numpy()


def accumulator(path: Path) -> np.ndarray[Any, Any]:
    """Read them by TensorBoard's EventAccumulator, every scalar of every tag."""
    from tensorboard.backend.event_processing import (  # type: ignore[import-not-found]
        event_accumulator,
    )
    from tensorboard.util import tensor_util  # type: ignore[import-not-found]

    sizes = {event_accumulator.SCALARS: 0, event_accumulator.TENSORS: 0}
    read = event_accumulator.EventAccumulator(str(path), size_guidance=sizes)
    read.Reload()
    if read.Tags()["scalars"]:
        every = {tag: [one.value for one in read.Scalars(tag)] for tag in TAGS}
    else:
        every = {
            tag: [tensor_util.make_ndarray(one.tensor_proto).item() for one in read.Tensors(tag)]
            for tag in TAGS
        }
    return np.array(every[LOSS])


def tbparse(path: Path) -> np.ndarray[Any, Any]:
    """Read them by tbparse."""
    from tbparse import SummaryReader  # type: ignore[import-not-found]

    read = SummaryReader(str(path))
    table = read.tensors if read.scalars.empty else read.scalars
    return np.asarray(table.loc[table["tag"] == LOSS, "value"])


def additions() -> None:
    """Add 20 million numbers as a plain script does: what the machine gives at the moment."""
    exec("total = 0\nfor each in range(20_000_000): total += each", {})


def seconds(work: Callable[[], object]) -> float:
    """Measure the CPU seconds of something."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main(scalars: int) -> None:
    steps = scalars // len(TAGS)
    expected = losses(steps)
    print(
        f"{'file':<8} {'MB':>5} {'reader':<17} {'CPU s':>6} {'ratio':>6} {'2e7 additions, s':>17}"
    )
    for name, tensors in (("scalars", False), ("tensors", True)):
        with tempfile.TemporaryDirectory() as folder:
            path = write(Path(folder), steps, tensors=tensors)
            readers = {"isoflop": ours, "EventAccumulator": accumulator, "tbparse": tbparse}
            for reader in readers.values():
                np.testing.assert_array_equal(np.float32(reader(path)), expected)
            works = [*(partial(reader, path) for reader in readers.values()), additions]
            rounds = [[seconds(work) for work in works] for _ in range(ROUNDS)]
            *best, loop = (min(times) for times in zip(*rounds, strict=True))
            for reader_name, taken in zip(readers, best, strict=True):
                print(
                    f"{name:<8} {path.stat().st_size / 1e6:>5.1f} {reader_name:<17} {taken:>6.2f} "
                    f"{taken / best[0]:>6.1f} {loop:>17.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 230_000)
