# in:  data/raw/{sweep}/**                       raw logs as the trainer wrote them, and sweep.yaml
#      (data/published/{study_sweep} for a published sweep)
# out: data/curves/{sweep}.parquet               one row per (run, segment, step)
#      data/curves/{sweep}.runs.parquet          one row per logical run
#      data/curves/{sweep}.files.parquet         one row per raw file, with its fate
#      data/curves/{sweep}.evals.parquet         one row per (run, step, eval set, metric)
#      data/curves/{sweep}.gates.parquet         one row per (check of plausibility, run)
#      data/curves/{sweep}.complaint.txt         why the sweep cannot go on, for build_losses to raise:
#                                                Snakemake removes the tables of a job that fails
# and, as a side effect, data/cache/ingest/*.parquet; it changes speed, never an output


rule ingest_sweep:
    input:
        raw=of_sweep("raw_logs"),
        # ancient: what of it concerns ingest is the parameter `facts`
        sidecar=ancient(of_sweep("sidecar")),
        code=code("ingest"),
    output:
        curves="data/curves/{sweep}.parquet",
        runs="data/curves/{sweep}.runs.parquet",
        files="data/curves/{sweep}.files.parquet",
        evals="data/curves/{sweep}.evals.parquet",
        gates="data/curves/{sweep}.gates.parquet",
        complaint="data/curves/{sweep}.complaint.txt",
    log:
        "logs/ingest_sweep/{sweep}.log",
    benchmark:
        "benchmarks/ingest_sweep/{sweep}.tsv"
    resources:
        mem_mb=memory_of_logs,
        runtime=minutes(20),
    params:
        settings=settings("ingest"),
        raw=of_inputs("raw_here"),
        facts=of_sweep("facts"),
        # a log replaced by one with an older time is read again
        state=of_sweep("raw_state"),
    shell:
        """
        isoflop ingest-sweep \
            --sweep {wildcards.sweep:q} \
            --raw {params.raw:q} \
            --cache data/cache/ingest \
            --settings {params.settings:q} \
            --curves {output.curves:q} \
            --runs {output.runs:q} \
            --files {output.files:q} \
            --evals {output.evals:q} \
            --gates {output.gates:q} \
            --complaint {output.complaint:q} \
            >{log:q} 2>&1
        """
