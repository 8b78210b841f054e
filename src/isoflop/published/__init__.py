"""The published room: open studies as sweeps, and their numbers reproduced."""

from isoflop.published.catalogue import read_catalogue
from isoflop.published.computed import Sources
from isoflop.published.fetch import downloader, fetch_published
from isoflop.published.render import render_published
from isoflop.published.results import verdicts

__all__ = [
    "Sources",
    "downloader",
    "fetch_published",
    "read_catalogue",
    "render_published",
    "verdicts",
]
