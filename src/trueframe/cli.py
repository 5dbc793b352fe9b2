"""The command line: a subcommand per stage, and what a person asks of a workspace."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from trueframe.dag import ONE, STAGES
from trueframe.errors import UserError

app = typer.Typer(
    name="trueframe",
    help="Reproducible deepfake detection: folders of face videos in, an ensemble and a submission out. "
    "Run everything with `snakemake --cores all submission`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

Workers = Annotated[int, typer.Option(min=1, help="Processes that may work at once; the result is the same.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")]
_ABOUT = {
    "index": "List a part's videos: label, original, digest, frames, status.",
    "bboxes": "Find and track the faces of a part's videos.",
    "crops": "Cut the faces of a part's videos out.",
    "landmarks": "Find five points on each crop of a train part's real videos.",
    "masks": "Compare a train part's fakes with their originals.",
    "folds": "Deal the training crops out to folds.",
    "models": "Train the model of a seed.",
    "predictions": "Score a part's crops by a seed's model.",
    "submission": "Pool the scores of the test parts' videos.",
    "evaluation": "Measure the scores of videos whose labels are known.",
}


def _stage_command(stage: str) -> Callable[..., None]:
    units = STAGES[stage].units
    example = {
        "part": "train/part_00",
        "train part": "train/part_00",
        "seed": "111",
        "seed and part": "111/test/part_00",
        "one": ONE,
    }[units]
    help_text = "There is one." if units == "one" else f"Which one: a {units}, for one {example}."
    argument = typer.Argument(ONE if units == "one" else ..., help=help_text, show_default=False)

    def command(unit: str = argument, workers: Workers = 1, device: Device = "auto") -> None:
        from trueframe import runner, workspace

        if device not in ("auto", "cpu", "cuda"):
            raise UserError(f"--device {device}: expected auto, cpu or cuda")
        runner.run_unit(workspace.here(), stage, unit, workers, device)

    return command


for _stage in STAGES:
    app.command(_stage, help=_ABOUT[_stage])(_stage_command(_stage))


@app.command()
def status() -> None:
    """Show which units are fresh and why the others are not."""
    from trueframe import report, workspace

    report.status(workspace.here())


@app.command()
def summary() -> None:
    """Show how good the ensemble is, how many videos have which status, and where the submission is."""
    from trueframe import summary as summaries

    summaries.show(Path.cwd())


@app.command()
def prune(stage: str) -> None:
    """Remove a stage's files of parts and seeds that are no longer there."""
    from trueframe import upkeep, workspace

    if stage not in STAGES:
        raise UserError(f"{stage}: no such stage; expected one of {', '.join(STAGES)}")
    upkeep.prune(workspace.here(), stage)


@app.command()
def commit() -> None:
    """Tell DVC of the stages whose units are all fresh; Snakemake does it at the end of a run."""
    from trueframe import upkeep, workspace

    upkeep.commit(workspace.here())


@app.command("demo-data")
def demo_data(out: Annotated[Path, typer.Argument(help="Where the parts go.")] = Path("data/raw")) -> None:
    """Write a small data set in DFDC's layout, made from a public-domain portrait."""
    from trueframe import demo, report

    demo.write_demo(out, progress=report.counter("demo-data"))


@app.command()
def params() -> None:
    """Print the reference page of params.yaml, docs/params.md."""
    from trueframe import params as parameters

    sys.stdout.write(parameters.document())


def main() -> None:
    """Run the command line. A UserError ends in its message alone, any other exception in its traceback."""
    try:
        app()
    except UserError as error:
        sys.exit(f"trueframe: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
