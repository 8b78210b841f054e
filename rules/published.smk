# Published studies as sweeps; optional, `snakemake published`. Between these two rules the ordinary
# ones run: ingest_sweep, build_losses and fit_approach, on sweeps named published/{study_sweep}.
#
# in:  data/reference/published.yaml                what is published, and where
#      the files it names, from a mirror or over the network
# out: data/published/{study_sweep}/                raw files and sweep.yaml
#      reports/published/index.html, results.json   published beside reproduced numbers


def catalogue_entry(wildcards):
    """Give what the catalogue says of one sweep, so that an edit of it fetches it again."""
    study, sweep = catalogue().find(wildcards.study_sweep)
    files = [study.file(path).model_dump(mode="json") for path in sweep.files]
    said = sweep.model_dump(mode="json", include={"title", "sidecar"}, exclude_unset=True)
    return json.dumps([files, said, str(study.citation), study.licence], sort_keys=True)


def published_estimates(wildcards):
    """Name every estimate that a published number is compared with."""
    return [f"data/estimates/{path}/{fit.approach}.json" for path, fit in catalogue().fits()]


def published_folders(wildcards):
    """Name the folder of every published sweep."""
    return [
        f"data/published/{sweep.name}" for study in catalogue().studies for sweep in study.sweeps
    ]


rule published:
    input:
        "reports/published/index.html",
        "reports/published/results.json",


rule fetch_published:
    input:
        # ancient: the entry below says what of the catalogue this sweep depends on
        catalogue=ancient("data/reference/published.yaml"),
        # not the whole room: what the page looks like fetches nothing anew
        code=["src/isoflop/published/catalogue.py", "src/isoflop/published/fetch.py"],
    output:
        directory("data/published/{study_sweep}"),
    log:
        "logs/fetch_published/{study_sweep}.log",
    benchmark:
        "benchmarks/fetch_published/{study_sweep}.tsv"
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


rule render_published:
    input:
        catalogue="data/reference/published.yaml",
        estimates=published_estimates,
        files=published_folders,
        own=expand("data/estimates/{sweep}/{approach}.json", sweep=SWEEPS, approach=APPROACHES),
        reference=REFERENCE,
        code=code("published"),
    output:
        html=report(
            "reports/published/index.html",
            caption="../workflow/report/published.rst",
            category="Published studies",
            labels={"kind": "report", "name": "published"},
        ),
        results="reports/published/results.json",
    log:
        "logs/render_published.log",
    benchmark:
        "benchmarks/render_published.tsv"
    params:
        sweeps=[f"--sweep={sweep}" for sweep in SWEEPS],
    shell:
        """
        isoflop render-published \
            --catalogue {input.catalogue:q} \
            --estimates data/estimates \
            --files data/published \
            --reference data/reference \
            {params.sweeps:q} \
            --html {output.html:q} \
            --results {output.results:q} \
            >{log:q} 2>&1
        """
