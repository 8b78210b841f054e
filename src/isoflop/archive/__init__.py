"""The archive room: one self-describing file per sweep, to go with a paper."""

from isoflop.archive.archive_report import archive_report, members

__all__ = ["archive_report", "members"]
