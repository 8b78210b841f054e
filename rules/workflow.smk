# The whole workflow: each include is one room; they stand in the order in which the data flow.

from snakemake.utils import min_version

min_version("9.20")


include: "common.smk"
include: "train.smk"
include: "ingest.smk"
include: "losses.smk"
include: "approaches.smk"
include: "figures.smk"
include: "report.smk"
include: "published.smk"
include: "archive.smk"


# Fails, with what find_sweeps (src/isoflop/sweep_folders.py) says, after the other sweeps are built.
rule refuse_sweeps:
    input:
        REPORTS,
        INDEX,
    output:
        COMPLAINTS,
    log:
        "logs/refuse_sweeps.log",
    resources:
        mem_mb=memory(100),
        runtime=minutes(1),
    params:
        # by a function: its text is taken as it is, braces and all
        complaints=lambda wildcards: REFUSED,
    shell:
        "printf '%s\\n' {params.complaints:q} >{log:q}; exit 1"
