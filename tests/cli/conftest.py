"""The command line run in this process, and a small world for it to work on."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small_world import Pixels, photographed, printed_mark, write_jpeg, write_models

from touchstone import cli
from touchstone.bootstrap import build
from touchstone.settings import Settings


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All of stdout as JSON lines; fails where anything else is there."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def act(*arguments: object) -> Ran:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ran(int(ended.value.code or 0), out, err)

    return act


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models, references of three soaps, and photos of them."""
    root = tmp_path_factory.mktemp("world")
    write_models(root / "models")
    lines = ["product_id,image,brand,name,gtin"]
    for number in range(3):
        write_jpeg(root / "references" / f"{number}.jpg", printed_mark(number))
        lines.append(f"P-{number},{number}.jpg,Acme,Soap {number},")
    (root / "references" / "references.csv").write_text("\n".join(lines) + "\n")
    photos = root / "photos"
    write_jpeg(photos / "genuine.jpg", photographed(printed_mark(0)))
    write_jpeg(photos / "fake.jpg", photographed(forged(1), seed=1))
    write_jpeg(photos / "unknown.jpg", photographed(printed_mark(77), seed=2))
    (photos / "broken.jpg").write_bytes(b"no image")
    return root


def forged(seed: int) -> Pixels:
    face = printed_mark(seed)
    face[100:220, 120:330] = 255 - face[100:220, 120:330]
    return face


@pytest.fixture(autouse=True)
def _environment(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_MODEL_DIR", str(world / "models"))
    monkeypatch.setenv("TOUCHSTONE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def enrolled(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which the three soaps are enrolled; only for reading."""
    data = tmp_path_factory.mktemp("enrolled") / "data"
    settings = Settings.load(data_dir=data, model_dir=world / "models")
    with build(settings) as parts:
        report = parts.enroller.enrol_csv(
            parts.store.ensure_local_operator(),
            world / "references" / "references.csv",
        )
    assert report.enrolled == 3
    return data


@pytest.fixture
def data(enrolled: Path, tmp_path: Path) -> Path:
    """A data folder of one's own, with the three soaps."""
    return Path(shutil.copytree(enrolled, tmp_path / "data"))
