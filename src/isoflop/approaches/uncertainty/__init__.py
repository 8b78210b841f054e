"""Bootstrap samples, intervals, and simulated sweeps that check them."""
