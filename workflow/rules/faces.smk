# Faces: from raw videos to crops, landmarks and masks, part by part.
#
# Needs:  data/raw/{train,test}/<part>/, a train part with DFDC's metadata.json
# Makes:  data/{index,bboxes,crops}/{train,test}/<part>.*, data/{landmarks,masks}/train/<part>.*
# Steps:  index → bboxes → crops → landmarks, masks
#
# A rule's inputs are the units that it reads, as the engine shows them, and a file for each reason why its own is stale.


rule index_unit:
    input:
        stale=lambda w: engine.stale("index", w.part),
    output:
        touch(".snakemake/units/index/{part}"),
    log:
        "logs/index/{part}.log",
    benchmark:
        "logs/index/{part}.tsv"
    conda:
        "../envs/trueframe.yaml"
    threads: engine.share("index", workflow.cores)
    resources:
        mem_mb=1000,
    shell:
        "python -m trueframe index {wildcards.part:q} --workers {threads} 2> {log:q}"


rule bboxes_unit:
    input:
        units=lambda w: engine.upstream("bboxes", w.part),
        stale=lambda w: engine.stale("bboxes", w.part),
    output:
        touch(".snakemake/units/bboxes/{part}"),
    log:
        "logs/bboxes/{part}.log",
    benchmark:
        "logs/bboxes/{part}.tsv"
    conda:
        "../envs/trueframe.yaml"
    threads: engine.share("bboxes", workflow.cores)
    resources:
        mem_mb=1500,
    shell:
        "python -m trueframe bboxes {wildcards.part:q} --workers {threads} 2> {log:q}"


rule crops_unit:
    input:
        units=lambda w: engine.upstream("crops", w.part),
        stale=lambda w: engine.stale("crops", w.part),
    output:
        touch(".snakemake/units/crops/{part}"),
    log:
        "logs/crops/{part}.log",
    benchmark:
        "logs/crops/{part}.tsv"
    conda:
        "../envs/trueframe.yaml"
    threads: engine.share("crops", workflow.cores)
    resources:
        mem_mb=1500,
    shell:
        "python -m trueframe crops {wildcards.part:q} --workers {threads} 2> {log:q}"


rule landmarks_unit:
    input:
        units=lambda w: engine.upstream("landmarks", w.train_part),
        stale=lambda w: engine.stale("landmarks", w.train_part),
    output:
        touch(".snakemake/units/landmarks/{train_part}"),
    log:
        "logs/landmarks/{train_part}.log",
    benchmark:
        "logs/landmarks/{train_part}.tsv"
    conda:
        "../envs/trueframe.yaml"
    threads: engine.share("landmarks", workflow.cores)
    resources:
        mem_mb=1500,
    shell:
        "python -m trueframe landmarks {wildcards.train_part:q} --workers {threads} 2> {log:q}"


rule masks_unit:
    input:
        units=lambda w: engine.upstream("masks", w.train_part),
        stale=lambda w: engine.stale("masks", w.train_part),
    output:
        touch(".snakemake/units/masks/{train_part}"),
    log:
        "logs/masks/{train_part}.log",
    benchmark:
        "logs/masks/{train_part}.tsv"
    conda:
        "../envs/trueframe.yaml"
    threads: engine.share("masks", workflow.cores)
    resources:
        mem_mb=1500,
    shell:
        "python -m trueframe masks {wildcards.train_part:q} --workers {threads} 2> {log:q}"
