# isoflop: raw logs of a training sweep -> loss tables -> estimates -> report.
#
#   snakemake --cores all            every report, and reports/index.html
#   snakemake --cores all archive    one archive per sweep, to go with a paper
#   snakemake --cores all train      trains the planned sweep (needs the extra `train`)
#   snakemake --cores all published  published studies, reproduced from their data
#
# Each include is one room; they stand in the order in which the data flow.

from snakemake.utils import min_version

min_version("9.20")


include: "rules/common.smk"
include: "rules/train.smk"
include: "rules/ingest.smk"
include: "rules/losses.smk"
include: "rules/approaches.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
include: "rules/published.smk"
include: "rules/archive.smk"


rule all:
    default_target: True
    input:
        REPORTS,
        INDEX,
        COMPLAINTS,


rule archive:
    input:
        sweeps_with("reports/{sweep}/archive/{sweep}.zip"),
        COMPLAINTS,


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
