"""The figures room: draws losses and estimates; it neither smooths nor fits."""
