# From raw videos to a submission. Rules are thin: each calls `trueframe <stage> <unit>`; src/trueframe/dag.py says which
# unit reads which file, and records beside the artifacts say which units are fresh.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")

# A workspace runs its own code, whatever else is installed.
sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from trueframe import params
from trueframe.engine import Engine
from trueframe.errors import UserError

# Before Snakemake reads it: its reader of YAML is a template engine that would run Python in there.
try:
    params.load(Path("params.yaml"))
except UserError as error:
    raise WorkflowError(str(error)) from None


configfile: "params.yaml"


try:
    engine = Engine(Path.cwd(), workflow.is_main_process, config)
except UserError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    part=r"(train|test)/[^/]+",
    train_part=r"train/[^/]+",
    seed=r"\d+",


# What is asked for when nothing is: the submission and, where labels are known, how good it is.
rule submission:
    input:
        engine.units("submission"),
        engine.units("evaluation"),
        engine.all_orphans(),
        engine.debts(),


include: "workflow/rules/faces.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/reports.smk"
include: "workflow/rules/targets.smk"


onstart:
    try:
        engine.start()
    except UserError as error:
        raise WorkflowError(str(error)) from None


# DVC learns what was made.
onsuccess:
    shell("python -m trueframe commit --ends-run")
