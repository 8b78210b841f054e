"""The archive room: one self-describing file per sweep, to go with a paper."""
