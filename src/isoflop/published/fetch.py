"""Get the files of one published sweep: from a local mirror, or over the network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from isoflop.errors import IsoflopError
from isoflop.files import digest, write_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoflop.published.catalogue import Catalogue, PublishedSweep, SourceFile, Study

    Download = Callable[[str, str], Path]


class FetchError(IsoflopError):
    """A published file is not to be had, or is not the one that the catalogue names."""


def fetch_published(
    catalogue: Catalogue,
    sweep: str,
    out: Path,
    *,
    mirror: Path | None,
    download: Download,
) -> list[str]:
    """Write a published sweep's raw files and its sweep.yaml.

    Parameters
    ----------
    catalogue : the catalogue of published studies.
    sweep : name of the sweep.
    out : folder to write; it appears whole or not at all.
    mirror : folder that holds the files, itself or below ``datasets/``; None for none.
    download : gives a local copy of what lies at an address, by a name of our own; see
        ``downloader``.

    Returns
    -------
    Where each file came from, in words.

    Raises
    ------
    FetchError : a file is neither in the mirror nor at an address, or its digest differs.
    """
    study, found = catalogue.find(sweep)
    files = [study.file(path) for path in found.files]
    copies = [_copy(study, file, mirror, download) for file in files]
    partial = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for file, (copy, _) in zip(files, copies, strict=True):
            shutil.copyfile(copy, partial / file.name)
        if found.sidecar is not None:
            write_text(partial / "sweep.yaml", _sidecar(study, found))
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [f"{file.path}: from {origin}" for file, (_, origin) in zip(files, copies, strict=True)]


def _copy(
    study: Study, file: SourceFile, mirror: Path | None, download: Download
) -> tuple[Path, str]:
    """Find a local copy with the right digest, and say where it came from."""
    held = _in_mirror(file, mirror)
    if held is not None:
        _require_digest(study, file, held, f"the mirror's {held}")
        return held, "the mirror"
    if file.address is None:
        raise FetchError(
            f"study '{study.name}': no public address has the bytes of {file.path}: {file.origin}. "
            f"{_hint(mirror, file)}"
        )
    try:
        copy = download(file.address, f"{file.sha256[:16]}-{file.name}")
    except OSError as error:
        raise FetchError(
            f"study '{study.name}': {file.path} cannot be fetched from {file.address} ({error}). "
            f"{_hint(mirror, file)}"
        ) from error
    try:
        _require_digest(study, file, copy, file.address)
    except FetchError:
        copy.unlink()  # or the next fetch would find the same bytes in the cache
        raise
    return copy, file.address


def _in_mirror(file: SourceFile, mirror: Path | None) -> Path | None:
    if mirror is None:
        return None
    for candidate in (mirror / file.path, mirror / "datasets" / file.path):
        if candidate.is_file():
            return candidate
    return None


def _require_digest(study: Study, file: SourceFile, copy: Path, where: str) -> None:
    found = digest(copy)
    if found != file.sha256:
        raise FetchError(
            f"study '{study.name}': {file.path} is not the file that the catalogue names: {where} "
            f"has sha256 {found}, expected {file.sha256}. Nothing was written"
        )


def _hint(mirror: Path | None, file: SourceFile) -> str:
    where = "no mirror is named" if mirror is None else f"the mirror {mirror} does not hold it"
    return (
        f"And {where}: set published.mirror in config.yaml, or ISOFLOP_MIRROR, to a folder with "
        f"{file.path}"
    )


def _sidecar(study: Study, sweep: PublishedSweep) -> str:
    """Write sweep.yaml: the catalogue's words, with the study's citation and licence."""
    if sweep.sidecar is None:
        raise TypeError("a sweep without a side-car is not read")
    content = {"title": sweep.title, "citation": str(study.citation), "licence": study.licence}
    content |= sweep.sidecar.model_dump(mode="json", exclude_unset=True)
    head = "# Written from data/reference/published.yaml; edit it there.\n"
    return head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def downloader(cache: Path) -> Download:
    """Download with pooch, keeping what was fetched."""
    import pooch

    pooch.get_logger().setLevel("WARNING")

    def download(address: str, name: str) -> Path:
        # the digest is compared above, for mirror and network in the same words
        return Path(pooch.retrieve(address, known_hash=None, fname=name, path=cache))

    return download
