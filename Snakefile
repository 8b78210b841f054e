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


configfile: "config.yaml"


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
        sweeps_with("reports/{sweep}/report.html"),
        sweeps_with("reports/{sweep}/report.pdf"),
        "reports/index.html",


rule archive:
    input:
        sweeps_with("reports/{sweep}/archive/{sweep}.zip"),
