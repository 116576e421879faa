"""The peers: that they see what they are given, and run where they can."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from invented_photos import BLANK
from onnx import TensorProto, helper
from small_world import photographed, printed_mark, write_jpeg

from touchstone.errors import InvalidInputError
from touchstone_training.benchmark.patchcore import variations
from touchstone_training.benchmark.peers import (
    Classic,
    scores_of,
    with_features,
    with_patchcore,
)
from touchstone_training.benchmark.pictures import Kept, write_picture

SIDE_PX = 32


def network(*, strides: tuple[int, ...] = (8, 8, 16)) -> bytes:
    """Bytes (n, 32, 32, 3) to a vector, by a residual sum at each of ``strides``."""
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["planes"], perm=[0, 3, 1, 2]),
    ]
    last, side = "planes", SIDE_PX
    for number, stride in enumerate(strides):
        step = side // (SIDE_PX // stride)
        side = SIDE_PX // stride
        pooled, total = f"pooled{number}", f"sum{number}"
        nodes += [
            helper.make_node(
                "AveragePool", [last], [pooled], kernel_shape=[step] * 2,
                strides=[step] * 2,
            ),
            helper.make_node("Add", [pooled, pooled], [total]),
        ]  # fmt: skip
        last = total
    nodes.append(helper.make_node("Flatten", [last], ["embedding"], axis=1))
    image = helper.make_tensor_value_info(
        "image", TensorProto.UINT8, ["batch", SIDE_PX, SIDE_PX, 3]
    )
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "tiny", [image], [out])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    return bytes(model.SerializeToString())


def test_the_backbone_gives_its_last_features_at_both_sizes() -> None:
    data = with_features(network())
    onnx.checker.check_model(onnx.load_from_string(data))
    session = onnxruntime.InferenceSession(data)
    names = [one.name for one in session.get_outputs()]
    assert names == ["embedding", "sum1", "sum2"]
    picture = np.full((1, SIDE_PX, SIDE_PX, 3), 10, np.uint8)
    _, eighth, sixteenth = session.run(None, {"image": picture})
    assert eighth.shape == (1, 3, 4, 4)
    assert sixteenth.shape == (1, 3, 2, 2)
    assert np.all(eighth == 40)
    assert np.all(sixteenth == 80)


def test_a_network_without_such_features_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="1/16"):
        with_features(network(strides=(8,)))


def test_a_reference_is_varied_a_little_and_always_alike() -> None:
    face = printed_mark(1)
    views = variations(face, views=4)
    assert np.array_equal(views[0], face)
    for one in views[1:]:
        assert one.shape == face.shape
        assert one.dtype == np.uint8
        alike = np.corrcoef(one.ravel(), face.ravel())[0, 1]
        assert 0.8 < alike < 0.9999
    again = variations(face, views=4)
    assert all(np.array_equal(*both) for both in zip(views, again, strict=True))


FAKE_ANOMALIB = '''
"""A memory bank as anomalib's, small enough to be read here."""
import types
import torch

class PatchcoreModel:
    def __init__(self, layers, backbone, pre_trained):
        assert list(layers) == ["layer2", "layer3"] and not pre_trained
        self.stored, self.training = [], True
    def train(self):
        self.training = True
    def eval(self):
        self.training = False
    def subsample_embedding(self, share):
        assert 0 < share <= 1
        self.bank, self.stored = torch.vstack(self.stored), []
    def __call__(self, pictures):
        assert pictures.shape[1] == 3
        found = self.feature_extractor(pictures)["layer2"]
        patches = found.permute(0, 2, 3, 1).flatten(1, 2)
        if self.training:
            self.stored.append(patches.flatten(0, 1))
            return None
        far = torch.cdist(patches, self.bank.expand(len(patches), -1, -1))
        return types.SimpleNamespace(pred_score=far.amin(2).amax(1))
'''


def fake_environment(folder: Path) -> Path:
    package = folder / "anomalib" / "models" / "image" / "patchcore"
    package.mkdir(parents=True)
    for parent in (package, *list(package.parents)[:3]):
        (parent / "__init__.py").touch()
    (package / "torch_model.py").write_text(FAKE_ANOMALIB, encoding="utf-8")
    return folder


def test_patchcore_scores_crops_in_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(fake_environment(tmp_path / "packages")))
    kept = Kept(tmp_path / "run", SIDE_PX)
    face = printed_mark(3, size_px=(SIDE_PX, SIDE_PX))
    changed = face.copy()
    changed[8:20, 8:20] = 255 - changed[8:20, 8:20]
    write_picture(kept.reference_of("A"), face)
    write_picture(kept.crop_of("same"), face)
    write_picture(kept.crop_of("changed"), changed)
    rows = [
        replace(BLANK, name=name, group="A", peers={"embedding_cosine": -0.9})
        for name in ("same", "changed", "not found")
    ]
    same, forged, lost = with_patchcore(
        rows, kept, python=Path(sys.executable), embedder=network()
    )
    assert same.peers["patchcore"] == pytest.approx(0, abs=1e-3)
    assert forged.peers["patchcore"] > 10
    assert same.peers["embedding_cosine"] == -0.9
    assert lost == rows[2]
    assert np.isnan(scores_of([lost], "patchcore")[0])


def test_an_environment_without_anomalib_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(InvalidInputError, match="anomalib"):
        with_patchcore(
            [], Kept(tmp_path, SIDE_PX), python=Path(sys.executable), embedder=network()
        )
    assert json.loads((tmp_path / "patchcore" / "jobs.json").read_text()) == []


def test_the_classic_peer_suspects_another_print(tmp_path: Path) -> None:
    face = printed_mark(7)
    classic = Classic(face)
    own, other = (
        classic.suspicion(
            write_jpeg(tmp_path / f"{n}.jpg", photographed(one)).read_bytes()
        )
        for n, one in enumerate((face, printed_mark(8)))
    )
    assert -1 <= own < other <= 1
