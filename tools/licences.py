"""List what is installed under which licence.

    python3 run.py licences            name, version, licence, whether the project itself needs it
    python3 run.py licences --check    fails where a distribution does not say

The licence is what a distribution says of itself: its SPDX expression, else its classifiers, else
the first line of its field or of its licence's text.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from importlib import metadata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT: Final = "isoflop"
UNSAID: Final = "not said"
LONGEST: Final = 60
"""Characters of a licence field that is a name and no text of a licence."""


def main() -> None:
    """Print a table, and a count by licence."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    needed = closure(PROJECT)
    rows = sorted(
        (canonical(d.metadata["Name"]), d.version, licence(d)) for d in metadata.distributions()
    )
    print("| distribution | version | licence | for |\n|---|---|---|---|")
    for name, version, terms in rows:
        use = "running" if name in needed else "developing"
        print(f"| {name} | {version} | {terms} | {use} |")
    print()
    for terms, number in Counter(terms for _, _, terms in rows).most_common():
        print(f"{number:4d} {terms}")
    silent = [name for name, _, terms in rows if terms == UNSAID]
    if options.check and silent:
        sys.exit(f"no licence said by {', '.join(silent)}: look at the distribution")


def canonical(name: str) -> str:
    """Write a distribution's name as registries do."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(name: str) -> set[str]:
    """Name a distribution and all that it needs to run."""
    names, ahead = set(), [canonical(name)]
    while ahead:
        current = ahead.pop()
        if current in names:
            continue
        names.add(current)
        try:
            required = metadata.requires(current) or []
        except metadata.PackageNotFoundError:
            continue
        ahead += [canonical(n) for n in _names(required)]
    return names


def _names(required: list[str]) -> Iterator[str]:
    for requirement in required:
        if "extra ==" not in requirement:
            yield re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def licence(distribution: metadata.Distribution) -> str:
    """Give the licence that a distribution says it is under, as one line."""
    fields = distribution.metadata
    if expression := fields.get("License-Expression"):
        return str(expression)
    classified = [
        classifier.split(" :: ")[-1]
        for classifier in fields.get_all("Classifier") or []
        if classifier.startswith("License :: ") and not classifier.endswith("OSI Approved")
    ]
    if classified:
        return " and ".join(sorted(classified))
    written = (fields.get("License") or "").strip().split("\n")[0]
    if 0 < len(written) <= LONGEST:
        return written
    for file in distribution.files or []:
        if re.match(r"(?i)licen[cs]e|copying", file.name):
            heading = file.read_text(encoding="utf-8").strip().split("\n")[0].strip()
            return heading if 0 < len(heading) <= LONGEST else UNSAID
    return UNSAID


if __name__ == "__main__":
    main()
