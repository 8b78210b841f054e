"""Names of the runs of a tracker, whose keys are unique and whose names need not be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_SHOWN: Final = 8
"""Letters of a key that are shown behind a name that is not unique."""


def named_apart(runs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Name runs by their key too where several have one name.

    Parameters
    ----------
    runs : (key, name), each key once; a run without a name is called by its key.

    Returns
    -------
    By key a name that no other has.
    """
    listed = list(runs)
    counts = Counter(name for _, name in listed)
    names: dict[str, str] = {}
    for key, name in listed:
        alone = name and counts[name] == 1
        apart = f"{name} ({key[:KEY_SHOWN]})" if name else key
        unique = name if alone else apart
        names[key] = unique if unique not in names.values() else f"{name} ({key})"
    return names
