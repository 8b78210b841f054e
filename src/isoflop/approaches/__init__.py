"""The approaches room: three estimators of the compute-optimal allocation, and Kaplan's laws."""

from isoflop.approaches.fit_approach import fit_approach

__all__ = ["fit_approach"]
