"""The scenes of the demo data: a portrait that moves before a background, and the fakes of it.

Every *scene* is one recording: a variation of the portrait (a mildly different face each time) moves before a
background, under its own light, through its own camera. A *swap* is made as real ones are: in each frame the face is
cut out as a small square, changed (warped, recoloured, resampled, as face-swapping networks do) and blended back inside
the hull of its landmarks.
"""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt
from skimage import data

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]

# The face's outline in skimage.data.astronaut(), in pixels: from the left temple along the jaw to the other one,
# then back over the brows. Placed by hand on a drawing, around the five points that MTCNN finds.
# fmt: off
HULL = np.array([
    (184, 92), (183, 108), (184, 124), (187, 139), (191, 152), (198, 164), (208, 173), (222, 178), (237, 177),
    (249, 170), (258, 160), (264, 147), (267, 132), (268, 116), (267, 100), (262, 90), (250, 87), (236, 87),
    (226, 88), (214, 85), (202, 84), (192, 87),
], np.float64)
# What a change of identity moves: eyes, nose, mouth corners (all five from MTCNN), brows, cheeks, chin.
FEATURES = np.array([
    (204.7, 101.7), (246.9, 103.6), (225.9, 128.8), (202.4, 139.9), (245.0, 141.3), (200, 89), (252, 91),
    (190, 140), (262, 140), (228, 172),
], np.float64)
# The person's outline in the portrait; only what is inside is drawn before another background.
PERSON = np.array([
    (182, 132), (171, 123), (162, 110), (155, 89), (155, 66), (162, 49), (178, 40), (190, 32), (202, 21),
    (225, 16), (249, 19), (272, 28), (291, 47), (300, 70), (301.5, 89), (298, 108), (286, 122), (276.5, 134),
    (267.5, 137), (266, 145), (261, 162), (255.5, 175), (277, 188), (293, 206), (302.5, 225), (306, 239),
    (324, 249), (342, 267), (351, 284), (359, 305), (362, 328), (363, 347), (375, 349), (399, 345), (422, 347),
    (450, 361), (474, 385), (488, 413), (497, 455), (509, 462), (512, 470), (512, 512), (33, 512), (23, 483),
    (26, 450), (20, 417), (26, 375), (28, 338), (35, 310), (42, 281), (52, 263), (70, 242), (94, 223),
    (110, 211), (117, 206), (114, 192), (117, 185), (129, 169), (145, 155), (164, 149), (185, 149), (184, 141),
], np.float64)
# fmt: on
FACE_PX = 86.0  # width of the face in the portrait
FACE_CENTRE = np.array([226.0, 130.0])
FACE_HALF_PX = 58.0  # half the side of the square that a swap cuts out of the portrait
# Pictures in scikit-image's wheel in which MTCNN finds no face, and two kinds made here.
BACKGROUNDS = ("coffee", "rocket", "brick", "grass", "gravel", "hubble_deep_field", "shuttle", "drawn", "drawn")
RATES = (Fraction(25), Fraction(30), Fraction(30000, 1001))
LANDSCAPE = ((320, 240), (352, 288), (400, 300), (480, 270), (432, 324))
PORTRAIT = ((240, 320), (270, 360), (288, 352))


def _wave(rng: np.random.Generator, frames: int, size: float) -> Array:
    """A smooth path of about +-size: two slow sines."""
    t = np.arange(frames) / frames
    cycles, phases = rng.uniform(0.3, 1.6, 2), rng.uniform(0, 2 * np.pi, 2)
    weights = size * np.array([0.7, 0.3])
    return np.asarray((weights * np.sin(2 * np.pi * np.outer(t, cycles) + phases)).sum(axis=1))


def _shift(x: float, y: float) -> Array:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def _turn(scale_x: float, scale_y: float, angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[scale_x * c, -scale_y * s, 0], [scale_x * s, scale_y * c, 0], [0, 0, 1]], np.float64)


def _bend(points: Array, moves: Array, width: float, grid: Array) -> Array:
    """How far each of `grid` (..., 2) moves when `points` (n, 2) move by `moves` (n, 2): a sum of Gaussians."""
    total = np.zeros_like(grid)
    for point, move in zip(points, moves, strict=True):
        near = np.exp(-((grid - point) ** 2).sum(axis=-1, keepdims=True) / (2 * width**2))
        total += near * move
    return total


def _grid(size: int) -> Array:
    """Pixel coordinates (size, size, 2) as x, y."""
    y, x = np.mgrid[0:size, 0:size]
    return np.stack([x, y], axis=-1).astype(np.float64)


def _colours(rng: np.random.Generator, strength: float) -> npt.NDArray[np.float32]:
    """A 3x4 matrix for cv2.transform: gains, saturation and offsets, all about `strength` off neutral."""
    gains = np.diag(rng.uniform(1 - strength, 1 + strength, 3))
    saturation = rng.uniform(1 - 2 * strength, 1 + 2 * strength)
    grey = np.full((3, 3), 1 / 3)
    matrix = gains @ (saturation * np.eye(3) + (1 - saturation) * grey)
    return np.hstack([matrix, rng.uniform(-60, 60, (3, 1)) * strength]).astype(np.float32)


def _pull(picture: Image, field: Array) -> Image:
    """`picture` (n, n, 3) with each pixel taken from where `field` (n, n, 2), in pixels, says."""
    x, y = np.ascontiguousarray(field.astype(np.float32).transpose(2, 0, 1))
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)


class _Person:
    """A variation of the portrait and its way through a video: `picture`, `alpha`, `hull` and `places` (n, 3, 3)."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], frames: int, spot: float | None):
        moves = rng.normal(0, 1.6, FEATURES.shape).clip(-3.5, 3.5)
        face = _pull(data.astronaut(), _grid(512) - _bend(FEATURES, moves, 16, _grid(512)))
        self.picture = cv2.transform(face, _colours(rng, 0.08))
        self.hull = HULL + _bend(FEATURES, moves, 16, HULL)
        outline = np.zeros((512, 512), np.float32)
        cv2.fillPoly(outline, [(PERSON * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
        self.alpha = cv2.GaussianBlur(outline, (0, 0), 1.2)
        self.places = self._ways(rng, size, frames, spot)

    def _ways(self, rng: np.random.Generator, size: tuple[int, int], frames: int, spot: float | None) -> list[Array]:
        """The matrix from the portrait to each frame; `spot`: where the face is across, as a share, or anywhere."""
        width, height = size
        face_px = rng.uniform(72, 0.36 * min(size)) if spot is None else rng.uniform(70, 86)
        scale = face_px / FACE_PX * np.exp(_wave(rng, frames, rng.uniform(0.01, 0.06)))
        middle = rng.uniform(0.4, 0.6) if spot is None else spot
        x = width * middle + _wave(rng, frames, rng.uniform(2, 14))
        y = height * rng.uniform(0.42, 0.52) + _wave(rng, frames, rng.uniform(1, 8))
        roll = rng.uniform(-0.15, 0.15) + _wave(rng, frames, rng.uniform(0.01, 0.08))
        nod = rng.uniform(-3e-4, 3e-4, 2)[:, None] + [_wave(rng, frames, 3e-4), _wave(rng, frames, 2e-4)]
        side = rng.choice([-1.0, 1.0])
        stretch = rng.uniform(0.95, 1.06)
        ways = []
        for t in range(frames):
            tilt = np.eye(3)
            tilt[2, :2] = nod[:, t]
            turn = _turn(side * scale[t] * stretch, scale[t], 0) @ tilt @ _shift(*-FACE_CENTRE)
            ways.append(_shift(x[t], y[t]) @ _turn(1, 1, roll[t]) @ turn)
        return ways


class Scene:
    """One recording: size, rate, people, background, light and camera, all drawn from `rng`."""

    def __init__(self, rng: np.random.Generator, people: int, frames: tuple[int, int]):
        """people: 0 to 2 of them; frames: fewest and most."""
        sizes = PORTRAIT if people == 1 and rng.random() < 0.25 else LANDSCAPE
        self.size = (480, 300) if people == 2 else sizes[rng.integers(len(sizes))]
        self.rate = RATES[rng.integers(len(RATES))]
        self.frames = int(rng.integers(frames[0], frames[1] + 1))
        spots = (0.27, 0.73) if people == 2 else (None,) * people
        self.people = tuple(_Person(rng, self.size, self.frames, spot) for spot in spots)
        self.background, self.views = self._set(rng)
        self.light = self._light(rng)
        self.flicker = 1 + _wave(rng, self.frames, rng.uniform(0.0, 0.06))
        width, height = self.size
        grain = rng.normal(0, rng.uniform(0.8, 4.0), (height + 32, width + 32, 1))
        self.grain = np.repeat(grain, 3, axis=2).astype(np.int16)
        self.grain_at = rng.integers(0, 32, (self.frames, 2))
        self.softness = float(rng.choice([0, 0.3, 0.5, 0.7]))

    def _set(self, rng: np.random.Generator) -> tuple[Image, list[Array]]:
        """A background picture and the matrix from it to each frame."""
        kind = str(rng.choice(BACKGROUNDS))
        if kind == "drawn":
            picture = _drawn_background(rng)
        else:
            picture = data.astronaut()[:200, 300:] if kind == "shuttle" else getattr(data, kind)()
        if picture.ndim == 2:
            picture = np.stack([picture] * 3, axis=2)
        width, height = self.size
        fit = 1.2 * max(width / picture.shape[1], height / picture.shape[0])
        larger = cv2.resize(cv2.transform(picture, _colours(rng, 0.25)), None, fx=fit, fy=fit)
        picture = np.asarray(cv2.GaussianBlur(larger, (0, 0), rng.uniform(0.6, 2.5)), np.uint8)
        spare = np.array([picture.shape[1] - width, picture.shape[0] - height]) / 2
        x, y = _wave(rng, self.frames, 0.9), _wave(rng, self.frames, 0.9)
        return picture, [_shift(-spare[0] * (1 + a), -spare[1] * (1 + b)) for a, b in zip(x, y, strict=True)]

    def _light(self, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Gain per pixel and channel: exposure, colour temperature, a gradient and a vignette."""
        width, height = self.size
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        angle = rng.uniform(0, 2 * np.pi)
        slope = 1 + rng.uniform(0, 0.25) * (x * np.cos(angle) + y * np.sin(angle))
        corners = 1 - rng.uniform(0, 0.25) * (x**2 + y**2) / 2
        warmth = rng.uniform(-0.12, 0.12)
        gains = rng.uniform(0.75, 1.1) * np.array([1 + warmth, 1.0, 1 - warmth])
        return np.asarray((slope * corners)[..., None] * gains, np.float32)

    def draw(self, t: int) -> Image:
        """Frame `t` as RGB, (height, width, 3)."""
        view = self.views[t][:2]
        frame = cv2.warpAffine(self.background, view, self.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        for person in self.people:
            alpha = cv2.warpPerspective(person.alpha, person.places[t], self.size)
            picture = cv2.warpPerspective(person.picture, person.places[t], self.size)
            frame = cv2.blendLinear(picture, frame, alpha, 1 - alpha)
        frame = cv2.multiply(frame, self.light, scale=float(self.flicker[t]), dtype=cv2.CV_8U)
        if self.softness:
            frame = cv2.GaussianBlur(frame, (0, 0), self.softness)
        x, y = self.grain_at[t]
        width, height = self.size
        return np.asarray(cv2.add(frame, self.grain[y : y + height, x : x + width], dtype=cv2.CV_8U), np.uint8)


def _drawn_background(rng: np.random.Generator) -> Image:
    """A room of soft coloured blobs and boxes, (360, 480, 3)."""
    picture = np.full((360, 480, 3), rng.integers(40, 200, 3), np.uint8)
    for _ in range(14):
        x, y, size = (int(v) for v in rng.integers((0, 0, 15), (480, 360, 110)))
        colour = [int(v) for v in rng.integers(20, 235, 3)]
        if rng.random() < 0.5:
            cv2.circle(picture, (x, y), size // 2, colour, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(picture, (x, y), (x + size, y + size * 2), colour, -1)
    return picture


class Swap:
    """One way to fake the first person of a scene; called with a frame and its number, returns the fake frame."""

    def __init__(self, rng: np.random.Generator, scene: Scene):
        """All that is drawn for this swap is drawn from `rng`."""
        self.person = scene.people[0]
        strength = rng.uniform(0.6, 1.0)  # from hard to see to plain
        side = self.side = round(58 - 26 * strength + rng.uniform(-3, 3))
        zoom = side / (2 * FACE_HALF_PX)
        # From the portrait to the chip, the small square that the swap works on; and to one 4 times as large.
        to_chip = _turn(zoom, zoom, 0) @ _shift(*(FACE_HALF_PX - FACE_CENTRE))
        self.to_large = _turn(4, 4, 0) @ to_chip
        features = cv2.perspectiveTransform(FEATURES[None], to_chip)[0].astype(np.float64)
        moves = zoom * rng.normal(0, 2.2 * strength, FEATURES.shape).clip(-4.5, 4.5)
        self.field = _grid(side) - _bend(features, moves, 14 * zoom, _grid(side))
        self.colours = _colours(rng, 0.11 * strength)
        self.smooth = rng.random() < 0.5
        self.enlarge = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]))
        self.mask = self._mask(feather_px=rng.uniform(0.04, 0.12) * side)
        shake = rng.uniform(0.2, 0.8)
        self.jitter = rng.normal(0, shake, (scene.frames, 2)) + _wave(rng, scene.frames, shake)[:, None]

    def _mask(self, feather_px: float) -> npt.NDArray[np.float32]:
        """How much of the fake face shows at each pixel of the large chip: the hull of its landmarks, feathered."""
        hull = cv2.perspectiveTransform(cv2.convexHull(self.person.hull.astype(np.float32)), self.to_large)
        mask = np.zeros((4 * self.side, 4 * self.side), np.float32)
        cv2.fillConvexPoly(mask, (hull * 8).astype(np.int32), 1.0, cv2.LINE_AA, 3)
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), feather_px), np.float32)

    def _change(self, large: Image) -> Image:
        """The other version of a face: made small, warped, recoloured, smoothed, made large again."""
        chip = cv2.resize(large, (self.side, self.side), interpolation=cv2.INTER_AREA)
        chip = cv2.transform(_pull(np.asarray(chip, np.uint8), self.field), self.colours)
        if self.smooth:
            chip = cv2.bilateralFilter(chip, 5, 18, 2)
        return np.asarray(cv2.resize(chip, large.shape[:2], interpolation=self.enlarge), np.uint8)

    def __call__(self, frame: Image, t: int) -> Image:
        """The fake of frame `t`, RGB of the same shape."""
        edge = 4 * self.side
        there = self.to_large @ np.linalg.inv(self.person.places[t])
        face = self._change(np.asarray(cv2.warpPerspective(frame, there, (edge, edge)), np.uint8))
        back = _shift(*self.jitter[t]) @ np.linalg.inv(there)
        corners = np.array([[(0, 0), (edge, 0), (edge, edge), (0, edge)]], np.float64)
        spots = cv2.perspectiveTransform(corners, back)[0]
        height, width = frame.shape[:2]
        x0, y0 = (int(v) for v in np.floor(spots.min(axis=0)).clip(0))
        x1, y1 = (int(v) for v in np.ceil(spots.max(axis=0)).clip(0, (width, height)))
        back = _shift(-x0, -y0) @ back
        pasted = cv2.warpPerspective(face, back, (x1 - x0, y1 - y0), borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpPerspective(self.mask, back, (x1 - x0, y1 - y0))
        fake = frame.copy()
        fake[y0:y1, x0:x1] = cv2.blendLinear(pasted, frame[y0:y1, x0:x1].copy(), mask, 1 - mask)
        return fake
