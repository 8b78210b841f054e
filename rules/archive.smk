# in:  the report, its figures and tables, the estimates, the tables, the raw logs, config.yaml,
#      and the project itself: its rules, sources, published facts and pins
# out: reports/{sweep}/archive/{sweep}.zip


rule archive:
    input:
        sweeps_with("reports/{sweep}/archive/{sweep}.zip"),
        COMPLAINTS,


rule archive_report:
    input:
        html="reports/{sweep}/report.html",
        pdf="reports/{sweep}/report.pdf",
        figures="reports/{sweep}/figures",
        tables="reports/{sweep}/tables",
        estimates=lambda wildcards: estimate_files(wildcards.sweep),
        losses="data/losses/{sweep}.parquet",
        left_out="data/losses/{sweep}.left_out.parquet",
        alternate_loss="data/losses/{sweep}.alternate_loss.parquet",
        runs="data/curves/{sweep}.runs.parquet",
        files="data/curves/{sweep}.files.parquet",
        gates="data/curves/{sweep}.gates.parquet",
        raw=of_sweep("raw_files"),
        config=local(CONFIG_FILE),
        sidecar="data/raw/{sweep}/sweep.yaml",
        project=[local(str(path)) for path in project_files(PROJECT).values()],
        code=code("archive"),
    output:
        "reports/{sweep}/archive/{sweep}.zip",
    log:
        "logs/archive_report/{sweep}.log",
    benchmark:
        "benchmarks/archive_report/{sweep}.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        project=str(PROJECT),
        settings=settings("archive"),
        raw=of_inputs("raw_here"),
        config=json.dumps(config, sort_keys=True),
    shell:
        """
        isoflop archive-report \
            --sweep {wildcards.sweep:q} \
            --settings {params.settings:q} \
            --member report {input.html:q} \
            --member report {input.pdf:q} \
            --member report/figures {input.figures:q} \
            --member report/tables {input.tables:q} \
            --member tables {input.losses:q} \
            --member tables {input.left_out:q} \
            --member tables {input.alternate_loss:q} \
            --member tables {input.runs:q} \
            --member tables {input.files:q} \
            --member tables {input.gates:q} \
            --member settings {input.config:q} \
            --member settings {input.sidecar:q} \
            --raw {params.raw:q} \
            --sidecar {input.sidecar:q} \
            --files {input.files:q} \
            --config {params.config:q} \
            --project {params.project:q} \
            --out {output:q} \
            {input.estimates:q} \
            >{log:q} 2>&1
        """
