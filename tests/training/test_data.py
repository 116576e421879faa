"""What may be trained on, how it is cached, and the batches made of it."""

import pickle
from functools import partial
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_world import printed_mark

from touchstone.errors import InvalidInputError, ModelError, NotAnImageError
from touchstone_training.comparator.faces import sheet
from touchstone_training.data import (
    HELD_OUT_SEED,
    Picture,
    PictureCache,
    read_image,
    read_manifest,
    real_training_pictures,
    split,
)
from touchstone_training.embedder.collage import Materials, collage
from touchstone_training.embedder.faces import localiser_in
from touchstone_training.embedder.pictures import open_materials, training_pictures
from touchstone_training.embedder.views import (
    Batches,
    BatchOptions,
    ViewOptions,
    real_view,
    reference_view,
)
from touchstone_training.localiser.pack import scenes_in, write_pack
from touchstone_training.localiser.scenes import REAL, Scene

MODELS = Path(__file__).parents[2] / "models"


def _noise(seed: int, height: int = 40, width: int = 30) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


_SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="{}"/></svg>'


@pytest.mark.parametrize(
    "product_id",
    [
        "gsd:Arla-Standard-Milk",
        "apc:jane_eyre_dvd",
        "lego60127:face1",
        "none",
        "design:12",
        "design:12/1",
        f"collage:{HELD_OUT_SEED - 1}",
    ],
)
def test_products_with_a_training_licence_are_trained_on(product_id: str) -> None:
    assert split(product_id) == "train"


@pytest.mark.parametrize(
    "product_id",
    [
        "gsd:Alpro-Fresh-Soy-Milk",
        "gsd:Bravo-Apple-Juice",
        "gsd:Tropicana-Juice-Smooth",
        "gsd:Valio-Vanilla-Yoghurt",
        "arc2017:windex",
        "smvs_dvd:001",
        "beer_brands_dipsum:Hackensack_Brewing",
        "book:1106279-gf",
        "ody2:4_in_1_Row_Europe",
        f"design:{HELD_OUT_SEED}",
        f"collage:{HELD_OUT_SEED}/1",
        "design:twelve",
        "a_set_nobody_has_heard_of:1",
        "",
    ],
)
def test_everything_else_is_held_out(product_id: str) -> None:
    assert split(product_id) == "held_out"


def _data_folder(root: Path) -> Path:
    """Write a data folder with one product of each kind of set."""
    sets = {
        "open/apc2016_catalog_jsk": [("a.png", "apc:a", "reference")],
        "open/lego_box_faces": [("1.png", "lego60127:face1", "reference")],
        "open/grocerystore_packages": [
            ("m.png", "gsd:Arla-Milk", "reference"),
            ("n.png", "gsd:Arla-Milk", "photo"),
            ("b.png", "gsd:Bravo-Juice", "reference"),
            ("c.png", "gsd:Bravo-Juice", "photo"),
        ],
        "open/grocerystore_nonpackage": [("f.png", "none", "other")],
        "measure/smvs_dvd_covers": [("1.png", "smvs_dvd:001", "reference")],
    }
    for number, (name, rows) in enumerate(sets.items()):
        folder = root / name
        folder.mkdir(parents=True)
        lines = ["file,product_id,kind,source_repo,licence"]
        for place, (file, product, kind) in enumerate(rows):
            cv2.imwrite(str(folder / file), _noise(10 * number + place))
            lines.append(f"{file},{product},{kind},somewhere/somewhat,MIT")
        (folder / "manifest.csv").write_text("\n".join(lines), encoding="utf-8")
    return root


def test_training_pictures_never_contain_a_held_out_product(tmp_path: Path) -> None:
    pictures = list(real_training_pictures(_data_folder(tmp_path), long_side_px=64))
    products = {picture.product_id for picture in pictures}
    assert products == {"apc:a", "lego60127:face1", "gsd:Arla-Milk", "none:0"}
    kinds = {(one.product_id, one.kind) for one in pictures}
    assert ("gsd:Arla-Milk", "photo") in kinds
    assert ("none:0", "backdrop") in kinds


def _with_materials(root: Path) -> Path:
    """Also a mark and a font, so that collages can be made."""
    data = _data_folder(root)
    header = "file,product_id,kind,source_repo,licence\n"
    icons, fonts = data / "open/icons_simple_icons", data / "open/fonts_open"
    for folder in (icons, fonts):
        folder.mkdir()
    (icons / "a.svg").write_text(_SVG.format("M0 0H9V9Z"), encoding="utf-8")
    (icons / "manifest.csv").write_text(
        f"{header}a.svg,icon:a,other,x/y,CC0-1.0\n", encoding="utf-8"
    )
    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    (fonts / "a.ttf").write_bytes(font.read_bytes())
    (fonts / "manifest.csv").write_text(
        f"{header}a.ttf,font:a,other,x/y,OFL\n", encoding="utf-8"
    )
    return data


def test_some_faces_of_the_studio_are_collages(tmp_path: Path) -> None:
    data = _with_materials(tmp_path)
    made = [sheet(seed, (112, 160), data=data) for seed in range(12)]
    # Of a design the reference has other variable data; a collage has none.
    collages = [one for one in made if np.array_equal(*one.pixels[:2])]
    assert 1 <= len(collages) <= 8
    assert any(one.changed.any() for one in collages)


def test_a_cache_is_drawn_of_every_kind_of_picture(tmp_path: Path) -> None:
    data = _with_materials(tmp_path / "data")
    marks = open_materials(data).marks
    assert marks[0].max() == 255
    assert marks[0].min() == 0
    pictures = training_pictures(data, designs=2, collages=2, long_side_px=96)
    cache = PictureCache.write(tmp_path / "cache", pictures)
    artworks = {cache.rows[index].product_id for index in cache.of_kind("artwork")}
    assert {"design:0", "design:0/1", "design:1", "collage:0/1", "apc:a"} <= artworks
    assert all(split(row.product_id) == "train" for row in cache.rows)
    assert all(max(row.height, row.width) <= 96 for row in cache.rows)


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"manifest\.csv"):
        read_manifest(tmp_path)


def test_pictures_of_one_name_in_folders_of_one_name_are_told_apart(
    tmp_path: Path,
) -> None:
    rows = [f"{part}/a/1.jpg,gsd:a,photo,MIT" for part in ("train", "test")]
    lines = "\n".join(["file,product_id,kind,licence", *rows])
    (tmp_path / "manifest.csv").write_text(lines, encoding="utf-8")
    items = read_manifest(tmp_path)
    assert [one.file for one in items] == ["train/a/1.jpg", "test/a/1.jpg"]
    assert [one.path for one in items] == [tmp_path / one.file for one in items]


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"not a picture")
    with pytest.raises(NotAnImageError, match=r"a\.png"):
        read_image(path, long_side_px=64)


def test_pictures_are_shrunk_and_stay_rgb(tmp_path: Path) -> None:
    red = np.zeros((100, 50, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "red.png"), red)
    pixels = read_image(tmp_path / "red.png", long_side_px=20)
    assert pixels.shape == (20, 10, 3)
    assert (pixels == (255, 0, 0)).all()


def _cache(folder: Path, products: int = 6) -> PictureCache:
    pictures = [Picture("none:0", "none:0", "backdrop", _noise(99, 50, 50))]
    for number in range(products):
        name = f"design:{number}"
        pictures.append(Picture(name, name, "artwork", _noise(number)))
        twin = _noise(1000 + number)
        pictures.append(Picture(f"{name}/1", name, "artwork", twin))
    pictures.append(Picture("gsd:Arla-Milk", "gsd:Arla", "artwork", _noise(50)))
    pictures.append(Picture("gsd:Arla-Milk", "gsd:Arla", "photo", _noise(51)))
    return PictureCache.write(folder, pictures)


def test_the_cache_gives_back_what_was_written(tmp_path: Path) -> None:
    written = _cache(tmp_path)
    opened = PictureCache.open(tmp_path)
    assert len(opened) == len(written) == 15
    assert opened.digest == written.digest
    assert opened.rows[1].product_id == "design:0"
    np.testing.assert_array_equal(opened[1], _noise(0))
    np.testing.assert_array_equal(opened[opened.of_kind("photo")[0]], _noise(51))


def test_the_cache_digest_tells_pictures_apart(tmp_path: Path) -> None:
    first = _cache(tmp_path / "a", products=2)
    second = _cache(tmp_path / "b", products=3)
    assert first.digest != second.digest


def test_a_missing_cache_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no picture cache"):
        PictureCache.open(tmp_path)


def _batches(cache: PictureCache, seed: int) -> Batches:
    return Batches(
        cache,
        views=ViewOptions(input_px=32, photo_px=64),
        batch=BatchOptions(products=4, sibling_share=1.0),
        seed=seed,
    )


def test_each_product_of_a_batch_has_two_different_views(tmp_path: Path) -> None:
    pictures, labels = next(iter(_batches(_cache(tmp_path), seed=3)))
    assert pictures.shape == (8, 32, 32, 3)
    assert pictures.dtype == torch.uint8
    assert labels[:4].tolist() == labels[4:].tolist()
    assert len(set(labels.tolist())) == 4
    assert all(not torch.equal(pictures[one], pictures[one + 4]) for one in range(4))


def test_the_same_seed_gives_the_same_batches(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    first, _ = next(iter(_batches(cache, seed=3)))
    again, _ = next(iter(_batches(cache, seed=3)))
    other, _ = next(iter(_batches(cache, seed=4)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_faces_are_looked_at_alone_where_they_are_found(tmp_path: Path) -> None:
    artworks = [printed_mark(number, size_px=(320, 100)) for number in range(8)]
    cache = PictureCache.write(
        tmp_path,
        [
            Picture(f"design:{number}", f"design:{number}", "artwork", artwork)
            for number, artwork in enumerate(artworks)
        ],
    )
    views = ViewOptions(input_px=96, photo_px=256, face_share=1.0, max_difficulty=0.0)
    batch = BatchOptions(products=8)
    alone, whole = (
        next(iter(Batches(cache, views=views, batch=batch, seed=3, open_localiser=o)))[
            0
        ]
        for o in (partial(localiser_in, MODELS), None)
    )
    assert alone.shape == whole.shape == (16, 96, 96, 3)
    assert torch.equal(alone[0], whole[0])  # the first reference
    # A photo is four by three, and so short a face is three by one.
    assert {_short_side(one) for one in whole[8:]} == {72}
    assert np.median([_short_side(one) for one in alone[8:]]) < 50


def test_artworks_are_printed_over_faces_in_real_photos(tmp_path: Path) -> None:
    red = [
        np.full((60, 30 + number, 3), (220, 30, 30), np.uint8) for number in range(4)
    ]
    pictures = [
        Picture(f"design:{number}", f"design:{number}", "artwork", pixels)
        for number, pixels in enumerate(red)
    ]
    pictures.append(Picture("gsd:Arla-Milk", "gsd:Arla", "artwork", red[0]))
    scene = _in_a_real_photo()
    batches = Batches(
        PictureCache.write(tmp_path, pictures),
        views=ViewOptions(input_px=64, photo_px=96, real_scenes=1.0),
        batch=BatchOptions(products=5, sibling_share=0.0),
        seed=0,
        open_scenes=lambda: [scene],
    )
    shown, labels = next(iter(batches))
    for photo, label in zip(shown[5:].numpy().astype(int), labels[5:], strict=True):
        is_shown = (photo != 114).any(axis=2)
        is_red = photo[..., 0] > photo[..., 1] + 40
        is_blue = photo[..., 2] > photo[..., 0] + 60
        # A blue photo with a red face in it, and nothing else; no real product's.
        is_there = (is_red | is_blue)[is_shown].mean() > 0.9
        assert is_there == (int(label) < 4)


def _in_a_real_photo() -> Scene:
    blue = np.full((120, 160, 3), (30, 40, 220), np.uint8)
    printed = np.zeros((120, 160), np.uint8)
    printed[20:100, 60:100] = 255
    corners = [[60, 20], [100, 20], [100, 100], [60, 100]]
    return Scene(blue, printed, np.array(corners, np.float32), REAL, is_whole=True)


def _short_side(picture: torch.Tensor) -> int:
    """The shorter side, in px, of what is more than letterbox."""
    is_shown = (picture != 114).any(dim=2)
    return min(int(is_shown.any(dim=axis).sum()) for axis in (0, 1))


def test_batches_go_to_another_process_without_their_pictures(tmp_path: Path) -> None:
    pack = tmp_path / "pack.npz"
    write_pack(
        pack,
        [Picture(f"design:{n}", "", "artwork", _noise(n)) for n in (3, 11)],
        long_side_px=64,
        scenes=[_in_a_real_photo()],
    )
    batches = Batches(
        _cache(tmp_path),
        views=ViewOptions(input_px=32, photo_px=64),
        batch=BatchOptions(products=4),
        seed=5,
        open_localiser=partial(localiser_in, MODELS),
        open_scenes=partial(scenes_in, pack),
    )
    first, _ = next(iter(batches))
    sent = pickle.dumps(batches)  # used or not
    assert len(sent) < 20_000
    again, _ = next(iter(pickle.loads(sent)))  # noqa: S301
    assert torch.equal(first, again)


def test_a_folder_without_a_localiser_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no localiser"):
        localiser_in(tmp_path)


def test_siblings_meet_in_one_batch(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    _, labels = next(iter(_batches(cache, seed=0)))
    products = sorted({row.product_id for row in cache.rows})
    families = [products[label].partition("/")[0] for label in labels[:4].tolist()]
    assert len(set(families)) < 4


def test_reference_views_are_quarter_turns_when_not_padded() -> None:
    artwork = _noise(1, 32, 32)
    options = ViewOptions(input_px=32, padded_share=0.0)
    turns = [np.rot90(artwork, turn) for turn in range(4)]
    for seed in range(4):
        view = reference_view(artwork, np.random.default_rng(seed), options=options)
        assert any(np.array_equal(view, turn) for turn in turns)


def test_real_views_lose_little_and_stay_bytes() -> None:
    view = real_view(_noise(2, 60, 40), np.random.default_rng(0))
    assert min(view.shape[:2]) >= 0.8 * 40
    assert view.dtype == np.uint8


def test_a_sibling_collage_differs_but_keeps_its_format() -> None:
    materials = Materials(
        pictures=[_noise(1, 80, 80), _noise(2, 80, 80)],
        marks=[np.full((16, 16), 255, np.uint8)],
        fonts=[Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"],
    )
    differing = 0
    for seed in range(8):
        design = collage(seed, materials, long_side_px=96)
        twin = collage(seed, materials, variant=1, long_side_px=96)
        assert design.shape == twin.shape
        assert np.array_equal(design, collage(seed, materials, long_side_px=96))
        differing += not np.array_equal(design, twin)
    assert differing >= 7  # one may hide its difference beneath a later layer


def test_a_collage_without_materials_is_still_drawn() -> None:
    drawn = collage(3, Materials(pictures=(), marks=(), fonts=()), long_side_px=64)
    assert max(drawn.shape) == 64
