# Training: from crops to the ensemble, seed by seed.
#
# Needs:  data/{index,crops,landmarks,masks}/train/<part>.*
# Makes:  data/folds/, models/<seed>/
# Steps:  folds → models


rule folds_unit:
    input:
        units=engine.upstream("folds", "all"),
        stale=lambda w: engine.stale("folds", "all"),
    output:
        touch(".snakemake/units/folds/all"),
    log:
        "logs/folds/all.log",
    benchmark:
        "logs/folds/all.tsv"
    conda:
        "../envs/trueframe.yaml"
    resources:
        mem_mb=4000,
    shell:
        "python -m trueframe folds 2> {log:q}"


# One thread by default: the arithmetic's threads are a parameter (models.threads), these are for loading, and seeds
# train side by side. profiles/gpu gives more. gpu: how many train one seed together; without a GPU, processes.
rule models_unit:
    input:
        units=lambda w: engine.upstream("models", w.seed),
        stale=lambda w: engine.stale("models", w.seed),
    output:
        touch(".snakemake/units/models/{seed}"),
    log:
        "logs/models/{seed}.log",
    benchmark:
        "logs/models/{seed}.tsv"
    conda:
        "../envs/trueframe.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        gpu=1,
    shell:
        "python -m trueframe models {wildcards.seed:q} --workers {threads} --devices {resources.gpu} 2> {log:q}"
