"""The command line: a subcommand per stage, and what a person asks of a workspace."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from trueframe.audit import commands
from trueframe.audit.export import commands as exporting
from trueframe.dag import ONE, STAGES
from trueframe.errors import UserError
from trueframe.printable import printable

app = typer.Typer(
    name="trueframe",
    help="Reproducible deepfake detection: folders of face videos in, an ensemble and a submission out. "
    "Run everything with `snakemake --cores all submission`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

DEVICES = ("auto", "cpu", "cuda")
Workers = Annotated[int, typer.Option(min=1, help="Processes that may work at once; the result is the same.")]
Devices = Annotated[
    int, typer.Option(min=1, help="GPUs, or processes on the CPU, that train one model together; sums depend on it.")
]
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


def _check(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{option} {value}: expected {', '.join(allowed[:-1])} or {allowed[-1]}")


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

    def run(unit: str, workers: int, device: str, devices: int = 1) -> None:
        from trueframe import runner, workspace

        _check("--device", device, DEVICES)
        runner.run_unit(workspace.here(), stage, unit, workers, device, devices)

    def command(unit: str = argument, workers: Workers = 1, device: Device = "auto") -> None:
        run(unit, workers, device)

    def training(unit: str = argument, workers: Workers = 1, device: Device = "auto", devices: Devices = 1) -> None:
        run(unit, workers, device, devices)

    return training if stage == "models" else command


for _stage in STAGES:
    app.command(_stage, help=_ABOUT[_stage])(_stage_command(_stage))


@app.command("predict")
def predict_command(
    path: Annotated[Path, typer.Argument(help="A video, or a folder of videos; its subfolders are not searched.")],
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    workers: Workers = 1,
    device: Device = "auto",
    fake_above: Annotated[
        float | None, typer.Option(help="Scores above this are fake.", show_default="submission.pooling.high")
    ] = None,
    real_below: Annotated[
        float | None, typer.Option(help="Scores below this are real.", show_default="submission.pooling.low")
    ] = None,
) -> None:
    """Score videos by the trained models. The exit status is 1 when a video could not be scored."""
    from trueframe import listing, predict, workspace

    _check("--format", form, listing.FORMATS)
    _check("--device", device, DEVICES)
    here = workspace.here()
    pooling = here.params.submission.pooling
    bands = predict.Bands(
        pooling.high if fake_above is None else fake_above, pooling.low if real_below is None else real_below
    )
    rows = predict.predict(here, path, bands, workers, device)
    listing.show(rows, form)
    raise typer.Exit(1 if predict.unscored(rows) else 0)


@app.command("augment-sheet")
def augment_sheet(
    crop: Annotated[
        str | None,
        typer.Argument(
            help="train/<part>/<video>/<frame>_<track>.", show_default="the first fake with landmarks and a mask"
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("reports/augment-sheet.png"),
    count: Annotated[int, typer.Option(min=1, max=100, help="How many epochs to show.")] = 14,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the training.", show_default="the first one")] = None,
    epoch: Annotated[int, typer.Option(min=0, help="First epoch to show.")] = 0,
) -> None:
    """Draw what a training crop becomes, epoch by epoch, and what each kind of erasing takes away."""
    from trueframe import sheet, workspace

    here = workspace.here()
    sheet.write(here, out, crop, here.params.models.seeds[0] if seed is None else seed, range(epoch, epoch + count))
    print(out)


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
def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Ask nothing over the network.")] = False,
    json: commands.Json = False,
) -> None:
    """Tell what is wrong with the machine or the workspace, and what to do. The exit status is 1 when something is."""
    from trueframe.doctor import checkup

    findings = checkup.examine(Path.cwd(), offline)
    checkup.show(findings, json)
    raise typer.Exit(1 if checkup.wrong(findings) else 0)


@app.command()
def withdraw(
    video: Annotated[
        str,
        typer.Argument(help="<kind>/<part>/<video>, a path, a file's name, a SHA-256 or its start.", metavar="VIDEO"),
    ],
    reason: Annotated[
        str | None, typer.Option(help="Why: consent withdrawn, wrong label, … on one line.", show_default=False)
    ] = None,
    purge: Annotated[
        bool,
        typer.Option("--purge", help="Of one that is withdrawn: remove what older commits have from DVC's cache."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Purge without asking.")] = False,
) -> None:
    """Leave a video and the fakes made from it out of everything, from the next run on."""
    from trueframe import withdraw as withdrawing
    from trueframe import workspace

    if purge and reason is not None:
        raise UserError("withdraw: expected --reason TEXT to withdraw a video, or --purge later on; not both at once")
    if purge:
        commands.purge(workspace.here(), video, yes)
    elif reason is None:
        raise UserError("withdraw: expected --reason TEXT, or --purge for a video that is withdrawn already")
    else:
        for line in withdrawing.told(withdrawing.withdraw(workspace.here(), video, reason)):
            print(line)


@app.command()
def prune(stage: str) -> None:
    """Remove a stage's files of parts and seeds that are no longer there."""
    from trueframe import upkeep, workspace

    if stage not in STAGES:
        raise UserError(f"{stage}: no such stage; expected one of {', '.join(STAGES)}")
    upkeep.prune(workspace.here(), stage)


@app.command()
def commit(
    ends_run: Annotated[
        bool, typer.Option("--ends-run", hidden=True, help="Asked for by a run, as its last act.")
    ] = False,
) -> None:
    """Tell DVC of the stages whose units are all fresh; Snakemake does it at the end of a run."""
    from trueframe import upkeep, workspace

    upkeep.commit(workspace.here(), ends_run)


@app.command("demo-data")
def demo_data(out: Annotated[Path, typer.Argument(help="Where the parts go.")] = Path("data/raw")) -> None:
    """Write a small data set in DFDC's layout, made from a public-domain portrait."""
    from trueframe import demo, report

    demo.write_demo(out, progress=report.counter("demo-data"))


app.command()(commands.audit)
app.command()(commands.diff)
app.add_typer(exporting.app, name="export")


mlflow = typer.Typer(help="MLflow's registry and runs.", no_args_is_help=True)
app.add_typer(mlflow, name="mlflow")


@mlflow.command()
def champion(
    seed: Annotated[int | None, typer.Option(help="Of which model; else the best one.", show_default=False)] = None,
) -> None:
    """Make a model the champion, if it validated better than the present one and on the same data."""
    from trueframe import workspace
    from trueframe.tracking import registry

    print(registry.crown(workspace.here(), seed))


@mlflow.command()
def rebuild() -> None:
    """Make the runs and model versions that MLflow lacks, from the files that are here."""
    from trueframe import workspace
    from trueframe.tracking import rebuild as rebuilding

    for line in rebuilding.rebuild(workspace.here()):
        print(line, flush=True)


@app.command()
def params() -> None:
    """Print the reference page of params.yaml, docs/params.md."""
    from trueframe import reference

    sys.stdout.write(reference.document())


def main() -> None:
    """Run the command line. A UserError ends in its message alone, any other exception in its traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no dash gets an escape, and no traceback
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except UserError as error:
        sys.exit("trueframe: " + "\n".join(printable(line) for line in str(error).split("\n")))
    except KeyboardInterrupt:
        sys.exit(130)
