# isoflop: raw logs of a training sweep -> loss tables -> estimates -> report.
#
#   snakemake --cores all            every report, and reports/index.html
#   snakemake --cores all archive    one archive per sweep, to go with a paper
#   snakemake --cores all train      trains the planned sweep (needs the extra `train`)
#   snakemake --cores all published  published studies, reproduced from their data


include: "rules/workflow.smk"


rule all:
    default_target: True
    input:
        REPORTS,
        INDEX,
        COMPLAINTS,
