"""Real photos that the benchmark leaves out, genuine and with a change planted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scenes import photographed, printed

from touchstone.errors import InvalidInputError
from touchstone_training.benchmark.real import real_sets
from touchstone_training.checkpoints import BEST, Checkpoint
from touchstone_training.comparator.network import STRIDE, ComparatorNet
from touchstone_training.comparator.on_real import _left_out, answer_of, on_real


def shelf(data: Path, *, products: int, photos: int) -> Path:
    """Write a set that may be measured with, photos of each product in turn."""
    folder = data / "measure" / "shelf"
    folder.mkdir(parents=True)
    rows = ["file,product_id,kind,licence"]
    for product in range(products):
        print_ = printed(product)
        Image.fromarray(print_.pixels).save(folder / f"{product}.png")
        rows.append(f"{product}.png,shelf:{product},reference,none")
    for number in range(photos):
        for product in range(products):
            taken = photographed(printed(product), zoom=1.1, seed=number)
            Image.fromarray(taken.pixels).save(folder / f"{product}-{number}.png")
            rows.append(f"{product}-{number}.png,shelf:{product},photo,none")
    (folder / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    return data


def by_difference(
    fed: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Say how far the prints are apart, place by place; nothing of the whole."""
    planes = fed[0].astype(np.float32)
    gap = np.abs(planes[..., :3] - planes[..., 3:6]).max(axis=2) * (planes[..., 6] > 0)
    rows, columns = (side // STRIDE for side in gap.shape)
    cells = gap.reshape(rows, STRIDE, columns, STRIDE).mean(axis=(1, 3))
    return cells, np.array([0, cells.max(), 0, 0, 0], np.float32)


def test_planted_changes_are_told_by_who_sees_them(tmp_path: Path) -> None:
    shelf(tmp_path, products=4, photos=3)
    told = on_real(tmp_path, by_difference, names=["shelf"])["shelf"]
    (every,) = real_sets(tmp_path)
    (proved,) = real_sets(tmp_path, every_nth=2)
    shown, looked_at = (
        {item.product_id for item in photos}
        for photos in (_left_out(every.photos), proved.photos)
    )
    assert shown == {"shelf:1", "shelf:3"}
    assert looked_at == {"shelf:0", "shelf:2"}
    assert (told["genuine"], told["products"]) == (6, 2)
    assert 4 * 6 < told["planted"] <= 5 * 6
    assert told["peak"]["auroc"]["value"] > 0.9
    assert told["place"]["auroc"]["value"] > 0.9
    assert told["whole"] == {
        "auroc": {"value": 0.5, "interval95": pytest.approx([np.nan] * 2, nan_ok=True)},
        "usual": 0.0,
    }


def test_where_every_product_is_looked_at_the_other_photos_are_shown(
    tmp_path: Path,
) -> None:
    shelf(tmp_path, products=3, photos=4)
    told = on_real(tmp_path, by_difference, names=["shelf"])["shelf"]
    assert (told["genuine"], told["products"]) == (6, 3)
    low, high = told["peak"]["auroc"]["interval95"]
    assert 0.5 < low <= told["peak"]["auroc"]["value"] <= high <= 1


def test_what_is_planted_into_a_photo_hangs_on_no_other(tmp_path: Path) -> None:
    fed: list[NDArray[np.uint8]] = []

    def remembered(
        shown: NDArray[np.uint8],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        fed.append(shown)
        return by_difference(shown)

    shelf(tmp_path, products=4, photos=1)
    on_real(tmp_path, remembered, names=["shelf"])
    last, seen = fed[-1], len(fed)
    blank = np.zeros((320, 480, 3), np.uint8)
    Image.fromarray(blank).save(tmp_path / "measure" / "shelf" / "1-0.png")
    on_real(tmp_path, remembered, names=["shelf"])
    assert len(fed) < 2 * seen
    assert (fed[-1] == last).all()


def test_a_set_of_which_nothing_lies_over_its_reference_is_refused(
    tmp_path: Path,
) -> None:
    folder = shelf(tmp_path, products=2, photos=1) / "measure" / "shelf"
    for product in range(2):
        blank = np.zeros((320, 480, 3), np.uint8)
        Image.fromarray(blank).save(folder / f"{product}-0.png")
    with pytest.raises(InvalidInputError, match="No photo of shelf"):
        on_real(tmp_path, by_difference, names=["shelf"])


def test_data_without_these_sets_is_refused_by_their_names(tmp_path: Path) -> None:
    shelf(tmp_path, products=1, photos=1)
    with pytest.raises(InvalidInputError, match="none of books"):
        on_real(tmp_path, by_difference, names=["books"])


def test_a_checkpoint_answers_as_its_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = ComparatorNet().eval()
    Checkpoint(net.state_dict(), 1, {}, {}).write(tmp_path / BEST)
    fed = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 8), np.uint8)
    cells, told = answer_of(tmp_path, tmp_path)(fed)
    assert cells.shape == (64 // STRIDE, 96 // STRIDE)
    with torch.inference_mode():
        wanted = net(torch.from_numpy(fed[..., :7].transpose(0, 3, 1, 2).copy()))[1]
    np.testing.assert_allclose(told, wanted[0].numpy(), rtol=1e-5)
