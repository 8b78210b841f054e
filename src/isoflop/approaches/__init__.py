"""The approaches room: three estimators of the compute-optimal allocation, and Kaplan's laws."""

from isoflop.approaches.fit_approach import fit_approach
from isoflop.approaches.fit_specifications import fit_specifications
from isoflop.approaches.score_forecasts import score_forecasts

__all__ = ["fit_approach", "fit_specifications", "score_forecasts"]
