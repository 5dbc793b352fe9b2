"""The one configuration, typed: a model per section of params.yaml, and a section per stage.

What stands here can change a byte of a result; what can't (workers, devices, servers) is no parameter. Defaults are not
given: params.yaml says every value, so that a result's record does too.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trueframe.errors import UserError

Probability = Annotated[float, Field(ge=0, le=1)]
Thresholds = Annotated[list[Probability], Field(min_length=3, max_length=3)]
_THRESHOLDS = "score above which a face passes MTCNN's three nets (P, R, O)"


class Section(BaseModel):
    """A section: strict types, no unknown keys, no change after it is read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Index(Section):
    """Which videos there are."""

    min_frames: int = Field(ge=1, description="a video with fewer frames gets the status too_few_frames")


class TrainSampling(Section):
    """Faces of training videos."""

    every_n_frames: int = Field(ge=1, description="one frame of so many is searched and cropped, from the first on")
    thresholds: Thresholds = Field(description=_THRESHOLDS)


class TestSampling(Section):
    """Faces of test videos."""

    frames: int = Field(ge=1, description="frames searched and cropped, evenly spaced over the video")
    thresholds: Thresholds = Field(description=_THRESHOLDS)


class Scale(Section):
    """A row of the detector's scale table."""

    up_to_px: int = Field(ge=1, description="longest side of a frame, in pixels, to which the row applies")
    scale: float = Field(gt=0, le=4, description="factor by which the frame is resized before detection")


class Bboxes(Section):
    """Where the faces are: MTCNN and tracks."""

    train: TrainSampling
    test: TestSampling
    min_face_px: int = Field(ge=20, description="smallest face searched, in pixels of the resized frame")
    scales: list[Scale] = Field(min_length=1, description="rows by growing up_to_px; the first that fits is used")
    scale_above: float = Field(gt=0, le=4, description="factor for frames longer than the last row's up_to_px")
    track_overlap: Probability = Field(description="least overlap (IoU) of a face's boxes in two sampled frames")
    track_gap: int = Field(ge=0, description="sampled frames that a face may be missing and keep its track")

    @model_validator(mode="after")
    def _rows_grow(self) -> Bboxes:
        sides = [row.up_to_px for row in self.scales]
        if sides != sorted(set(sides)):
            raise ValueError(f"scales: up_to_px must grow from row to row, not {sides}")
        return self


class Crops(Section):
    """The faces' images."""

    margin: float = Field(ge=0, le=2, description="share of the box's width and height added on each side")
    webp_method: int = Field(
        ge=0,
        le=6,
        description="effort spent on small files, which are lossless WebPs: 1 makes them up to a fifth smaller than 0 "
        "and takes three times as long, more gains little; the pixels are the same at each",
    )


class Landmarks(Section):
    """Five points per crop of a real video: MTCNN on the crop."""

    thresholds: Thresholds = Field(description=_THRESHOLDS)
    min_face_px: int = Field(ge=20, description="smallest face searched, in pixels of the crop")


class Masks(Section):
    """Where a fake differs from its original: SSIM."""

    window_px: int = Field(ge=3, le=31, description="side of the SSIM window, in pixels, odd")

    @model_validator(mode="after")
    def _window_is_odd(self) -> Masks:
        if self.window_px % 2 == 0:
            raise ValueError(f"window_px: {self.window_px} must be odd")
        return self


class Folds(Section):
    """Which crops are held out together."""

    method: Literal["part", "original"] = Field(
        description="part: whole parts make a fold; original: a real video with its fakes stays in one fold"
    )
    count: int = Field(ge=2, description="number of folds")
    seed: int = Field(ge=0, lt=2**32, description="seed of the deal")


class Pooling(Section):
    """How a video's crops make its score, per model."""

    rule: Literal["confident", "mean", "max", "trimmed"] = Field(
        description="mean: of all scores; confident: of the high ones where enough are high, of the low ones where "
        "nearly all are low, else of all; max: the highest; trimmed: of all but the highest and lowest"
    )
    high: Probability = Field(description="a score above this is high")
    high_share: float = Field(
        gt=0, le=1, description="high scores count when more than floor(this times n) of n scores"
    )
    high_count: int = Field(ge=0, description="and more than this number are high")
    low: Probability = Field(description="a score below this is low")
    low_share: float = Field(gt=0, le=1, description="low scores count when more than this times n of n scores are low")
    trim: float = Field(
        ge=0,
        lt=0.5,
        description="trimmed leaves out floor(this times n) of n scores at each end; the others don't use it",
    )


class Augmentation(Section):
    """Probability of each change of a training crop, in the order in which they are made."""

    erase_landmarks: Probability = Field(
        description="erasing, first of three kinds to be drawn (at most one is made): a feature is tried, "
        "where landmarks are known"
    )
    erase_eyes: Probability = Field(description="then the eyes are blacked out")
    erase_mouth: Probability = Field(description="else the mouth")
    erase_nose: Probability = Field(description="else the nose, else nothing")
    erase_hull: Probability = Field(
        description="erasing, second kind: half of the face's outline, where landmarks are known"
    )
    erase_half: Probability = Field(
        description="erasing, third kind: half of the crop or two opposite quadrants, "
        "of a fake only if changed pixels stay"
    )
    jpeg: Probability = Field(description="JPEG compression at quality jpeg_quality_min to 100")
    jpeg_quality_min: int = Field(ge=1, le=100, description="lowest JPEG quality")
    noise: Probability = Field(description="Gaussian noise")
    blur: Probability = Field(description="Gaussian blur of 3 pixels")
    flip: Probability = Field(description="left and right exchanged")
    colour: Probability = Field(description="one of brightness-contrast, FancyPCA, hue-saturation")
    grey: Probability = Field(description="colours taken away")
    move: Probability = Field(description="shift, scale and rotation together")
    shift: Probability = Field(description="largest shift, as a share of the side")
    scale: float = Field(ge=0, lt=1, description="largest change of scale, as a share")
    rotate_deg: float = Field(ge=0, le=180, description="largest rotation, in degrees")


class Models(Section):
    """The training of one model per seed."""

    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(
        min_length=1, description="one model is trained per seed"
    )
    encoder: str = Field(min_length=1, description="name of a timm model")
    weights: str = Field(
        min_length=1,
        description="hub: the encoder's weights from timm's hub; none: random ones; else: path of a safetensors file",
    )
    size_px: int = Field(ge=32, le=1024, description="side of the square input, in pixels")
    holdout_fold: int = Field(ge=0, description="fold that validates and never trains")
    epochs: int = Field(ge=1, description="passes over the balanced sample")
    batches_per_epoch: int | None = Field(ge=1, description="batches in an epoch; null: as many as the sample fills")
    batch_size: int = Field(ge=2, description="crops in a batch, over all devices")
    lr: float = Field(gt=0, le=10, description="learning rate at the start")
    lr_power: float = Field(ge=0, le=10, description="power of the polynomial decay")
    schedule_batches: int | None = Field(
        ge=1, description="batches after which the rate would be 0; null: the training's own length"
    )
    momentum: float = Field(ge=0, lt=1, description="momentum of SGD, Nesterov's when above 0")
    weight_decay: float = Field(ge=0, le=1, description="weight decay of SGD")
    clip_norm: float = Field(gt=0, description="largest norm of the gradient")
    drop_path: float = Field(ge=0, lt=1, description="stochastic depth of the encoder")
    dropout: float = Field(ge=0, lt=1, description="dropout before the last layer")
    label_smoothing: float = Field(
        ge=0, lt=0.5, description="targets are this for a real crop and 1 minus this for a fake"
    )
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = Field(
        description="Lightning Fabric's name of the precision"
    )
    threads: int = Field(ge=1, le=64, description="CPU threads of the arithmetic; sums depend on it")
    min_changed_pixels: int | None = Field(
        ge=1,
        description="a fake crop needs so many changed pixels (above 20 of 255 in its mask) to train, since one with "
        "fewer probably shows an unswapped face; a track most of whose masks have fewer does not train at all; "
        "crops without a mask train; null: all train",
    )
    keep: int = Field(ge=1, le=99, description="best epochs whose weights are kept; a seed's score is their mean")
    pooling: Pooling
    validation_every_n_frames: int = Field(ge=1, description="crops of every so many frames validate")
    choice_fake_weight: float = Field(
        ge=0, le=10, description="w in (w * fake log loss + real log loss) / 2, the figure that chooses the epoch"
    )
    augmentation: Augmentation

    @model_validator(mode="after")
    def _seeds_differ_and_epochs_suffice(self) -> Models:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: {self.seeds} must differ from each other")
        if self.keep > self.epochs:
            raise ValueError(f"keep: {self.keep} must be no more than epochs, here {self.epochs}")
        return self


class Predictions(Section):
    """A score per crop and model."""

    backend: Literal["openvino", "torch", "compiled"] = Field(
        description="what computes on a CPU: OpenVINO, torch as it stands, or torch.compile, which needs a C++ "
        "compiler; on a GPU openvino is torch as it stands"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        description="bfloat16 is faster where the CPU or GPU has it; scores move by some hundredths"
    )
    batch_size: int = Field(
        ge=1,
        description="crops, of one or several videos, scored at once on a GPU; a CPU takes "
        "them one by one, the fastest there",
    )
    threads: int = Field(ge=1, le=64, description="CPU threads of the arithmetic; sums depend on it")
    train_folds: Literal["held_out", "all"] = Field(
        description="crops of train parts to score: those of the held-out fold, or all, to see how training crops score"
    )


class Submission(Section):
    """A score per test video."""

    pooling: Pooling
    temperature: float = Field(
        gt=0,
        le=100,
        description="a score's logit is divided by this; 1 leaves it; reports/evaluation/ tells the one that fits the "
        "held-out fold",
    )
    unknown_score: Probability = Field(description="score of a video that has no usable face; the detail file says why")


class Evaluation(Section):
    """How good the scores are."""

    pooling: Pooling
    unknown_score: Probability = Field(description="score of a labelled test video that has no usable face")
    threshold: Probability = Field(description="a score of at least this counts as fake, for accuracy and precision")
    log_loss_clip: float = Field(gt=0, lt=0.5, description="scores are kept this far from 0 and 1 in log_loss_clipped")
    calibration_bins: int = Field(
        ge=2, le=100, description="bins of equal width of the calibration plot and the calibration error"
    )
    prevalence: float = Field(
        gt=0, lt=1, description="share of fakes among the videos of the world, for the weighted precision"
    )
    fit_temperature: bool = Field(description="fit a temperature on the held-out fold and report what it changes")
    bootstrap_samples: int = Field(
        ge=0, le=100_000, description="samples of the 95 % intervals; 0 leaves the intervals out"
    )
    bootstrap_seed: int = Field(ge=0, lt=2**32, description="seed of the samples")
    face_size_px: list[Annotated[float, Field(gt=0)]] = Field(
        description="edges between the groups of face size: median of the longer side of a video's boxes, in pixels"
    )

    @model_validator(mode="after")
    def _edges_grow(self) -> Evaluation:
        if self.face_size_px != sorted(set(self.face_size_px)):
            raise ValueError(f"face_size_px: {self.face_size_px} must grow from edge to edge")
        return self


class Params(Section):
    """params.yaml as a whole."""

    index: Index
    bboxes: Bboxes
    crops: Crops
    landmarks: Landmarks
    masks: Masks
    folds: Folds
    models: Models
    predictions: Predictions
    submission: Submission
    evaluation: Evaluation

    @model_validator(mode="after")
    def _fold_exists(self) -> Params:
        if self.models.holdout_fold >= self.folds.count:
            raise ValueError(
                f"models.holdout_fold: {self.models.holdout_fold} must be below folds.count, here {self.folds.count}"
            )
        return self


def parse(text: str, name: str) -> Params:
    """Check the text of a parameters file called `name`; raises UserError with each wrong key, its value, what fits."""
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: of a date such as 2024-99-99
        raise UserError(f"{name}: not YAML: {error}") from error
    if not isinstance(values, dict):
        raise UserError(
            f"{name}: expected a mapping of sections ({', '.join(Params.model_fields)}), found {_shown(values)}"
        )
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        problems = "\n".join(f"  {_problem(dict(item))}" for item in error.errors())
        raise UserError(f"{name}: {error.error_count()} wrong; mend and run again:\n{problems}") from error


def load(path: Path) -> Params:
    """Read and check a parameters file; raises UserError when it is absent or wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: not there; run trueframe in the folder of the workspace, where params.yaml is"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text in UTF-8 ({error.reason} at byte {error.start})") from error
    return parse(text, str(path))


def _problem(error: dict[str, Any]) -> str:
    key = ".".join(str(step) for step in error["loc"])
    prefix = f"{key}: " if key else ""
    if error["type"] == "extra_forbidden":
        return f"{prefix}unknown; allowed here: {', '.join(_siblings(error['loc']))}"
    if error["type"] == "missing":
        return f"{prefix}missing; docs/params.md tells what it means"
    if error["type"] == "value_error":
        return f"{prefix}{error['ctx']['error']}"
    hint = ""
    if isinstance(error["input"], str) and _is_number(error["input"]):
        hint = " (YAML reads this as text: write 1.0e-4 rather than 1e-4, and no quotes)"
    return f"{prefix}{_shown(error['input'])}: {error['msg'][:1].lower()}{error['msg'][1:]}{hint}"


def _shown(value: Any) -> str:
    """A value for a message: by aliases, a few lines of YAML can be one of a thousand million items."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring = 3, 200
    return short.repr(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Params
    for step in location[:-1]:
        if isinstance(step, str):
            model = section_of(model.model_fields[step].annotation) or model
    return list(model.model_fields)


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field's type is or holds; None for a plain value."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
