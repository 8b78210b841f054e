"""The ingest room: raw logs of any known format become curves, runs, evals, and files with a fate.

Table of contents: `source` opens a raw file as clean lines; `patterns` recognises its format;
`formats/` holds one reader per format, which yields the `events` of a log; `parsed` gathers and
caches them; `fates` says what becomes of each file; `sidecar`, `facts` and `runs` say what each run
is; `segments` puts restarts in order; `tabulate` lays the tables out, `gates` doubts implausible
values; `sweep` ties them together.
"""
