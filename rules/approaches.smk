# in:  data/losses/{sweep}.parquet, .alternate_loss.parquet
#      data/reference/*.yaml                             the laws that approach 3 is tested against
# out: data/estimates/{sweep}/{approach}.json            the estimate, or why there is none
#      data/estimates/{sweep}/{approach}.draws.parquet   its bootstrap draws; a published sweep may
#                                                        be fitted again as {sweep}@<variant>
#      data/estimates/{sweep}/forecast.json              fits below a cut, scored above it
#      data/estimates/{sweep}/mixture.json, .draws.parquet    the laws of the loss, mixed
#      data/estimates/{sweep}/specifications.parquet     every combination of analysis choices, refitted


rule fit_approach:
    input:
        losses="data/losses/{sweep}.parquet",
        left_out="data/losses/{sweep}.left_out.parquet",
        reference=PUBLISHED_LAWS,
        code=code("approaches"),
    output:
        estimate="data/estimates/{sweep}{variant}/{approach}.json",
        draws="data/estimates/{sweep}{variant}/{approach}.draws.parquet",
    log:
        "logs/fit_approach/{sweep}{variant}/{approach}.log",
    benchmark:
        "benchmarks/fit_approach/{sweep}{variant}/{approach}.tsv"
    wildcard_constraints:
        approach="|".join(approach for approach in BY_KEY if approach not in LAWS),
    threads: 1
    resources:
        mem_mb=memory(1500),
        runtime=minutes(20),
    params:
        reference=folder_of("reference"),
        # intervals are calibrated on sweeps of every law that the runs do not reject
        settings=by_sweep("approaches", "counting", "bootstrap", "mixture", "{approach}", *LAWS),
    shell:
        """
        isoflop fit-approach \
            --approach {wildcards.approach:q} \
            --sweep {wildcards.sweep:q}{wildcards.variant:q} \
            --losses {input.losses:q} \
            --left-out {input.left_out:q} \
            --settings {params.settings:q} \
            --reference {params.reference:q} \
            --threads {threads} \
            --estimate {output.estimate:q} \
            --draws {output.draws:q} \
            >{log:q} 2>&1
        """


use rule fit_approach as fit_law with:
    wildcard_constraints:
        approach="|".join(LAWS),
    # the mixture waits for the laws alone, and figures for the mixture
    priority: 1


rule score_forecasts:
    input:
        losses="data/losses/{sweep}.parquet",
        code=code("approaches"),
    output:
        "data/estimates/{sweep}/forecast.json",
    log:
        "logs/score_forecasts/{sweep}.log",
    benchmark:
        "benchmarks/score_forecasts/{sweep}.tsv"
    # as the laws
    priority: 1
    threads: 1
    resources:
        mem_mb=memory(1500),
        runtime=minutes(20),
    params:
        settings=by_sweep("approaches", "counting", "bootstrap", "forecast", "mixture", *FITTED),
    shell:
        """
        isoflop score-forecasts \
            --sweep {wildcards.sweep:q} \
            --losses {input.losses:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --forecast {output:q} \
            >{log:q} 2>&1
        """


rule mix_laws:
    input:
        estimates=expand("data/estimates/{{sweep}}/{approach}.json", approach=LAWS),
        draws=expand("data/estimates/{{sweep}}/{approach}.draws.parquet", approach=LAWS),
        forecast="data/estimates/{sweep}/forecast.json",
        losses="data/losses/{sweep}.parquet",
        code=code("approaches"),
    output:
        mixture="data/estimates/{sweep}/mixture.json",
        draws="data/estimates/{sweep}/mixture.draws.parquet",
    log:
        "logs/mix_laws/{sweep}.log",
    benchmark:
        "benchmarks/mix_laws/{sweep}.tsv"
    priority: 1
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        settings=by_sweep("approaches", "counting", "bootstrap", "mixture", *LAWS),
        estimates=folder_of("forecast"),
    shell:
        """
        isoflop mix-laws \
            --sweep {wildcards.sweep:q} \
            --estimates {params.estimates:q} \
            --forecast {input.forecast:q} \
            --losses {input.losses:q} \
            --settings {params.settings:q} \
            --mixture {output.mixture:q} \
            --draws {output.draws:q} \
            >{log:q} 2>&1
        """


rule fit_specifications:
    input:
        losses="data/losses/{sweep}.parquet",
        alternate_loss="data/losses/{sweep}.alternate_loss.parquet",
        code=code("approaches"),
    output:
        "data/estimates/{sweep}/specifications.parquet",
    log:
        "logs/fit_specifications/{sweep}.log",
    benchmark:
        "benchmarks/fit_specifications/{sweep}.tsv"
    # takes longest
    priority: 1
    threads: 1
    resources:
        mem_mb=memory(1500),
        runtime=minutes(20),
    params:
        settings=by_sweep("approaches", "counting", "bootstrap", "specifications", *APPROACHES),
    shell:
        """
        isoflop fit-specifications \
            --sweep {wildcards.sweep:q} \
            --losses {input.losses:q} \
            --alternate-loss {input.alternate_loss:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --out {output:q} \
            >{log:q} 2>&1
        """
