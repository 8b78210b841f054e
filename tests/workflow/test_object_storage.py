"""Raw logs and outputs in an object store: read from there, written there, the same bytes.

Needs the storage plugin and a stand-in for S3, which are no pins of the project (docs/clusters.md).
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.workflow.toy import Project, copy_project, write_sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEEDED = ("boto3", "moto", "flask", "flask_cors", "snakemake_storage_plugin_s3")
BUCKET = "store"
TARGETS = ("data/losses/toy.parquet", "data/estimates/toy/profiles.json")


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Start an S3 of this machine alone."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} (docs/clusters.md says how to get them)")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen([*command, f"-p{port}"], stdout=quiet, stderr=quiet) as server:
        try:
            _wait(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _wait(address: str) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()  # noqa: S310  our own address
        except OSError:
            assert time.monotonic() < until, "moto_server never answered"
            time.sleep(0.2)
        else:
            return


def client(endpoint: str) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="none",
        aws_secret_access_key="none",  # noqa: S106
        region_name="us-east-1",
    )


def move_logs(project: Project, store: Any) -> None:
    """Put a sweep's folder into the store; only sweep.yaml and a list of the logs stay."""
    folder = project.root / "data/raw/toy"
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    for name in names:
        store.upload_file(str(folder / name), BUCKET, f"data/raw/toy/{name}")
        if name != "sweep.yaml":
            (folder / name).unlink()
    manifest = project.root / "data/manifests/toy.txt"
    manifest.parent.mkdir()
    manifest.write_text("".join(f"{name}\n" for name in names))


def options(endpoint: str) -> tuple[str, ...]:
    return (
        "--default-storage-provider=s3",
        f"--default-storage-prefix=s3://{BUCKET}",
        f"--storage-s3-endpoint-url={endpoint}",
        "--storage-s3-access-key=none",
        "--storage-s3-secret-key=none",
        "--storage-s3-region=us-east-1",
    )


def stored(store: Any, folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    objects = {}
    for name in names:
        store.download_file(BUCKET, name, str(folder / "object"))
        objects[name] = (folder / "object").read_bytes()
    return objects


def test_logs_and_outputs_in_an_object_store(endpoint: str, tmp_path: Path) -> None:
    """Its logs are nowhere but in the store, so nothing else can have been read."""
    here = copy_project(tmp_path / "here", sweep=False)
    write_sweep(here.root / "data/raw/toy", budgets=(1e12, 4e12, 1.6e13))
    here.build(*TARGETS)
    there = copy_project(tmp_path / "there", sweep=False)
    write_sweep(there.root / "data/raw/toy", budgets=(1e12, 4e12, 1.6e13))
    store = client(endpoint)
    store.create_bucket(Bucket=BUCKET)
    move_logs(there, store)
    there.build(*options(endpoint), *TARGETS)
    wanted = {name: (here.root / name).read_bytes() for name in TARGETS}
    assert stored(store, tmp_path, TARGETS) == wanted
    assert not (there.root / TARGETS[0]).exists()
    assert there.planned(*options(endpoint), *TARGETS) == {}
