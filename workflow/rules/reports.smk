# Reports: from the ensemble to scores, the submission and how good it is.
#
# Needs:  models/<seed>/, data/folds/, data/{index,crops}/, labels.csv in test parts whose labels are known
# Makes:  data/predictions/<seed>/, reports/submission*, reports/evaluation/
# Steps:  predictions → submission, evaluation


rule predictions_unit:
    input:
        records=lambda w: engine.upstream("predictions", f"{w.seed}/{w.part}"),
        stale=lambda w: engine.stale("predictions", f"{w.seed}/{w.part}"),
        artifacts=ancient(
            lambda w: engine.artifacts("predictions", f"{w.seed}/{w.part}")
        ),
    output:
        update("data/predictions/{seed}/{part}.parquet"),
        update("data/predictions/{seed}/{part}.json"),
    log:
        "logs/predictions/{seed}/{part}.log",
    benchmark:
        "logs/predictions/{seed}/{part}.tsv"
    conda:
        "../envs/trueframe.yaml"
    threads: 1
    resources:
        mem_mb=3000,
    params:
        unit=lambda w: f"{w.seed}/{w.part}",
    shell:
        "python -m trueframe predictions {params.unit:q} --workers {threads} 2> {log:q}"


rule submission_unit:
    input:
        records=engine.upstream("submission", "all"),
        stale=lambda w: engine.stale("submission", "all"),
        artifacts=ancient(engine.artifacts("submission", "all")),
    output:
        update("reports/submission.csv"),
        update("reports/submission_detail.csv"),
        update("reports/submission.json"),
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
        records=engine.upstream("evaluation", "all"),
        stale=lambda w: engine.stale("evaluation", "all"),
        artifacts=ancient(engine.artifacts("evaluation", "all")),
    output:
        update("reports/evaluation/metrics.json"),
        update("reports/evaluation/roc.csv"),
        update("reports/evaluation/calibration.csv"),
        update("reports/evaluation/folds.csv"),
        update("reports/evaluation/roc.png"),
        update("reports/evaluation/calibration.png"),
        update("reports/evaluation/folds.png"),
        update("reports/evaluation/record.json"),
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
