"""Damaged logs: a thousand new ones at every run of CI, and all that ever broke a promise.

`python3 run.py fuzz` tries 10,000 (tools/fuzz.py); what breaks a promise is kept in crashes/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from tools import fuzz

if TYPE_CHECKING:
    from pathlib import Path

LOGS = fuzz.samples()
CRASHES = sorted(path for path in fuzz.CRASHES.iterdir() if path.is_dir())


@pytest.mark.parametrize("seed", range(4))
def test_damaged_logs_break_no_promise(seed: int) -> None:
    assert fuzz.fuzz(250, 1000 + seed, LOGS, keep=False) == []


@pytest.mark.parametrize("folder", CRASHES, ids=lambda path: path.name)
def test_what_once_broke_a_promise_does_not_any_more(folder: Path, tmp_path: Path) -> None:
    rules = {
        rule["match"]: rule for rule in yaml.safe_load((folder / "sweep.yaml").read_text())["runs"]
    }
    files = []
    for path in sorted(folder.glob("*/*")):
        facts = {
            key: value for key, value in rules[f"{path.parent.name}/*"].items() if key != "match"
        }
        files.append((fuzz.Sample(path.name, path.name, b"", facts), path.read_bytes()))
    assert fuzz.broken_promise(tmp_path / "s", files) is None


def test_cut_logs_break_no_promise() -> None:
    assert fuzz.cut_everywhere(LOGS, every=389, keep=False) == []


# -- the fuzzer itself -----------------------------------------------------------------------------


def test_a_damaged_file_is_known_by_its_number() -> None:
    assert fuzz.mutant(17, 3, LOGS) == fuzz.mutant(17, 3, LOGS)
    assert fuzz.mutant(17, 3, LOGS) != fuzz.mutant(17, 4, LOGS)
    changed = sum(content != sample.content for sample, content in map(_mutant, range(100)))
    assert changed > 90


def _mutant(number: int) -> tuple[fuzz.Sample, bytes]:
    return fuzz.mutant(number, 0, LOGS)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("raise", "stopped the sweep: ZeroDivisionError"),
        ("reader", "a reader's fault: could not be read: ZeroDivisionError"),
        ("hang", "took more than 0.5 CPU seconds"),
        ("good", "the good log's curve is another one"),
    ],
)
def test_every_broken_promise_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, said: str
) -> None:
    from isoflop.ingest import fates
    from isoflop.ingest.store import cache, laid_out

    def broken(*_: object, **__: object) -> None:
        if what == "hang":
            while True:
                pass
        raise ZeroDivisionError

    def halved(records: object) -> object:
        return curves(records).with_columns(train_loss="eval_loss")  # type: ignore[arg-type]

    curves = laid_out.curves_table
    monkeypatch.setattr(fuzz, "SLOWEST", 0.5)
    if what == "raise":
        monkeypatch.setattr(laid_out, "curves_table", broken)
    elif what == "good":
        monkeypatch.setattr(laid_out, "curves_table", halved)
    elif what == "reader":
        monkeypatch.setattr(cache, "gather", broken)
    else:
        monkeypatch.setattr(fates, "recognise", broken)
    found = fuzz.broken_promise(tmp_path / "s", [_mutant(0)])
    assert found is not None
    assert found.startswith(said)
