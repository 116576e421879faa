"""The fonts to draw with: Debian's packages where they are installed.

Only the files named here are taken, in this order, so that two machines with the same
packages draw the same artwork from the same seed.
"""

from pathlib import Path

DEBIAN_FOLDER = Path("/usr/share/fonts")

PACKAGES = (
    "fonts-roboto-unhinted", "fonts-lato", "fonts-open-sans", "fonts-liberation",
    "fonts-paratype", "fonts-lobstertwo", "fonts-comfortaa", "fonts-gfs-didot",
    "fonts-freefont-ttf", "fonts-dejavu-core", "fonts-thai-tlwg", "fonts-deva",
    "fonts-hosny-amiri", "fonts-wqy-microhei", "fonts-nanum",
)  # fmt: skip
"""What ``apt-get install`` takes to have them all."""

NAMES = (
    "Roboto-Regular.ttf", "Roboto-Bold.ttf", "Roboto-Light.ttf", "Roboto-Black.ttf",
    "RobotoCondensed-Bold.ttf", "RobotoCondensed-Regular.ttf", "Lato-Regular.ttf",
    "Lato-Bold.ttf", "Lato-Black.ttf", "OpenSans-Regular.ttf", "OpenSans-Bold.ttf",
    "OpenSans-Light.ttf", "OpenSans-ExtraBold.ttf", "OpenSans-CondBold.ttf",
    "LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf",
    "LiberationSansNarrow-Bold.ttf", "LiberationSerif-Regular.ttf",
    "LiberationSerif-Bold.ttf", "LiberationSerif-Italic.ttf",
    "LiberationMono-Regular.ttf", "PTF55F.ttf", "PTF75F.ttf", "PTS55F.ttf",
    "PTN77F.ttf", "PTS75F.ttf", "LobsterTwo-Bold.otf", "Comfortaa-Regular.ttf",
    "Comfortaa-Bold.ttf", "GFSDidot.otf", "Purisa-Bold.ttf", "Garuda-Bold.ttf",
    "Garuda.ttf", "Loma.ttf", "Kinnari.ttf", "Waree-Bold.ttf", "Norasi-Bold.ttf",
    "Sawasdee.ttf", "Lohit-Devanagari.ttf", "Gargi.ttf", "nakula.ttf",
    "sahadeva.ttf", "samanata.ttf", "Amiri-Regular.ttf", "Amiri-Bold.ttf",
    "wqy-microhei.ttc", "NanumSquareR.ttf", "NanumSquareB.ttf",
    "NanumSquareRoundB.ttf", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf",
    "DejaVuSerif.ttf", "FreeSerifBold.ttf", "FreeSans.ttf",
)  # fmt: skip


def installed_fonts(folder: Path = DEBIAN_FOLDER) -> tuple[Path, ...]:
    """The fonts named here that lie anywhere under ``folder``; none is no error."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        found.setdefault(path.name, path)
    return tuple(found[name] for name in NAMES if name in found)
