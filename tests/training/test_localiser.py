import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_localiser import bright_is_print, localiser_of
from small_world import printed_mark
from typer.testing import CliRunner
from unsettled import as_after_training

from touchstone.bootstrap import open_localiser
from touchstone.engine.embedding import Vectors
from touchstone.engine.image import Pixels
from touchstone.engine.localisation import CELL_PX, FRAME_PX, framed, ordered
from touchstone.errors import InvalidInputError, ModelError
from touchstone.settings import Settings
from touchstone_training.data import Image, Item, Picture, split
from touchstone_training.embedder.retrieval import RetrievalSet
from touchstone_training.localiser import gather, release
from touchstone_training.localiser.accuracy import (
    Located,
    accuracy,
    accuracy_of_both,
    chosen_by,
    corner_distance,
    held_out_scenes,
    overlap,
)
from touchstone_training.localiser.commands import app
from touchstone_training.localiser.learn import (
    LearnConfig,
    answered,
    learn,
    losses_of,
)
from touchstone_training.localiser.measuring import places, recalls
from touchstone_training.localiser.network import LocaliserNet, centred
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
    photographed,
)
from touchstone_training.localiser.restoring import restore, restored
from touchstone_training.localiser.scenes import REAL, Materials, Scene, draw_scene
from touchstone_training.localiser.views import REAL_SHARE, Looks, batched, look
from touchstone_training.simulator.surfaces import SHAPES

MODELS = Path(__file__).parents[2] / "models"


def artworks() -> list[np.ndarray]:
    return [printed_mark(seed, size_px=(160, 120)) for seed in range(6)]


def materials() -> Materials:
    table = np.full((90, 120, 3), (90, 110, 100), np.uint8)
    return Materials(artworks(), artworks(), [table])


def pictures() -> list[Picture]:
    drawn = [
        Picture(f"design:{500_000 + n}", "", "artwork", printed_mark(n))
        for n in range(14)
    ]
    table = np.full((90, 120, 3), (90, 110, 100), np.uint8)
    return [
        *drawn,
        Picture("none:0", "", "backdrop", table),
        Picture("gsd:Arla-1", "", "photo", table),
    ]


@pytest.fixture(scope="module")
def pack_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "pictures.npz"
    write_pack(path, pictures(), long_side_px=160)
    return path


@pytest.fixture(scope="module")
def pack(pack_file: Path) -> Pack:
    return read_pack(pack_file)


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


def carton_in_a_photo() -> tuple[Image, Image, NDArray[np.float32]]:
    """A reference on white, a photo of its face, and where that lies in the photo."""
    face = printed_mark(5, size_px=(240, 320))
    reference = np.full((480, 480, 3), 255, np.uint8)
    reference[80:400, 120:360] = face
    quad = np.array([[150, 60], [420, 90], [400, 460], [140, 430]], np.float32)
    corners = np.array([[0, 0], [240, 0], [240, 320], [0, 320]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, quad)
    photo = np.full((500, 600, 3), (90, 110, 100), np.uint8)
    cv2.warpPerspective(
        face, matrix, (600, 500), dst=photo, borderMode=cv2.BORDER_TRANSPARENT
    )
    return reference, photo, quad


def test_registration_tells_where_the_face_lies_in_a_real_photo(
    tmp_path: Path,
) -> None:
    reference, photo, quad = carton_in_a_photo()
    files = {"reference": reference, "photo": photo, "other": photo[::-1]}
    items = []
    for kind, pixels in files.items():
        file = tmp_path / f"{kind}.png"
        cv2.imwrite(str(file), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        items.append(Item(file, "gsd:Arla-1", kind, "MIT"))
    empty = tmp_path / "empty.png"
    cv2.imwrite(str(empty), np.full((300, 400, 3), 120, np.uint8))
    items.append(Item(empty, "gsd:Arla-1", "photo", "MIT"))
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
    monkeypatch.setattr(
        gather,
        "photographed",
        lambda items, fronts: [
            (one.product_id, one.product_id in fronts) for one in items
        ],
    )
    trained, held = gather.localiser_scenes(tmp_path)
    assert list(trained) == [("gsd:Arla-Sour-Milk", True)]
    told = {("gsd:Alpro-Fresh-Soy-Milk", True), ("gsd:Valio-Milk", False)}
    assert set(held) == told
    assert gather.localiser_scenes(None) == ((), ())


def test_no_front_is_marked_for_both_uses_and_each_is_a_face() -> None:
    for fronts, part in ((FRONTS, "train"), (HELD_OUT_FRONTS, "held_out")):
        assert {split(product) for product in fronts} == {part}
        for corners in fronts.values():
            quad = np.array(corners, np.float32)
            assert cv2.isContourConvex(quad)
            np.testing.assert_array_equal(ordered(quad), quad)
            assert ((quad >= 0) & (quad <= 1)).all()


def real_scene() -> Scene:
    _, photo, quad = carton_in_a_photo()
    small = np.array(cv2.resize(photo, (300, 250), interpolation=cv2.INTER_AREA), "u1")
    small[:, :150] //= 2  # the left half lies in shadow
    printed = np.zeros((250, 300), np.uint8)
    cv2.fillConvexPoly(printed, np.round(quad / 2).astype(np.int32), 255)
    return Scene(small, printed, quad / np.float32(2), REAL, is_whole=True)


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
    other = replace(scene, quad=scene.quad + 1)
    count = write_pack(
        path, pictures(), long_side_px=160, scenes=[scene], held_scenes=[other]
    )
    assert count == 17  # scenes and pictures
    kept = read_pack(path)
    assert len(kept.artworks) == 13
    [again], [held] = kept.scenes, kept.held_scenes
    assert len(scenes_in(path)) == 1
    np.testing.assert_array_equal(again.printed, scene.printed)
    assert again.quad is not None
    np.testing.assert_allclose(again.quad, scene.quad)
    np.testing.assert_allclose(held.quad, again.quad + 1)
    assert kept.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert again.is_whole
    gap = np.abs(again.pixels.astype(int) - scene.pixels)
    assert gap.mean() < 4


def test_a_share_of_the_looks_is_at_real_photos() -> None:
    # Real photos are told by a colour that nothing else has.
    green = replace(real_scene(), pixels=np.full((250, 300, 3), (0, 255, 0), np.uint8))
    batches = iter(Looks(materials(), batch=96, seed=4, photographs=[green]))
    seen = [frame for _ in range(3) for frame in next(batches)[0].numpy()]
    is_real = [_is_green(frame).mean() > 0.05 for frame in seen]
    assert REAL_SHARE - 0.15 < np.mean(is_real) < REAL_SHARE + 0.15


def _is_green(frame: Image) -> NDArray[np.bool_]:
    red, green, blue = (frame[..., n].astype(int) for n in range(3))
    return np.asarray((green > 60) & (green > 3 * red) & (green > 3 * blue))


# --- scenes ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_the_print_lies_in_the_quad_that_is_told(shape: str) -> None:
    alike = []
    for seed in range(6):
        scene = draw_scene(materials(), np.random.default_rng(seed), shape=shape)
        assert scene.shape == shape
        assert scene.quad is not None
        filled = np.zeros(scene.printed.shape, np.uint8)
        cv2.fillConvexPoly(filled, np.round(scene.quad - 0.5).astype(np.int32), 1)
        printed = scene.printed > 127
        both = float((printed & (filled > 0)).sum())
        alike.append(both / float((printed | (filled > 0)).sum()))
    assert min(alike) > 0.7
    assert np.median(alike) > 0.9


def test_one_seed_gives_one_scene() -> None:
    first, again, other = (
        draw_scene(materials(), np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.printed, again.printed)
    assert not np.array_equal(first.pixels, other.pixels)


def test_some_scenes_show_no_package_some_stand_and_some_are_cut_off() -> None:
    rng = np.random.default_rng(1)
    scenes = [draw_scene(materials(), rng) for _ in range(40)]
    without = [scene for scene in scenes if scene.quad is None]
    assert 0 < len(without) < 20
    assert all(scene.printed.max() == 0 for scene in without)
    assert any(s.pixels.shape[0] > s.pixels.shape[1] for s in scenes)
    cut = [s for s in scenes if s.quad is not None and not s.is_whole]
    assert 0 < len(cut) < 30


# --- looks ----------------------------------------------------------------------------


def test_a_look_moves_print_and_corners_as_it_moves_the_picture() -> None:
    # A scene whose picture is its own print: wherever it goes, they must agree.
    quad = np.array([[60, 50], [250, 60], [240, 190], [70, 200]], np.float32)
    printed = np.zeros((240, 320), np.uint8)
    cv2.fillConvexPoly(printed, np.round(quad - 0.5).astype(np.int32), 255)
    scene = Scene(np.dstack([printed] * 3), printed, quad, "flat", is_whole=True)
    for seed in range(20):
        seen = look(scene, np.random.default_rng(seed))
        bright = seen.canvas[..., 0].astype(np.float32)
        cells = (FRAME_PX[0] // CELL_PX, FRAME_PX[1] // CELL_PX)
        small = cv2.resize(bright, cells, interpolation=cv2.INTER_AREA)
        at = np.argwhere(seen.printed > 0.99)
        off = np.argwhere(seen.printed < 0.01)
        assert small[tuple(at.T)].min() > small[tuple(off.T)].max() - 140
        assert small[tuple(at.T)].mean() > small[tuple(off.T)].mean() + 60
        edge = (seen.printed > 0.02) & (seen.printed < 0.98)
        for row, column in np.argwhere(seen.corners > 0.7):
            near = edge[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
            assert near.any()


def test_a_look_without_chance_is_what_the_service_sees() -> None:
    scene = draw_scene(materials(), np.random.default_rng(2), shape="flat")
    seen = look(scene)
    assert np.array_equal(seen.canvas, framed(scene.pixels).canvas)
    assert seen.shown == 1.0
    assert 0 <= seen.printed.min() <= seen.printed.max() <= 1


def test_batches_come_without_end_and_by_seed() -> None:
    def first(seed: int) -> torch.Tensor:
        return next(iter(Looks(materials(), batch=8, seed=seed)))[0]

    assert first(1).shape == (8, FRAME_PX[1], FRAME_PX[0], 3)
    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


# --- learning -------------------------------------------------------------------------


def test_a_tiny_network_learns_where_print_lies_within_seconds() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    scenes = [
        draw_scene(materials(), rng, shape="flat", size_px=(320, 240)) for _ in range(6)
    ]
    canvas, printed, corners, shown = batched([look(scene) for scene in scenes])
    net = LocaliserNet((8, 8, 16, 16, 16))
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        parts = losses_of(net(centred(canvas)), printed, corners, shown)
        loss = torch.stack(parts).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_a_run_leaves_its_checkpoints_its_metrics_and_where_it_came_from(
    pack_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "_MEASURED_SCENES", 5)
    config = replace(
        LearnConfig(), minutes=0.02, batch=4, eval_scenes=6, workers=0, seed=3
    )
    best = learn(pack_file, tmp_path / "run", config)
    assert 0 <= best["mean_iou"] <= 1
    state = torch.load(tmp_path / "run" / "best.pt", weights_only=True)
    LocaliserNet().load_state_dict(state["net"])
    told = json.loads(state["provenance"])
    assert told["config"]["seed"] == 3
    assert told["commit"]
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "held_out"
    manifest = release.release_localiser(
        tmp_path / "run", pack_file, tmp_path / "m", version="1", is_int8=False
    )
    served = (tmp_path / "m" / "localiser.onnx").read_bytes()
    assert localiser_of(served).digest == manifest["sha256"]
    assert manifest["training"]["config"]["seed"] == 3
    assert manifest["held_out"]["served"] == manifest["held_out"]["float32"]


# --- release --------------------------------------------------------------------------


def settled_net() -> LocaliserNet:
    """A network whose averages have seen frames, as after training."""
    torch.manual_seed(1)
    net = LocaliserNet((8, 8, 16, 16, 16)).train()
    scenes = [draw_scene(materials(), np.random.default_rng(n)) for n in range(4)]
    with torch.no_grad():
        for _ in range(12):
            net(centred(batched([look(scene) for scene in scenes])[0]))
    return net.eval()


def test_the_file_that_is_served_answers_as_the_trained_network() -> None:
    net = settled_net()
    frames = [
        framed(draw_scene(materials(), np.random.default_rng(n)).pixels)
        for n in range(10, 18)
    ]
    full = localiser_of(release.to_onnx(net))
    small = localiser_of(release.in_int8(net, [frame.canvas for frame in frames]))
    for frame in frames[:4]:
        expected = answered(net, frame)
        exact, rounded = full.answer(frame.canvas), small.answer(frame.canvas)
        assert np.allclose(exact.printed, expected.printed, atol=1e-3)
        assert np.allclose(exact.corners, expected.corners, atol=1e-3)
        assert exact.shown == pytest.approx(expected.shown, abs=1e-3)
        spread = float(np.std(expected.printed)) + 1e-6
        error = float(np.abs(rounded.printed - expected.printed).mean())
        assert error < 0.25 * spread


def test_what_was_exported_is_restored_to_the_same_network() -> None:
    torch.manual_seed(3)
    net = LocaliserNet()
    as_after_training(net, seed=3)
    again = restored(release.to_onnx(net.eval()))
    values = centred(torch.randint(0, 256, (1, *FRAME_PX[::-1], 3)))
    with torch.inference_mode():
        for one, other in zip(net(values), again(values), strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-3)


def test_the_shipped_localiser_is_restored_and_says_of_what(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["restore", "--out", str(tmp_path)]).exit_code == 0
    state = torch.load(tmp_path / "best.pt", weights_only=True)
    net = LocaliserNet().eval()
    net.load_state_dict(state["net"])
    manifest = json.loads((MODELS / "localiser.json").read_bytes())
    told = json.loads(state["provenance"])
    assert told["restored_from"]["sha256"] == manifest["sha256"]
    served = open_localiser(Settings.load(model_dir=MODELS, provider="cpu"))
    assert served is not None
    frame = framed(printed_mark(1, size_px=(320, 240)))
    one, other = answered(net, frame), served.answer(frame.canvas)
    agreement = np.corrcoef(one.printed.ravel(), other.printed.ravel())[0, 1]
    assert agreement > 0.99


def test_training_goes_on_from_what_is_served(pack_file: Path, tmp_path: Path) -> None:
    """A step of no length leaves it as it was, its normalisation too."""
    restore(MODELS, tmp_path / "restored")
    start = tmp_path / "restored" / "best.pt"
    config = replace(
        LearnConfig(),
        max_steps=1, batch=4, eval_scenes=4, workers=0, peak_rate=0.0,
        resume=str(start),
    )  # fmt: skip
    learn(pack_file, tmp_path / "run", config)
    before, after = (
        torch.load(file, weights_only=True)
        for file in (start, tmp_path / "run" / "last.pt")
    )
    for name, kept in before["net"].items():
        torch.testing.assert_close(after["net"][name], kept)
    told = json.loads(after["provenance"])["resumed_from"]
    assert told == json.loads(before["provenance"])
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    held = [one for one in map(json.loads, lines) if one["event"] == "held_out"]
    assert [one["step"] for one in held] == [0, 1]


@pytest.mark.parametrize("name", ["embedder", "comparator"])
def test_another_network_is_not_taken_for_a_localiser(name: str) -> None:
    with pytest.raises(ModelError, match="another network"):
        restored((MODELS / f"{name}.onnx").read_bytes())


def test_int8_that_costs_too_much_is_not_released() -> None:
    good, bad = {"mean_iou": 0.9}, {"mean_iou": 0.88}
    release.check_cost({"float32": good, "served": {"mean_iou": 0.895}})
    with pytest.raises(ModelError, match="costs too much"):
        release.check_cost({"float32": good, "served": bad})


# --- accuracy -------------------------------------------------------------------------


def test_overlap_and_corner_distance_are_what_geometry_says() -> None:
    square = np.array([[0, 0], [100, 0], [100, 100], [0, 100]], np.float32)
    half = square * np.array([0.5, 1], np.float32)
    aside = square + np.float32(500)
    size = (1000, 1000)
    assert overlap(square, square, size) == pytest.approx(1)
    assert overlap(square, half, size) == pytest.approx(0.5)
    assert overlap(square, aside, size) == 0
    assert overlap(square, square * 4, (100, 100)) == pytest.approx(1)
    assert corner_distance(square, np.roll(square, 2, axis=0)) == 0
    assert corner_distance(square, square + np.float32(3)) == pytest.approx(3 * 2**0.5)


def test_accuracy_tells_faces_from_none() -> None:
    found = [
        Located("flat", True, 0.9, 0.95, 0.004),
        Located("pouch", False, 0.2, 0.5, 0.3),
        Located("none", False, 0.7, 0.0, 1.0),
        Located("none", False, 0.1, 0.0, 1.0),
    ]
    told = accuracy(found)
    assert told["mean_iou"] == pytest.approx(0.725)
    assert told["corner_error_median"] == pytest.approx(0.004)
    assert told["found"] == told["false_finds"] == 0.5
    assert accuracy([])["mean_iou"] == 0


def test_scenes_that_are_held_out_are_always_the_same(pack: Pack) -> None:
    first, again = (held_out_scenes(pack, 3, shape="flat") for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


# --- what it is worth -----------------------------------------------------------------


def test_places_are_measured_by_shape(pack: Pack) -> None:
    told = places(localiser_of(bright_is_print()), pack, scenes=2)
    assert set(told) == {"all", "mixed", *SHAPES}
    assert told["flat"]["faces"] == 2


def test_real_places_are_measured_where_there_are_any(pack: Pack) -> None:
    both = replace(pack, held_scenes=(real_scene(),))
    told = places(localiser_of(bright_is_print()), both, scenes=1)
    assert told["real"]["faces"] == 1
    assert told["all"]["faces"] == len(SHAPES) + told["mixed"]["faces"]


def test_checkpoints_are_chosen_by_drawn_and_real_places_alike() -> None:
    scenes = [real_scene()] * 3
    overlaps = iter([0.5, 0.7, 0.9])

    def located_in(scene: Scene) -> Located:
        return Located(scene.shape, True, 0.9, next(overlaps), 0.01)

    told = accuracy_of_both(located_in, scenes[:1], scenes[1:])
    assert (told["mean_iou"], told["real"]["mean_iou"]) == (0.5, 0.8)
    assert chosen_by(told) == pytest.approx(0.65)
    assert chosen_by(accuracy([])) == 0


class _Blocks:
    """An embedder by the mean colours of a coarse grid."""

    digest, dim, provider = "0" * 64, 75, "cpu"

    def embed(self, pictures: Sequence[Pixels]) -> Vectors:
        rows = [
            cv2.resize(one, (5, 5), interpolation=cv2.INTER_AREA).ravel() - 128.0
            for one in pictures
        ]
        made = np.asarray(rows, np.float32)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True))


def test_a_face_that_is_found_makes_search_right_where_the_whole_photo_misleads() -> (
    None
):
    names = [str(n) for n in range(4)]
    faces = [printed_mark(n, size_px=(320, 240)) for n in range(4)]
    photos = []
    for face in faces:
        photo = np.zeros((480, 640, 3), np.uint8)
        photo[30:110, 20:127] = cv2.resize(face, (107, 80))
        photos.append(photo)
    one = RetrievalSet("corner", names, faces, names, photos)
    told = recalls(localiser_of(bright_is_print(level=60)), _Blocks(), [one])["corner"]
    assert told["face"] == told["served"] == 1.0
    assert told["whole"] < 1.0


def test_the_commands_draw_a_pack_and_say_what_is_missing(tmp_path: Path) -> None:
    run = CliRunner()
    pack = tmp_path / "pack.npz"
    made = run.invoke(
        app,
        ["pictures", "--out", str(pack), "--designs", "12", "--long-side-px", "96"],
    )
    assert made.exit_code == 0, made.output
    assert len(read_pack(pack).held_out) == 1
    missing = run.invoke(
        app, ["measure", "--pictures", str(pack), "--models", str(tmp_path)]
    )
    assert isinstance(missing.exception, Exception)
