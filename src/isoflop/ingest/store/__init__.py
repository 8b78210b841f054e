"""The tables of a sweep, and what is kept so that unchanged files are not read again."""
