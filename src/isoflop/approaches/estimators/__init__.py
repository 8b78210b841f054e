"""The laws and approaches, and what they are built from."""
