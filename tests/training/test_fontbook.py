from pathlib import Path

from touchstone_training.simulator.fontbook import NAMES, PACKAGES, installed_fonts

README = Path(__file__).parents[2] / "training" / "README.md"


def test_installed_fonts_come_in_the_same_order_wherever_they_lie(
    tmp_path: Path,
) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / NAMES[0]).touch()
    (tmp_path / NAMES[3]).touch()
    (tmp_path / "unknown.ttf").touch()
    assert [f.name for f in installed_fonts(tmp_path)] == [NAMES[0], NAMES[3]]


def test_without_fonts_there_are_none(tmp_path: Path) -> None:
    assert installed_fonts(tmp_path / "missing") == ()


def test_the_readme_names_every_package() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in PACKAGES if name not in text] == []
