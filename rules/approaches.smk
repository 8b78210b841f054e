# in:  data/losses/{sweep}.parquet                       a published {sweep}@{variant} shares {sweep}'s
# out: data/estimates/{sweep}/{approach}.json            the estimate, or why there is none
#      data/estimates/{sweep}/{approach}.draws.parquet   its bootstrap draws


def approach_settings(wildcards):
    """Give what all approaches share and this approach's own part, so that one key reruns one."""
    section = config["approaches"]
    if is_published(wildcards.sweep):
        found = catalogue().approaches_settings(wildcards.sweep, wildcards.approach)
        section = found.model_dump(mode="json")
    keys = ["counting", "bootstrap", wildcards.approach]
    return json.dumps({key: section[key] for key in keys}, sort_keys=True)


def fitted_losses(wildcards):
    """Name the losses that are fitted: those of the sweep, whatever the variant of the fit."""
    return f"data/losses/{wildcards.sweep.partition('@')[0]}.parquet"


def wanted_budgets(wildcards):
    """Give the budgets at which optima are wanted."""
    budgets = config["report"]["budgets"]
    if is_published(wildcards.sweep):
        budgets = catalogue().find(wildcards.sweep)[1].budgets
    return [f"--budgets={budget!r}" for budget in budgets]


rule fit_approach:
    input:
        losses=fitted_losses,
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
        budgets=wanted_budgets,
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
