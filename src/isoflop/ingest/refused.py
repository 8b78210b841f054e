"""Why a raw file is not used: recorded as its fate, never a stop of the whole sweep."""

from isoflop.errors import IsoflopError


class RefusedError(IsoflopError):
    """A raw file cannot be read, and why."""
