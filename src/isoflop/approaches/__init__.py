"""The approaches room: three estimators of the compute-optimal allocation, and Kaplan's laws."""
