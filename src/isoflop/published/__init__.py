"""The published room: open studies as sweeps, and their numbers reproduced."""
