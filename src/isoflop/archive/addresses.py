"""Host names and addresses that raw logs mention, so that nobody publishes them unawares."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BYTE: Final = rb"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
PATTERNS: Final = (
    # 127.0.0.1 and 0.0.0.0 say nothing of anybody
    re.compile(
        rb"(?<![\w.])(?!127\.|0\.0\.0\.0)" + BYTE + rb"(?:\." + BYTE + rb"){3}(?![\w.]*\d|\w)"
    ),
    re.compile(rb"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"),
    re.compile(
        rb"(?i)\bhost(?:_?name)?\b[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?P<name>[a-z][\w.-]{2,253})"
    ),
)
SHOWN: Final = 20
"""Addresses named in the README; the rest are counted."""


def addresses(files: Iterable[tuple[str, bytes]]) -> dict[str, list[str]]:
    """Find IPv4 addresses, mail addresses and host names in raw files.

    Parameters
    ----------
    files : name and content of each.

    Returns
    -------
    Address to the files that mention it, both sorted.
    """
    by_address: dict[str, set[str]] = {}
    for name, content in files:
        for pattern in PATTERNS:
            for match in pattern.finditer(content):
                group = "name" if "name" in pattern.groupindex else 0
                by_address.setdefault(match[group].decode("ascii", "replace"), set()).add(name)
    return {address: sorted(names) for address, names in sorted(by_address.items())}


def warning(by_address: Mapping[str, list[str]]) -> str:
    """Write the README's paragraph on them."""
    if not by_address:
        return "No host name, IPv4 address or mail address was found in the raw logs."
    shown = [
        f"  {address} in {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        for address, names in list(by_address.items())[:SHOWN]
    ]
    if len(by_address) > SHOWN:
        shown.append(f"  and {len(by_address) - SHOWN} more")
    return "\n".join([
        "The raw logs mention these host names and addresses. `archive: {include_raw: false}` in",
        "config.yaml leaves the logs out and keeps their digests.",
        *shown,
    ])  # fmt: skip
