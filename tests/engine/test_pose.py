import numpy as np
import pytest
from examined import laid_by
from numpy.typing import NDArray

from touchstone.engine.pose import aspect_gap
from touchstone.engine.registration import Bend, Registration

PHOTO = (1600, 1200)
FACE = (800, 600)


def turned(yaw_deg: float, pitch_deg: float) -> NDArray[np.float64]:
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    about_y = np.array(
        [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    )
    about_x = np.array(
        [
            [1, 0, 0],
            [0, np.cos(pitch), -np.sin(pitch)],
            [0, np.sin(pitch), np.cos(pitch)],
        ]
    )
    return np.asarray(about_x @ about_y, np.float64)


def seen(
    *,
    yaw: float = 0,
    pitch: float = 0,
    stretch: float = 1.0,
    focal: float = 1.1,
    bend: Bend | None = None,
) -> Registration:
    """A face of which the width was multiplied by ``stretch``, seen by a camera."""
    lens = np.array(
        [
            [focal * PHOTO[0], 0, PHOTO[0] / 2],
            [0, focal * PHOTO[0], PHOTO[1] / 2],
            [0, 0, 1],
        ]
    )
    turn = turned(yaw, pitch)
    pose = np.column_stack([turn[:, 0] * stretch, turn[:, 1], [0, 0, 1500.0]])
    middle = np.array([[1, 0, -FACE[0] / 2], [0, 1, -FACE[1] / 2], [0, 0, 1]])
    homography = lens @ pose @ middle
    return laid_by(homography / homography[2, 2], FACE, PHOTO, bend=bend)


@pytest.mark.parametrize("focal", [0.75, 1.1, 1.8])
@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (20, 0), (0, -25), (15, 20)])
def test_perspective_alone_is_no_change_of_proportions(
    yaw: float, pitch: float, focal: float
) -> None:
    assert aspect_gap(seen(yaw=yaw, pitch=pitch, focal=focal)) < 0.01


@pytest.mark.parametrize("stretch", [0.9, 1.06, 1.12])
def test_a_stretched_face_seen_straight_on_is_measured(stretch: float) -> None:
    found = aspect_gap(seen(stretch=stretch))
    assert found == pytest.approx(abs(np.log(stretch)), abs=0.005)


def test_the_more_a_face_is_stretched_the_wider_the_gap() -> None:
    gaps = [aspect_gap(seen(yaw=8, pitch=5, stretch=s)) for s in (1.0, 1.06, 1.12)]
    assert gaps == sorted(gaps)
    assert gaps[2] > 0.05


def test_a_bent_face_tells_nothing_of_its_proportions() -> None:
    bend = Bend(np.zeros((10, 2)))
    assert aspect_gap(seen(stretch=1.2, bend=bend)) == 0
