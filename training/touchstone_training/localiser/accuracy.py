"""How far the face that was found is from where it lies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from touchstone.engine.localisation import (
    Answer,
    Face,
    Framed,
    Localiser,
    Quad,
    face_of,
)
from touchstone_training.localiser.pack import Pack
from touchstone_training.localiser.scenes import REAL, Materials, Scene, draw_scene

_SCENE_SEED = 20_000
_SURE = 0.5
"""Confidence from which a face counts as found."""


@dataclass(frozen=True, slots=True)
class Located:
    """One scene, and how well its face was found."""

    shape: str
    is_whole: bool
    confidence: float
    iou: float
    """Of the two quads within the photo, 0 to 1; 0 where there is no face."""
    corner_error: float
    """Mean distance of the corners as a share of the photo's diagonal."""

    @staticmethod
    def of(scene: Scene, answer: Answer, frame: Framed) -> "Located":
        """Measure the face that ``answer`` shows in ``scene``."""
        return Located.from_face(scene, face_of(answer, frame, scene.pixels))

    @staticmethod
    def by(localiser: Localiser, scene: Scene) -> "Located":
        """Measure what ``localiser`` finds in ``scene``."""
        return Located.from_face(scene, localiser.locate(scene.pixels))

    @staticmethod
    def from_face(scene: Scene, face: Face) -> "Located":
        """Measure ``face``, found in ``scene``."""
        if scene.quad is None:
            return Located(scene.shape, False, face.confidence, 0.0, 1.0)
        height, width = scene.pixels.shape[:2]
        return Located(
            scene.shape,
            scene.is_whole,
            face.confidence,
            overlap(face.quad, scene.quad, (width, height)),
            corner_distance(face.quad, scene.quad) / float(np.hypot(width, height)),
        )


def overlap(one: Quad, other: Quad, size_px: tuple[int, int]) -> float:
    """Intersection over union of two convex quads within a photo of that size."""
    width, height = size_px
    photo = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    ours, theirs = _common(_hull(one), photo), _common(_hull(other), photo)
    if ours is None or theirs is None:
        return 0.0
    both = _common(ours, theirs)
    shared = 0.0 if both is None else float(cv2.contourArea(both))
    total = float(cv2.contourArea(ours)) + float(cv2.contourArea(theirs)) - shared
    return min(1.0, shared / max(1e-6, total))


def _hull(quad: Quad) -> Quad:
    return np.asarray(cv2.convexHull(quad), np.float32).reshape(-1, 2)


_TRIANGLE = 3


def _common(one: Quad, other: Quad) -> Quad | None:
    area, polygon = cv2.intersectConvexConvex(one, other)
    if area <= 0 or len(polygon) < _TRIANGLE:
        return None
    return np.asarray(polygon, np.float32).reshape(-1, 2)


def corner_distance(one: Quad, other: Quad) -> float:
    """Mean distance of the corners in px, whichever of them is called the first."""
    turns = [np.roll(one, turn, axis=0) for turn in range(4)]
    return float(min(np.linalg.norm(turned - other, axis=1).mean() for turned in turns))


def held_out_scenes(pack: Pack, count: int, *, shape: str | None = None) -> list[Scene]:
    """Draw scenes of designs that are never trained on, always the same ones."""
    materials = Materials(pack.held_out, pack.held_out, pack.backdrops)
    return [
        draw_scene(materials, np.random.default_rng((_SCENE_SEED, n)), shape=shape)
        for n in range(count)
    ]


def accuracy(found: Sequence[Located]) -> dict[str, Any]:
    """Sum up: overlap and corner error of the faces, and how they are told from none.

    ``corner_error_*`` is of faces that lie in the photo whole.
    """
    faces = [one for one in found if one.shape != "none"]
    empty = [one for one in found if one.shape == "none"]
    errors = [one.corner_error for one in faces if one.is_whole]
    return {
        "faces": len(faces),
        "mean_iou": _rounded(np.mean([one.iou for one in faces]) if faces else 0.0),
        "iou_over_0.8": _share([one.iou > 0.8 for one in faces]),  # noqa: PLR2004
        "corner_error_median": _rounded(np.median(errors) if errors else 1.0),
        "corner_error_p90": _rounded(np.quantile(errors, 0.9) if errors else 1.0),
        "found": _share([one.confidence >= _SURE for one in faces]),
        "without_face": len(empty),
        "false_finds": _share([one.confidence >= _SURE for one in empty]),
    }


def accuracy_of_both(
    locate: Callable[[Scene], Located], scenes: Sequence[Scene]
) -> dict[str, Any]:
    """Sum up the simulated ones, and under `REAL` the real ones if there are any."""
    found = [locate(scene) for scene in scenes]
    real = [one for one in found if one.shape == REAL]
    told = accuracy([one for one in found if one.shape != REAL])
    return {**told, REAL: accuracy(real)} if real else told


def chosen_by(told: dict[str, Any]) -> float:
    """Mean overlap; with real scenes, the mean of theirs and the simulated ones'."""
    return float(np.mean(list(overlaps(told).values())))


def overlaps(told: dict[str, Any]) -> dict[str, float]:
    """Mean overlap of each kind of scene in what `accuracy_of_both` made."""
    parts = {"simulated": told, REAL: told.get(REAL)}
    return {name: part["mean_iou"] for name, part in parts.items() if part}


def _share(told: Sequence[bool]) -> float:
    return _rounded(np.mean(told) if told else 0.0)


def _rounded(value: np.floating[Any] | float) -> float:
    return round(float(value), 4)
