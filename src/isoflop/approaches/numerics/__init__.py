"""Arrays in, arrays out: no settings, no tables."""
