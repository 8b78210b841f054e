"""What a fit says of itself: estimates with their laws and diagnostics, and forecasts."""
