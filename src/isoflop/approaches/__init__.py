"""The approaches room: three estimators of the compute-optimal allocation, and Kaplan's laws."""

from isoflop.approaches.fit_approach import fit_approach
from isoflop.approaches.score_forecasts import score_forecasts

__all__ = ["fit_approach", "score_forecasts"]
