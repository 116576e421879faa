"""How a package is held before the camera, and the pinhole that sees it.

The frame is the plane that touches the package's front, in artwork px about its centre;
the camera looks along +z, and z grows into the package.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Matrix = NDArray[np.float64]

_FIT_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Pose:
    """How the package is held.

    Angles in degrees; ``fill`` is the larger extent as a share of the photo's;
    ``offset`` places it within the room left, each -1 to 1; ``focal`` is in longer
    sides of the photo; ``bend`` is half the angle that a label wraps, in radians;
    ``depth`` is a carton's depth as a share of its shorter side.
    """

    rotation_deg: float
    tilt_deg: float
    yaw_deg: float
    fill: float
    offset: tuple[float, float]
    focal: float
    shape: str
    bend: float
    depth: float


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole: ``matrix`` (3, 4) takes (x, y, z, 1) of the package to photo px.

    ``rotation`` (3, 3) and ``shift`` (3,) take the package into the camera's axes.
    """

    matrix: _Matrix
    rotation: _Matrix
    shift: _Matrix

    def project(self, points: _Matrix) -> _Matrix:
        """(N, 3) points of the package -> (N, 2) photo px."""
        homogeneous = np.c_[points, np.ones(len(points))] @ self.matrix.T
        return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:])

    def sees(self, point: _Matrix, outward: _Matrix) -> bool:
        """Whether a face through ``point`` with that outward normal faces us."""
        ray = self.rotation @ point + self.shift
        return bool((self.rotation @ outward) @ ray < 0)


def _rotation(pose: Pose) -> _Matrix:
    a, b, c = np.radians([pose.rotation_deg, pose.tilt_deg, pose.yaw_deg])
    around_z = np.array(
        [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    )
    around_x = np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    around_y = np.array(
        [[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]]
    )
    return np.asarray(around_z @ around_x @ around_y)


def frame_corners(frame_px: tuple[float, float], depth: float = 0.0) -> _Matrix:
    """Corners at ``depth`` behind the front, (4, 3), clockwise from the upper left."""
    x, y = frame_px[0] / 2, frame_px[1] / 2
    return np.array(
        [[-x, -y, depth], [x, -y, depth], [x, y, depth], [-x, y, depth]], np.float64
    )


def fitted_camera(
    pose: Pose, frame_px: tuple[float, float], photo_px: tuple[int, int]
) -> Camera:
    """The camera that sees a front of (width, height) ``frame_px`` in that pose."""
    # The distance is found by repeated proportion: extent falls as one over it.
    focal = pose.focal * max(photo_px)
    rotation = _rotation(pose)
    distance = focal
    centre = np.array([photo_px[0] / 2, photo_px[1] / 2])
    for _ in range(_FIT_ROUNDS):
        camera = _camera_at(rotation, distance, focal, centre)
        corners = camera.project(frame_corners(frame_px))
        extent = np.ptp(corners, axis=0) / np.array(photo_px)
        distance *= float(extent.max()) / pose.fill
    camera = _camera_at(rotation, distance, focal, centre)
    corners = camera.project(frame_corners(frame_px))
    slack = np.abs(np.array(photo_px) - np.ptp(corners, axis=0)) / 2
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    moved = 2 * centre - middle + slack * np.array(pose.offset)
    return _camera_at(rotation, distance, focal, moved)


def _camera_at(
    rotation: _Matrix, distance: float, focal: float, centre: _Matrix
) -> Camera:
    inner = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
    shift = np.array([0.0, 0.0, distance])
    return Camera(inner @ np.c_[rotation, shift], rotation, shift)


def photo_from_frame(camera: Camera, frame_px: tuple[float, float]) -> _Matrix:
    """(3, 3) homography: frame px from the upper left corner, to photo px."""
    centred = np.array([[1, 0, -frame_px[0] / 2], [0, 1, -frame_px[1] / 2], [0, 0, 1]])
    return np.asarray(camera.matrix[:, [0, 1, 3]] @ centred)
