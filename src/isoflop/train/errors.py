"""What can go wrong while a run is trained."""

from isoflop.errors import IsoflopError


class TrainingError(IsoflopError):
    """A run cannot be trained or resumed as the plan asks."""
