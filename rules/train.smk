# Train the runs of a plan; optional, needs the extra `train`.
#
# in:  data/plans/{sweep}.yaml                      the plan that config.yaml names (train.plan)
#      data/reference/corpora/{corpus}.yaml         where the corpus comes from
# out: data/corpora/{corpus}.txt                    the corpus, fetched and checked
#      data/checkpoints/{sweep}/{run}.done          one marker per finished run
# and, as a side effect, data/raw/{sweep}/{role}/{run}.jsonl
#
# A raw log is no output of a rule: `all` reads it, so an edit of the trainer's code would delete
# and retrain what took hours. The marker is the output; a run whose log has ended returns at once.


rule train:
    input:
        planned_markers,


rule fetch_corpus:
    input:
        # ancient: train-run checks the text's digest itself
        recipe=ancient("data/reference/corpora/{corpus}.yaml"),
    output:
        text="data/corpora/{corpus}.txt",
    log:
        "logs/fetch_corpus/{corpus}.log",
    benchmark:
        "benchmarks/fetch_corpus/{corpus}.tsv"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    shell:
        """
        isoflop fetch-corpus \
            --recipe {input.recipe:q} \
            --out {output.text:q} \
            >{log:q} 2>&1
        """


rule train_run:
    input:
        # ancient: a plan written anew does not retrain what is trained; train-run compares each
        # log with the plan and refuses a log of another run
        plan=ancient("data/plans/{sweep}.yaml"),
        corpus=ancient(planned_corpus),
        trunk=ancient(planned_trunk),
    output:
        done="data/checkpoints/{sweep}/{run}.done",
    log:
        "logs/train_run/{sweep}/{run}.log",
    benchmark:
        "benchmarks/train_run/{sweep}/{run}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(1440),
        gpu=1 if config["train"]["gpu"] else 0,
        gpu_share=100 // config["train"]["runs_per_gpu"],
    params:
        device="cuda" if config["train"]["gpu"] else "cpu",
    shell:
        """
        isoflop train-run \
            --plan {input.plan:q} \
            --run {wildcards.run:q} \
            --device {params.device:q} \
            --threads {threads:q} \
            --done {output.done:q} \
            >{log:q} 2>&1
        """
