"""Predictions beyond the fitted data, and their scores."""
