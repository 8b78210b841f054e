"""What trainers call things: names of columns, splits, models and files; their numbers."""
