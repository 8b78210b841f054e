# in:  data/losses/{sweep}.parquet
# out: data/estimates/{sweep}/{approach}.json            the estimate, or why there is none
#      data/estimates/{sweep}/{approach}.draws.parquet   its bootstrap draws


def approach_settings(wildcards):
    """Give what all approaches share and this approach's own part, so that one key reruns one."""
    section = config["approaches"]
    keys = ["counting", "bootstrap", wildcards.approach]
    return json.dumps({key: section[key] for key in keys}, sort_keys=True)


rule fit_approach:
    input:
        losses="data/losses/{sweep}.parquet",
        code=code("approaches"),
    output:
        estimate="data/estimates/{sweep}/{approach}.json",
        draws="data/estimates/{sweep}/{approach}.draws.parquet",
    log:
        "logs/fit_approach/{sweep}/{approach}.log",
    benchmark:
        "benchmarks/fit_approach/{sweep}/{approach}.tsv"
    params:
        settings=approach_settings,
        budgets=[f"--budgets={budget!r}" for budget in config["report"]["budgets"]],
    threads: 1
    shell:
        """
        isoflop fit-approach \
            --approach {wildcards.approach:q} \
            --sweep {wildcards.sweep:q} \
            --losses {input.losses:q} \
            --settings {params.settings:q} \
            {params.budgets:q} \
            --threads {threads} \
            --estimate {output.estimate:q} \
            --draws {output.draws:q} \
            >{log:q} 2>&1
        """
