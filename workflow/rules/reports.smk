# Reports: from the ensemble to scores, the submission and how good it is.
#
# Needs:  models/<seed>/, data/folds/, data/{index,crops}/, labels.csv in test parts whose labels are known
# Makes:  data/predictions/<seed>/, reports/submission*, reports/evaluation/
# Steps:  predictions → submission, evaluation


rule predictions_unit:
    input:
        units=lambda w: engine.upstream("predictions", f"{w.seed}/{w.part}"),
        stale=lambda w: engine.stale("predictions", f"{w.seed}/{w.part}"),
    output:
        touch(".snakemake/units/predictions/{seed}/{part}"),
    log:
        "logs/predictions/{seed}/{part}.log",
    benchmark:
        "logs/predictions/{seed}/{part}.tsv"
    conda:
        "../envs/trueframe.yaml"
    threads: 1
    resources:
        mem_mb=5000,
        gpu=1,
    params:
        unit=lambda w: f"{w.seed}/{w.part}",
    shell:
        "python -m trueframe predictions {params.unit:q} --workers {threads} 2> {log:q}"


rule submission_unit:
    input:
        units=engine.upstream("submission", "all"),
        stale=lambda w: engine.stale("submission", "all"),
    output:
        touch(".snakemake/units/submission/all"),
    log:
        "logs/submission/all.log",
    benchmark:
        "logs/submission/all.tsv"
    conda:
        "../envs/trueframe.yaml"
    resources:
        mem_mb=2000,
    shell:
        "python -m trueframe submission 2> {log:q}"


rule evaluation_unit:
    input:
        units=engine.upstream("evaluation", "all"),
        stale=lambda w: engine.stale("evaluation", "all"),
    output:
        touch(".snakemake/units/evaluation/all"),
    log:
        "logs/evaluation/all.log",
    benchmark:
        "logs/evaluation/all.tsv"
    conda:
        "../envs/trueframe.yaml"
    resources:
        mem_mb=4000,
    shell:
        "python -m trueframe evaluation 2> {log:q}"
