# in:  data/losses/{sweep}.parquet, data/curves/{sweep}.runs.parquet
#      data/estimates/{sweep}/{approach}.json and .draws.parquet, forecast.json,
#      specifications.parquet
#      data/reference/*.yaml
# out: reports/{sweep}/figures/*.{svg,pdf,csv}, figures.json with what each shows in words


rule plot_figures:
    input:
        losses="data/losses/{sweep}.parquet",
        runs="data/curves/{sweep}.runs.parquet",
        estimates=expand("data/estimates/{{sweep}}/{approach}.json", approach=FITTED),
        draws=expand("data/estimates/{{sweep}}/{approach}.draws.parquet", approach=FITTED),
        mixture="data/estimates/{sweep}/mixture.json",
        mixture_draws="data/estimates/{sweep}/mixture.draws.parquet",
        forecast="data/estimates/{sweep}/forecast.json",
        specifications="data/estimates/{sweep}/specifications.parquet",
        reference=REFERENCE,
        announced=ANNOUNCED,
        code=code("figures"),
    output:
        report(
            directory("reports/{sweep}/figures"),
            patterns=["{name}.svg"],
            caption="../workflow/report/figures.rst",
            category="{sweep}",
            labels=figure_labels,
        ),
    log:
        "logs/plot_figures/{sweep}.log",
    benchmark:
        "benchmarks/plot_figures/{sweep}.tsv"
    threads: 2
    resources:
        mem_mb=memory(1500),
        runtime=minutes(20),
    params:
        reference=folder_of("reference"),
        settings=settings("figures"),
        estimates=folder_of("forecast"),
    shell:
        """
        isoflop plot-figures \
            --sweep {wildcards.sweep:q} \
            --losses {input.losses:q} \
            --runs {input.runs:q} \
            --estimates {params.estimates:q} \
            --specifications {input.specifications:q} \
            --reference {params.reference:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --out {output:q} \
            >{log:q} 2>&1
        """
