"""What the localiser learns from: packs of pictures, and real photographs."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from localiser_scenes import carton_in_a_photo, materials, pictures, real_scene
from numpy.typing import NDArray
from small_world import printed_mark

from touchstone.engine.localisation import ordered
from touchstone.errors import InvalidInputError
from touchstone_training.data import Image, Item, split
from touchstone_training.localiser import gather, photographs, views
from touchstone_training.localiser.accuracy import (
    corner_distance,
)
from touchstone_training.localiser.overprint import of_nearest_shape, overprinted
from touchstone_training.localiser.pack import (
    Pack,
    is_held_out,
    read_pack,
    scenes_in,
    write_pack,
)
from touchstone_training.localiser.photographs import (
    FRONTS,
    HELD_OUT_FRONTS,
    Corners,
    photographed,
)
from touchstone_training.localiser.scenes import NO_PACKAGE, REAL, Scene
from touchstone_training.localiser.views import REAL_SHARE, Looks

# --- pictures -------------------------------------------------------------------------


def test_a_pack_keeps_artworks_and_backdrops_and_holds_designs_out(pack: Pack) -> None:
    # Of 14 designs from 500,000 on, 500,003 leaves eleven after division by twelve.
    assert [len(pack.artworks), len(pack.held_out), len(pack.backdrops)] == [13, 1, 1]
    drawn = cv2.resize(printed_mark(3), (160, 120), interpolation=cv2.INTER_AREA)
    assert np.abs(pack.held_out[0].astype(int) - drawn.astype(int)).mean() < 8


def test_only_designs_are_held_out_and_only_some() -> None:
    designs = [f"design:{seed}" for seed in range(500_000, 500_120)]
    assert sum(map(is_held_out, designs)) == 10
    others = ["apc:11", "none:11", "collage:11", "design:x", "design:11/1"]
    assert not any(map(is_held_out, others))


def test_what_is_no_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no pack"):
        read_pack(tmp_path / "absent.npz")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(InvalidInputError, match="no pack"):
        read_pack(tmp_path / "cut.npz")
    with pytest.raises(InvalidInputError, match="no picture"):
        write_pack(tmp_path / "none.npz", [], long_side_px=100)
    write_pack(tmp_path / "few.npz", pictures()[:2], long_side_px=100)
    with pytest.raises(InvalidInputError, match="lacks artworks"):
        read_pack(tmp_path / "few.npz")


# --- real photographs -----------------------------------------------------------------


def test_registration_tells_where_the_face_lies_in_a_real_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, photo, quad = carton_in_a_photo()
    files = {"reference": reference, "photo": photo, "other": photo[::-1]}
    monkeypatch.setattr(photographs, "LEFT_OUT", {f"{tmp_path.parent.name}/left.png"})
    items = []
    for kind, pixels in files.items():
        file = tmp_path / f"{kind}.png"
        cv2.imwrite(str(file), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        items.append(Item(file, "gsd:Arla-1", kind, "MIT", file.name))
    empty = tmp_path / "empty.png"
    cv2.imwrite(str(empty), np.full((300, 400, 3), 120, np.uint8))
    items.append(Item(empty, "gsd:Arla-1", "photo", "MIT", empty.name))
    left = tmp_path / "left.png"
    shutil.copy(tmp_path / "photo.png", left)
    items.append(Item(left, "gsd:Arla-1", "photo", "MIT", left.name))
    front = ((0.25, 1 / 6), (0.75, 1 / 6), (0.75, 5 / 6), (0.25, 5 / 6))
    [scene] = photographed(items, {"gsd:Arla-1": front})
    assert not list(photographed(items, {"gsd:Arla-2": front}))
    assert scene.quad is not None
    assert scene.pixels.shape == (280, 336, 3)
    true = quad * np.float32(0.56)
    assert corner_distance(scene.quad, true) < 1.5
    area = float(cv2.countNonZero(scene.printed))
    assert area == pytest.approx(float(cv2.contourArea(true)), rel=0.03)
    assert scene.is_whole


def test_real_photos_are_of_products_that_may_be_trained_on_or_of_held_out_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "open" / "grocerystore_packages"
    folder.mkdir(parents=True)
    names = ("gsd:Arla-Sour-Milk", "gsd:Alpro-Fresh-Soy-Milk", "gsd:Valio-Milk")
    rows = [f"{n}.png,{name},photo,MIT" for n, name in enumerate(names)]
    (folder / "manifest.csv").write_text(
        "\n".join(["file,product_id,kind,licence", *rows]), encoding="utf-8"
    )

    asked: dict[str, bool] = {}

    def marked(items: list[Item], fronts: Mapping[str, Corners]) -> list[str]:
        asked.update({one.product_id: one.product_id in fronts for one in items})
        return [one.product_id for one in items]

    monkeypatch.setattr(gather, "photographed", marked)
    trained, held = map(list[Any], gather.localiser_scenes(tmp_path))
    assert trained == ["gsd:Arla-Sour-Milk"]
    assert held == ["gsd:Alpro-Fresh-Soy-Milk", "gsd:Valio-Milk"]
    assert list(asked.values()) == [True, True, False]
    assert gather.localiser_scenes(None) == ((), ())


def test_no_front_is_marked_for_both_uses_and_each_is_a_face() -> None:
    for fronts, part in ((FRONTS, "train"), (HELD_OUT_FRONTS, "held_out")):
        assert {split(product) for product in fronts} == {part}
        for corners in fronts.values():
            quad = np.array(corners, np.float32)
            assert cv2.isContourConvex(quad)
            np.testing.assert_array_equal(ordered(quad), quad)
            assert ((quad >= 0) & (quad <= 1)).all()


def test_another_face_is_printed_over_in_the_same_light() -> None:
    scene = real_scene()
    red = np.full((80, 60, 3), (200, 40, 40), np.uint8)
    made = overprinted(scene, red, np.random.default_rng(0))
    outside = cv2.dilate(scene.printed, np.ones((9, 9), np.uint8)) == 0
    np.testing.assert_array_equal(made.pixels[outside], scene.pixels[outside])
    inside = cv2.erode(scene.printed, np.ones((9, 9), np.uint8)) > 0
    ink = made.pixels.astype(int)
    assert (ink[inside][:, 0] > 2 * ink[inside][:, 1]).all()
    left, right = inside.copy(), inside.copy()
    left[:, 120:], right[:, :180] = False, False
    assert ink[left][:, 0].mean() < 0.8 * ink[right][:, 0].mean()
    assert made.quad is scene.quad


@pytest.mark.parametrize("size", [(60, 80), (80, 60)])
def test_a_face_is_printed_over_along_the_longer_side(size: tuple[int, int]) -> None:
    """The artwork's ends lie at the carton's ends, whichever way it comes."""
    artwork = np.full((*size, 3), 200, np.uint8)
    ends = artwork if size[0] > size[1] else artwork.transpose(1, 0, 2)
    ends[:20], ends[-20:] = (200, 0, 0), (200, 0, 0)
    made = overprinted(real_scene(), artwork, np.random.default_rng(1)).pixels
    is_red = made[..., 0].astype(int) > made[..., 1].astype(int) + 40
    rows = is_red[:, 100:180].mean(axis=1)
    assert rows[50:60].mean() > 0.9
    assert rows[190:205].mean() > 0.9
    assert rows[110:140].mean() < 0.1


def test_the_scene_that_stretches_an_artwork_least_is_drawn() -> None:
    slim = real_scene()
    corners = [[20, 100], [280, 100], [280, 140], [20, 140]]
    flat = replace(slim, quad=np.array(corners, np.float32))
    rng = np.random.default_rng(0)
    long = np.zeros((20, 130, 3), np.uint8)
    assert of_nearest_shape([slim, flat], long, rng) is flat
    assert of_nearest_shape([slim, flat], long[:, :26], rng) is slim


def test_a_pack_keeps_real_photos_and_where_their_faces_lie(tmp_path: Path) -> None:
    scene = real_scene()
    assert scene.quad is not None
    path = tmp_path / "pictures.npz"
    other = Scene(
        scene.pixels[:200], scene.printed[:200], scene.quad + 1, REAL, is_whole=False
    )
    count = write_pack(
        path, pictures(), long_side_px=160, scenes=[scene], held_scenes=[other]
    )
    assert count == 17  # scenes and pictures
    kept = read_pack(path)
    assert len(kept.artworks) == 13
    [again], [held], [alone] = kept.scenes, kept.held_scenes, scenes_in(path)
    np.testing.assert_array_equal(alone.pixels, again.pixels)
    assert (again.pixels.shape, held.pixels.shape) == ((250, 300, 3), (200, 300, 3))
    np.testing.assert_array_equal(held.printed, other.printed)
    np.testing.assert_array_equal(again.printed, scene.printed)
    for one, shift in ((again, 0), (alone, 0), (held, 1)):
        assert one.quad is not None
        np.testing.assert_allclose(one.quad, scene.quad + shift)
    assert kept.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert again.is_whole
    gap = np.abs(again.pixels.astype(int) - scene.pixels)
    assert gap.mean() < 4


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ("quads", "other photos than places"),
        ("names", "other pictures than names"),
        ("kinds", "a photo lacks its print"),
    ],
)
def test_a_pack_that_lacks_a_part_is_refused(
    tmp_path: Path, part: str, why: str
) -> None:
    path = tmp_path / "pictures.npz"
    write_pack(path, pictures(), long_side_px=160, scenes=[real_scene()])
    with np.load(path) as arrays:
        kept = dict(arrays)
    if part == "kinds":
        kept[part][-1] = "artwork"
    else:
        kept[part] = kept[part][:-1]
    np.savez(path, **kept)
    with pytest.raises(InvalidInputError, match=why):
        read_pack(path)


def test_a_share_of_the_looks_is_at_real_photos() -> None:
    # Real photos are told by a colour that nothing else has.
    green = replace(real_scene(), pixels=np.full((250, 300, 3), (0, 255, 0), np.uint8))
    batches = iter(Looks(materials(), batch=96, seed=4, photographs=[green]))
    seen = [frame for _ in range(3) for frame in next(batches)[0].numpy()]
    is_real = [_is_green(frame).mean() > 0.05 for frame in seen]
    assert REAL_SHARE - 0.15 < np.mean(is_real) < REAL_SHARE + 0.15


def test_beside_real_cartons_more_bottles_and_bare_tables_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, Any]] = []

    def noted(*_: object, **how: Any) -> Scene:
        asked.append(how)
        return real_scene()

    monkeypatch.setattr(views, "draw_scene", noted)
    next(iter(Looks(materials(), batch=600, seed=4)))
    assert asked
    assert not any(asked)
    asked.clear()
    next(iter(Looks(materials(), batch=600, seed=4, photographs=[real_scene()])))
    bottles = np.mean([how["shape"] == "cylinder" for how in asked])
    assert 0.1 < bottles < 0.5
    assert {how["no_package"] for how in asked} == {NO_PACKAGE / (1 - REAL_SHARE)}


def _is_green(frame: Image) -> NDArray[np.bool_]:
    red, green, blue = (frame[..., n].astype(int) for n in range(3))
    return np.asarray((green > 60) & (green > 3 * red) & (green > 3 * blue))
