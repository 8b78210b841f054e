"""Files come from the mirror or the network, and only with the right digest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from isoflop.cli import main
from isoflop.config.by_sweep import SweepSettings, settings_by_sweep
from isoflop.config.reading import parse, read_yaml
from isoflop.config.sidecar import SweepFile
from isoflop.fetching import FetchError
from isoflop.published.catalogue import Catalogue
from isoflop.published.fetch import fetch_published
from tests.published.conftest import ROOT, no_network
from tests.published.test_catalogue import small

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = b"N,D,L\n1e6,2e7,3.5\n"


def catalogue(**file: Any) -> Catalogue:
    content = small()
    content["studies"][0]["files"][0] |= {"sha256": hashlib.sha256(CONTENT).hexdigest()} | file
    return parse(content, Catalogue, name="c")


def mirror_with(folder: Path, content: bytes = CONTENT, below: str = "") -> Path:
    path = folder / below / "one" / "a.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return folder


def network(folder: Path, content: bytes) -> Callable[[str, str], Path]:
    """Stand in for pooch: a cached copy, as it would leave one."""

    def download(address: str) -> Path:
        assert address == "https://x/a.csv"
        folder.mkdir(exist_ok=True)
        (folder / "copy").write_bytes(content)
        return folder / "copy"

    return download


@pytest.mark.parametrize("below", ["", "datasets"])
def test_from_the_mirror(tmp_path: Path, below: str) -> None:
    out = tmp_path / "data" / "first"
    said = fetch_published(
        catalogue(),
        "first",
        out,
        mirror=mirror_with(tmp_path / "mirror", below=below),
        download=no_network,
    )
    assert said == ["one/a.csv: from the mirror"]
    assert (out / "a.csv").read_bytes() == CONTENT
    assert {path.name for path in out.iterdir()} == {"a.csv", "sweep.yaml"}
    assert [path.name for path in out.parent.iterdir()] == ["first"]


def test_sidecar_is_what_ingest_reads(tmp_path: Path) -> None:
    out = tmp_path / "first"
    fetch_published(
        catalogue(), "first", out, mirror=mirror_with(tmp_path / "m"), download=no_network
    )
    sidecar = read_yaml(out / "sweep.yaml", SweepFile)
    assert sidecar.title == "First"
    assert sidecar.licence == "MIT"
    assert "arXiv:1" in sidecar.citation
    assert sidecar.table is not None
    assert sidecar.table.columns["tokens"].column == "D"


def test_settings_of_the_fetched_sweep_are_the_catalogue_s(tmp_path: Path) -> None:
    """In data/raw the folder would be fitted as the study is."""
    out = tmp_path / "first"
    fetch_published(
        catalogue(), "first", out, mirror=mirror_with(tmp_path / "m"), download=no_network
    )
    defaults = SweepSettings().model_dump(mode="json")
    own = read_yaml(out / "sweep.yaml", SweepFile).settings
    settings = settings_by_sweep(defaults, own, name="sweep.yaml")
    assert settings.model_dump(mode="json") == catalogue().settings("published/first")
    assert settings.approaches.bootstrap.interval == "percentile"


def test_over_the_network_where_the_mirror_lacks_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "first"
    said = fetch_published(
        catalogue(),
        "first",
        out,
        mirror=tmp_path / "empty",
        download=network(tmp_path / "cache", CONTENT),
    )
    assert said == ["one/a.csv: from https://x/a.csv"]
    assert (out / "a.csv").read_bytes() == CONTENT


def test_wrong_digest_in_the_mirror(tmp_path: Path) -> None:
    mirror = mirror_with(tmp_path / "mirror", b"something else")
    with pytest.raises(FetchError) as caught:
        fetch_published(catalogue(), "first", tmp_path / "o", mirror=mirror, download=no_network)
    said = str(caught.value)
    assert "study 'one'" in said
    assert "one/a.csv" in said
    assert str(mirror / "one" / "a.csv") in said
    assert hashlib.sha256(CONTENT).hexdigest() in said
    assert hashlib.sha256(b"something else").hexdigest() in said
    assert not (tmp_path / "o").exists()


def test_wrong_digest_over_the_network_is_not_kept(tmp_path: Path) -> None:
    download = network(tmp_path / "cache", b"an error page")
    with pytest.raises(FetchError, match=r"https://x/a\.csv has sha256 .*, expected "):
        fetch_published(catalogue(), "first", tmp_path / "o", mirror=None, download=download)
    assert list((tmp_path / "cache").iterdir()) == []
    assert not (tmp_path / "o").exists()


def test_no_network_and_no_mirror(tmp_path: Path) -> None:
    def unreachable(address: str) -> Path:
        raise FetchError(f"{address} cannot be fetched (no route)")

    with pytest.raises(FetchError) as caught:
        fetch_published(catalogue(), "first", tmp_path / "o", mirror=None, download=unreachable)
    said = str(caught.value)
    assert "https://x/a.csv cannot be fetched" in said
    assert "No mirror is named: set published.mirror in config.yaml, or ISOFLOP_MIRROR" in said


def test_derived_file_is_only_in_a_mirror(tmp_path: Path) -> None:
    derived = catalogue(address=None, origin="derived from a pickle")
    with pytest.raises(FetchError, match=r"no public address has the bytes of one/a\.csv: derived"):
        fetch_published(derived, "first", tmp_path / "o", mirror=tmp_path, download=no_network)


def test_a_failed_fetch_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "first"
    fetch_published(
        catalogue(), "first", out, mirror=mirror_with(tmp_path / "m"), download=no_network
    )
    bad = mirror_with(tmp_path / "bad", b"x")
    with pytest.raises(FetchError):
        fetch_published(catalogue(), "first", out, mirror=bad, download=no_network)
    assert (out / "a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("named", ["environment", "config"])
def test_command_takes_the_mirror_from_environment_or_config(
    tmp_path: Path, mirror: Path, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ISOFLOP_MIRROR", raising=False)
    absent = str(tmp_path / "nowhere")
    if named == "environment":
        monkeypatch.setenv("ISOFLOP_MIRROR", str(mirror))
    settings = absent if named == "environment" else str(mirror)
    outcome = CliRunner().invoke(
        main,
        [
            "fetch-published",
            f"--catalogue={ROOT / 'data/reference/published.yaml'}",
            "--sweep=gadre-c4",
            f'--settings={{"mirror": "{settings}"}}',
            f"--cache={tmp_path / 'cache'}",
            f"--out={tmp_path / 'gadre-c4'}",
        ],
    )
    assert outcome.exit_code == 0, outcome.output
    assert outcome.output == "gadre/gadre_table.csv: from the mirror\n"
