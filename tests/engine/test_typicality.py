"""What is usual at each place: the quick ways give what the plain ones do."""

import numpy as np
import pytest
from engine.test_printings import lot

from touchstone.engine.profile import packed
from touchstone.engine.typicality import Standard, Usual


@pytest.mark.parametrize("items", [7, 8])
def test_what_stands_out_stands_out_from_the_median(items: int) -> None:
    rng = np.random.default_rng(items)
    values = np.clip(rng.normal(0, 3, (items, 8)), -8, 8).astype(np.float32)
    nothing = np.zeros(2, np.float32)
    standard = Standard(values, np.ones((items, 2), bool), nothing, nothing)
    strays = np.clip(values - np.quantile(values, 0.5, axis=0, method="lower"), -8, 8)
    beyond = np.sign(strays) * np.maximum(np.abs(strays) - np.float32(1.5), 0)
    expected = np.asarray(beyond * np.sqrt(standard.weights), np.float32)
    assert np.array_equal(standard.standing_out(1.5), expected)


def test_each_item_is_held_to_its_own_noise_where_that_is_more() -> None:
    _, profiles = lot()
    usual = Usual.of(profiles)
    noisy = profiles[0].planes()
    noisy[1:4] *= 3
    noisy[:, :12] = 0  # a hand over half of it
    standard = usual.standardised([profiles[0], packed(noisy)])
    colours = np.abs(standard.values.reshape(2, 4, -1)[:, 1:])
    for number in range(2):
        medians = np.median(colours[number][:, standard.seen[number]], axis=1)
        assert medians.max() <= 1 / 1.4826 + 1e-6
    assert not standard.values.reshape(2, 4, -1)[1, :, ~standard.seen[1]].any()
