"""What rooms that draw share: one look, forests of exponents, and SVGs that can share a page."""
