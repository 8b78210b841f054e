# in:  data/curves/{sweep}.parquet, .runs.parquet, .files.parquet, .complaint.txt
# out: data/losses/{sweep}.parquet                  one row per (run, point used for fitting)
#      data/losses/{sweep}.left_out.parquet         one row per file, run or points not fitted: why
#      data/losses/{sweep}.alternate_loss.parquet   the same runs by train instead of eval loss, or
#                                                   the other way round; empty where not all have it
# and, as a side effect, data/cache/losses/{sweep}.entry; it changes speed, never an output


rule build_losses:
    input:
        curves="data/curves/{sweep}.parquet",
        runs="data/curves/{sweep}.runs.parquet",
        files="data/curves/{sweep}.files.parquet",
        complaint="data/curves/{sweep}.complaint.txt",
        code=code("losses"),
    output:
        losses="data/losses/{sweep}.parquet",
        left_out="data/losses/{sweep}.left_out.parquet",
        alternate_loss="data/losses/{sweep}.alternate_loss.parquet",
    log:
        "logs/build_losses/{sweep}.log",
    benchmark:
        "benchmarks/build_losses/{sweep}.tsv"
    resources:
        mem_mb=memory(2500),
        runtime=minutes(10),
    params:
        settings=by_sweep("losses"),
    shell:
        """
        isoflop build-losses \
            --sweep {wildcards.sweep:q} \
            --curves {input.curves:q} \
            --runs {input.runs:q} \
            --files {input.files:q} \
            --complaint {input.complaint:q} \
            --settings {params.settings:q} \
            --cache data/cache/losses \
            --losses {output.losses:q} \
            --left-out {output.left_out:q} \
            --alternate-loss {output.alternate_loss:q} \
            >{log:q} 2>&1
        """
