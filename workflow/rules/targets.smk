# Targets: `snakemake <stage>` makes every unit of a stage, and removes what units that are gone have left.
#
# Needs:  nothing
# Makes:  nothing of its own; the rule `submission` is in the Snakefile, for it is the default


rule prune:
    output:
        touch(".snakemake/pruned/{stage}"),
    log:
        "logs/prune/{stage}.log",
    benchmark:
        "logs/prune/{stage}.tsv"
    localrule: True
    conda:
        "../envs/trueframe.yaml"
    shell:
        "python -m trueframe prune {wildcards.stage:q} 2> {log:q}"


# Nothing but a reason to run: at the end of a run DVC is told, and a run with no job has no end.
rule commit:
    output:
        touch(".snakemake/told"),
    localrule: True


rule index:
    input:
        engine.units("index"),
        engine.orphans("index"),


rule bboxes:
    input:
        engine.units("bboxes"),
        engine.orphans("bboxes"),


rule crops:
    input:
        engine.units("crops"),
        engine.orphans("crops"),


rule landmarks:
    input:
        engine.units("landmarks"),
        engine.orphans("landmarks"),


rule masks:
    input:
        engine.units("masks"),
        engine.orphans("masks"),


rule folds:
    input:
        engine.units("folds"),


rule models:
    input:
        engine.units("models"),
        engine.orphans("models"),


rule predictions:
    input:
        engine.units("predictions"),
        engine.orphans("predictions"),


rule evaluation:
    input:
        engine.units("evaluation"),
