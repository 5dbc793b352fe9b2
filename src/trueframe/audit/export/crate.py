"""A Provenance Run Crate: the workspace as an RO-Crate, with an action per unit, what it read, made and was told.

Source: RO-Crate 1.1 (https://w3id.org/ro/crate/1.1) and Provenance Run Crate 0.5
(https://w3id.org/ro/wfrun/provenance/0.5), described by Leo et al., PLOS ONE 19(9), 2024. A crate is the folder that
its metadata file lies in, so that file lies in the workspace. Raw videos are told of by part: the index of a part has
the SHA-256 of each.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from trueframe import raw
from trueframe.audit.comparison.packages import pins
from trueframe.audit.export.crate_entities import Entities, Ref, file_ref, parameter_uri, ref
from trueframe.audit.export.source import Source
from trueframe.audit.snapshot import Node
from trueframe.audit.trail import params_of
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.files import canonical_json, sha256_text
from trueframe.records import LOCK, Record
from trueframe.workspace import DVC, PARAMS

NAME = Path("ro-crate-metadata.json")
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
_WORKFLOW = Path("Snakefile")
_ENGINE = "https://snakemake.github.io"
_DONE = "http://schema.org/CompletedActionStatus"
_RESULTS = ("models", "submission", "evaluation")


def text(source: Source, licence: str) -> str:
    """The metadata file of a workspace's crate.

    licence: of what the crate holds, a URI. Raises UserError where there is no record, where an artifact is not here,
    and where a link between units does not hold.
    """
    if not source.records:
        raise UserError(f"{source.root}: expected records; run `dvc pull`, or make them with snakemake")
    source.unbroken(source.records)
    for path in (_WORKFLOW, DVC, PARAMS, LOCK):
        if not (source.root / path).is_file():
            raise UserError(f"{path}: expected it in the workspace; `git checkout -- {path}` brings it back")
    return canonical_json(_Crate(source).described(licence))


class _Crate:
    def __init__(self, source: Source) -> None:
        self.source, self.records = source, source.records
        self.entities = Entities(source.root)
        self.lock = self.entities.versioned(LOCK)
        self.entities.versioned(DVC)
        self._tools: dict[str, tuple[str, Ref]] = {}
        self._parts: dict[str, Ref] = {}

    def described(self, licence: str) -> object:
        """All of it, as JSON-LD."""
        for path, node in self.source.graph.makers.items():
            output = self.records[node].outputs[path]
            self.entities.file(path, output.sha256, output.size, exampleOfWork=self._kind(node, path))
        runs = {node: self._run(node, record) for node, record in self.records.items()}
        whole = self._whole(self._workflow())
        mentions = [whole, *runs.values(), self._organised(runs, whole)]
        self.entities.dataset(
            name="trueframe",
            description="An ensemble of deepfake detectors, its scores and their evaluation, with the parameters, "
            f"code and inputs that made each file, at git commit {self.source.commit}. The raw videos are not files "
            "of it; the index of a part has the SHA-256 of each.",
            datePublished=self.source.date,
            license=self.entities.add(licence, "CreativeWork", name=licence),
            conformsTo=[
                self.entities.add(uri, "CreativeWork", name=name, version=version)
                for uri, (name, version) in _PROFILES.items()
            ],
            mentions=mentions,
        )
        return self.entities.described()

    def _kind(self, node: Node, path: str) -> Ref:
        """Which of its stage's outputs an artifact is."""
        stage, unit = node
        for name, pattern in STAGES[stage].outputs.items():
            head, rank, tail = pattern.format(unit=unit, rank="\0").partition("\0")
            if path == head or (rank and path.startswith(head) and path.endswith(tail)):
                return self.entities.parameter(f"{stage}.{name}", "File")
        return self.entities.parameter(stage, "File")  # an output that the stage had when the record was written

    def _run(self, node: Node, record: Record) -> Ref:
        """The action that made a unit."""
        stage, unit = node
        read = dict.fromkeys(self._read(path, digest) for path, digest in record.recipe.inputs.items())
        given = params_of(record) | ({"seed": int(unit)} if STAGES[stage].units == "seed" else {})
        return self.entities.add(
            f"#run/{stage}/{quote(unit)}",
            "CreateAction",
            name=f"{stage} {unit}",
            identifier=f"sha256:{record.recipe.digest}",
            instrument=self._tool(record),
            object=[*map(ref, read), *(self.entities.value(name, value) for name, value in given.items())],
            result=[*map(file_ref, record.outputs), self.entities.versioned(STAGES[stage].record_path(unit))],
            actionStatus=_DONE,
        )

    def _read(self, path: str, digest: str) -> str:
        """The name of what a unit read: an artifact, raw files of a part, or something that no unit made."""
        if path in self.source.graph.makers:
            return quote(path)
        if path.startswith(f"{raw.RAW}/"):
            unit = "/".join(path.removeprefix(f"{raw.RAW}/").split("/")[:2])
            return self._parts[unit]["@id"] if unit in self._parts else self._part(unit)["@id"]
        uri = f"#input/{quote(path)}/{quote(digest)}"
        return self.entities.add(uri, "CreativeWork", name=path, identifier=digest)["@id"]

    def _part(self, unit: str) -> Ref:
        """A part's raw files."""
        record = self.records.get(("index", unit))
        files = sum(path.startswith(f"{raw.RAW}/") for path in record.recipe.inputs) if record else 0
        tables = list(record.outputs.items()) if record else []
        self._parts[unit] = self.entities.add(
            f"#raw/{quote(unit)}",
            "Dataset",
            name=f"{raw.RAW}/{unit}",
            description=f"{files} files; its index tells of {sum(output.items for _, output in tables)} videos",
            subjectOf=[file_ref(path) for path, _ in tables],
            exampleOfWork=self.entities.parameter(str(raw.RAW), "Dataset"),
        )
        return self._parts[unit]

    def _tool(self, record: Record) -> Ref:
        """A stage as its code was, on the Python and the packages that it ran on."""
        facts = [record.stage, record.recipe.code, record.environment]
        key = sha256_text(canonical_json(facts))[:16]
        if key not in self._tools:
            held, environment = self.source.held(record), record.environment
            told = self.entities.add(
                f"#tool/{record.stage}/{key}",
                "SoftwareApplication",
                name=f"trueframe {record.stage}",
                softwareVersion=held.first or "in no commit",
                hasPart=[self._module(path, digest) for path, digest in record.recipe.code.items()],
                runtimePlatform=f"Python {environment.get('python', '?')}, {environment.get('platform', '?')}",
                softwareRequirements=self._lock(environment.get("lock", "missing")),
            )
            self._tools[key] = record.stage, told
        return self._tools[key][1]

    def _module(self, path: str, digest: str) -> Ref:
        told = "identifier: SHA-256 of the source without comments and blank lines"
        uri = f"#module/{quote(path)}/{quote(digest)}"
        return self.entities.add(uri, "SoftwareSourceCode", name=path, identifier=digest, description=told)

    def _lock(self, digest: str) -> Ref:
        """The lock of the packages: the file in the crate where it is that."""
        if digest == self.source.lock:
            return self.lock
        return self.entities.add(f"#input/{LOCK}/{quote(digest)}", "CreativeWork", name=str(LOCK), identifier=digest)

    def _steps(self) -> list[Ref]:
        return [
            self.entities.add(
                f"#step/{stage}",
                "HowToStep",
                name=stage,
                position=str(number),
                workExample=[tool for of, tool in self._tools.values() if of == stage],
            )
            for number, stage in enumerate(STAGES)
            if any(of == stage for of, _ in self._tools.values())
        ]

    def _workflow(self) -> Ref:
        given = dict.fromkeys(name for record in self.records.values() for name in params_of(record))
        inputs = [ref(parameter_uri(str(raw.RAW), "Dataset")), *(ref(parameter_uri(name)) for name in given)]
        outputs = {self._kind(node, path)["@id"]: None for path, node in self._results()}
        return self.entities.workflow(
            _WORKFLOW,
            name="trueframe",
            input=inputs,
            output=[ref(uri) for uri in outputs],
            hasPart=[tool for _, tool in self._tools.values()],
            softwareRequirements=self.lock,
            step=self._steps(),
        )

    def _results(self) -> list[tuple[str, Node]]:
        return [(path, node) for path, node in self.source.graph.makers.items() if node[0] in _RESULTS]

    def _whole(self, workflow: Ref) -> Ref:
        """The run of the workflow as one action."""
        return self.entities.add(
            "#run",
            "CreateAction",
            name="trueframe",
            instrument=workflow,
            object=[*self._parts.values(), self.entities.versioned(PARAMS)],
            result=[file_ref(path) for path, _ in self._results()],
            actionStatus=_DONE,
        )

    def _organised(self, runs: dict[Node, Ref], whole: Ref) -> Ref:
        """That Snakemake ran the units, each by its step."""
        controls = [
            self.entities.add(
                f"#control/{stage}/{quote(unit)}",
                "ControlAction",
                name=f"{stage} {unit}",
                instrument=ref(f"#step/{stage}"),
                object=run,
            )
            for (stage, unit), run in runs.items()
        ]
        version = pins((self.source.root / LOCK).read_text(encoding="utf-8")).get("snakemake")
        engine = self.entities.add(
            _ENGINE, "SoftwareApplication", name="Snakemake", url=_ENGINE, softwareVersion=version
        )
        return self.entities.add(
            "#organised", "OrganizeAction", name="Snakemake", instrument=engine, object=controls, result=whole
        )
