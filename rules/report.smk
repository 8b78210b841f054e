# in:  data/raw/{sweep}/sweep.yaml, data/curves/{sweep}.{runs,files,gates}.parquet
#      data/losses/{sweep}.parquet and .left_out.parquet, data/estimates/{sweep}/*
#      reports/{sweep}/figures, data/reference/*.yaml
#      (of a published sweep: data/published/{study_sweep}, reports/published/results.json)
# out: reports/{sweep}/report.html, report.pdf, tables/*.{csv,tex}
#      reports/index.html    every sweep beside the papers


rule render_report:
    input:
        sidecar=of_sweep("described"),
        losses="data/losses/{sweep}.parquet",
        left_out="data/losses/{sweep}.left_out.parquet",
        runs="data/curves/{sweep}.runs.parquet",
        files="data/curves/{sweep}.files.parquet",
        gates="data/curves/{sweep}.gates.parquet",
        estimates=expand("data/estimates/{{sweep}}/{approach}.json", approach=FITTED),
        draws=expand("data/estimates/{{sweep}}/{approach}.draws.parquet", approach=FITTED),
        mixture="data/estimates/{sweep}/mixture.json",
        mixture_draws="data/estimates/{sweep}/mixture.draws.parquet",
        forecast="data/estimates/{sweep}/forecast.json",
        specifications="data/estimates/{sweep}/specifications.parquet",
        figures="reports/{sweep}/figures",
        reference=REFERENCE,
        announced=ANNOUNCED,
        bibliography=local(str(REFERENCE_FOLDER / "references.bib")),
        results=of_sweep("results"),
        code=code("report"),
    output:
        html=report(
            "reports/{sweep}/report.html",
            caption="../workflow/report/report.rst",
            category="{sweep}",
            labels=report_labels("HTML"),
        ),
        pdf=report(
            "reports/{sweep}/report.pdf",
            caption="../workflow/report/report.rst",
            category="{sweep}",
            labels=report_labels("PDF"),
        ),
        tables=report(
            directory("reports/{sweep}/tables"),
            patterns=["{name}.csv"],
            caption="../workflow/report/tables.rst",
            category="{sweep}",
            labels={"kind": "table", "name": "{name}"},
        ),
    log:
        "logs/render_report/{sweep}.log",
    benchmark:
        "benchmarks/render_report/{sweep}.tsv"
    threads: 2
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        sidecar=of_inputs("sidecar_here"),
        results=lambda wildcards, input: ["--results", input.results] if input.results else [],
        reference=folder_of("reference"),
        settings=by_sweep("report"),
        losses=by_sweep("losses"),
        estimates=folder_of("forecast"),
    shell:
        """
        isoflop render-report \
            --sweep {wildcards.sweep:q} \
            --sidecar {params.sidecar:q} \
            --losses {input.losses:q} \
            --left-out {input.left_out:q} \
            --runs {input.runs:q} \
            --files {input.files:q} \
            --gates {input.gates:q} \
            --estimates {params.estimates:q} \
            --specifications {input.specifications:q} \
            --figures {input.figures:q} \
            --reference {params.reference:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --losses-settings {params.losses:q} \
            {params.results:q} \
            --html {output.html:q} \
            --pdf {output.pdf:q} \
            --tables {output.tables:q} \
            >{log:q} 2>&1
        """


rule render_index:
    input:
        sidecars=expand("data/raw/{sweep}/sweep.yaml", sweep=SWEEPS),
        estimates=expand(
            "data/estimates/{sweep}/{approach}.json", sweep=SWEEPS, approach=APPROACHES
        ),
        mixtures=expand("data/estimates/{sweep}/mixture.json", sweep=SWEEPS),
        runs=expand("data/curves/{sweep}.runs.parquet", sweep=SWEEPS),
        tables=expand("reports/{sweep}/tables", sweep=SWEEPS),
        reference=REFERENCE,
        code=code("report"),
    output:
        report(
            "reports/index.html",
            caption="../workflow/report/index.rst",
            category="All sweeps",
            labels={"kind": "report", "name": "index"},
        ),
    log:
        "logs/render_index.log",
    benchmark:
        "benchmarks/render_index.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        reference=folder_of("reference"),
        sweeps=indexed_sweeps,
        published=built_published(),
    shell:
        """
        isoflop render-index \
            {params.sweeps:q} \
            {params.published[0]:q} \
            --reference {params.reference:q} \
            --out {output:q} \
            >{log:q} 2>&1
        """
