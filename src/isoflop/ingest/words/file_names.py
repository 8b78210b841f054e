"""Names of files without what only says what kind of file they are."""

from __future__ import annotations

import re


def stem(name: str) -> str:
    """Give a path without its endings, by which settings and a log beside them are told one."""
    return re.sub(r"(?<=[^/])(?:\.[A-Za-z]\w{0,9})+$", "", name)
