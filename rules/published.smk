# Published studies as sweeps; optional, `snakemake published`. Between these rules the ordinary
# ones run, from ingest_sweep to render_report, on sweeps named published/{study_sweep}.
#
# in:  data/reference/published.yaml                what is published, and where
#      the files it names, from a mirror or over the network
# out: data/published/{study_sweep}/                raw files and sweep.yaml
#      reports/published/index.html, results.json   published beside reproduced numbers
#      reports/published/{study_sweep}/             a report as any sweep's (rules/report.smk)
#      reports/published/backtest.html, .json       laws fitted to the lower part of each study


rule published:
    input:
        "reports/published/index.html",
        "reports/published/backtest.html",
        published_reports,


rule fetch_published:
    input:
        # ancient: the entry below says what of the catalogue this sweep depends on
        catalogue=ancient(local(str(REFERENCE_FOLDER / "published.yaml"))),
        # not the whole room: what the page looks like fetches nothing anew
        code=[
            str(SOURCES / "published/catalogue.py"),
            str(SOURCES / "published/fetch.py"),
            str(SOURCES / "fetching.py"),
        ],
    output:
        directory("data/published/{study_sweep}"),
    log:
        "logs/fetch_published/{study_sweep}.log",
    benchmark:
        "benchmarks/fetch_published/{study_sweep}.tsv"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        entry=catalogue_entry,
        settings=settings("published"),
    shell:
        """
        isoflop fetch-published \
            --catalogue {input.catalogue:q} \
            --sweep {wildcards.study_sweep:q} \
            --settings {params.settings:q} \
            --cache data/cache/published \
            --out {output:q} \
            >{log:q} 2>&1
        """


rule compare_published:
    input:
        catalogue=local(str(REFERENCE_FOLDER / "published.yaml")),
        estimates=published_estimates,
        files=published_folders,
        reference=REFERENCE,
        code=code("published"),
    output:
        RESULTS,
    log:
        "logs/compare_published.log",
    benchmark:
        "benchmarks/compare_published.tsv"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(20),
    params:
        reference=folder_of("reference"),
        estimates=published_root("estimates", 3),
        files=published_root("files", 1),
    shell:
        """
        isoflop compare-published \
            --catalogue {input.catalogue:q} \
            --estimates {params.estimates:q} \
            --files {params.files:q} \
            --reference {params.reference:q} \
            --results {output:q} \
            >{log:q} 2>&1
        """


rule render_published:
    input:
        catalogue=local(str(REFERENCE_FOLDER / "published.yaml")),
        estimates=published_estimates,
        files=published_folders,
        raw_estimates=expand(
            "data/estimates/{sweep}/{approach}.json", sweep=SWEEPS, approach=APPROACHES
        ),
        reference=REFERENCE,
        code=code("published"),
    output:
        report(
            "reports/published/index.html",
            caption="../workflow/report/published.rst",
            category="Published studies",
            labels={"kind": "report", "name": "published"},
        ),
    log:
        "logs/render_published.log",
    benchmark:
        "benchmarks/render_published.tsv"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(20),
    params:
        reference=folder_of("reference"),
        sweeps=[f"--sweep={sweep}" for sweep in SWEEPS],
        estimates=published_root("estimates", 3),
        files=published_root("files", 1),
    shell:
        """
        isoflop render-published \
            --catalogue {input.catalogue:q} \
            --estimates {params.estimates:q} \
            --files {params.files:q} \
            --reference {params.reference:q} \
            {params.sweeps:q} \
            --html {output:q} \
            >{log:q} 2>&1
        """


rule backtest_laws:
    input:
        losses=backtest_losses,
        code=code("approaches"),
    output:
        "reports/published/backtest.json",
    log:
        "logs/backtest_laws.log",
    benchmark:
        "benchmarks/backtest_laws.tsv"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(240),
    params:
        plan=backtest_plan,
    shell:
        """
        isoflop backtest-laws \
            --plan {params.plan:q} \
            --out {output:q} \
            >{log:q} 2>&1
        """


rule render_backtest:
    input:
        backtest="reports/published/backtest.json",
        reference=REFERENCE,
        code=code("published"),
    output:
        report(
            "reports/published/backtest.html",
            caption="../workflow/report/published.rst",
            category="Published studies",
            labels={"kind": "report", "name": "backtest"},
        ),
    log:
        "logs/render_backtest.log",
    benchmark:
        "benchmarks/render_backtest.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        reference=folder_of("reference"),
    shell:
        """
        isoflop render-backtest \
            --backtest {input.backtest:q} \
            --reference {params.reference:q} \
            --html {output:q} \
            >{log:q} 2>&1
        """
