"""Plausibility of whole runs, once all their facts are merged."""
