"""Let coverage guide the damage: atheris makes inputs that reach new lines of ingest.

    pip install atheris==3.0.0            in an environment of its own beside the project's
    python tools/guided_fuzz.py --seconds 600 [--samples ../shared/logs] [--corpus FOLDER]

It begins with the fixtures, as `fuzz.py` does. An input is a sample's number (two bytes: which name
and facts the file has) and its content; it is recognised and read by itself, some ten times as fast
as a whole sweep, and no reader may raise. What makes one raise is kept in tests/ingest/crashes/,
where tests/ingest/test_fuzz.py reads it for ever after, and ends the run.
atheris has wheels for CPython up to 3.13 on Linux alone, so it is no dependency.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["isoflop.ingest"]):
    from tools import fuzz

    from isoflop.config.sidecar import SweepFile
    from isoflop.errors import ConfigError
    from isoflop.ingest.fates import read_file
    from isoflop.ingest.formats import reader
    from isoflop.ingest.reading.patterns import readable_formats

    for name in readable_formats():  # ingest imports a reader when its first file is there
        reader(name)

LONGEST = 16 * 1024
"""Bytes of an input, at most: what is rare in a log stands within."""


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=Path, default=None, help="folder of further logs")
    parser.add_argument(
        "--corpus", type=Path, default=None, help="folder that keeps what was found"
    )
    chosen = parser.parse_args()
    logs = fuzz.samples(chosen.samples)
    with tempfile.TemporaryDirectory(prefix="isoflop-fuzz-") as below:
        folder = Path(below)
        corpus = chosen.corpus or folder / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, log in enumerate(logs):
            (corpus / f"sample-{number}").write_bytes(
                number.to_bytes(2, "big") + log.content[:LONGEST]
            )

        sidecars = [
            SweepFile.model_validate({"title": "fuzz", "runs": [{"match": "*", **log.facts}]})
            for log in logs
        ]
        alone = folder / "one"
        alone.mkdir()

        def promised(data: bytes) -> None:
            number, content = int.from_bytes(data[:2], "big") % len(logs), data[2:]
            sample = logs[number]
            path = alone / sample.file
            path.write_bytes(content)
            try:
                fates = read_file(path, sidecars[number])
            except ConfigError:  # of the map: no fault of a reader
                return
            finally:
                path.unlink()
            faults = [log.reason for log in fates if (log.reason or "").startswith(fuzz.FAULTS)]
            if faults:
                name = f"guided-{hashlib.sha256(data).hexdigest()[:12]}"
                kept = fuzz.kept(name, [(sample, content)])
                raise AssertionError(f"{sample.name}: {faults[0]} [{kept}]")

        options = [
            f"-max_total_time={chosen.seconds}", f"-max_len={LONGEST}", f"-seed={chosen.seed}",
            "-rss_limit_mb=4096", "-timeout=60", "-print_final_stats=1",
            f"-artifact_prefix={folder}/",
        ]  # fmt: skip
        atheris.Setup([sys.argv[0], *options, str(corpus)], promised)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
