"""Which files, and which parts of them, make one run."""
