"""Where the images of a set lie, and how large they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from skyeye_edge.core.boxes import Size
from skyeye_edge.core.images import BROKEN
from skyeye_edge.training.data.readers.entries import UNKNOWN, Entry

SUFFIXES = (".jpg", ".png", ".tif", ".jpeg", ".bmp", ".webp", ".tiff", ".JPG", ".PNG", ".TIF")
# What public sets call the folder: JPEGImages-trainval, Images_LR, RSICD_images, Data, imgs.
_USUAL = re.compile(r"(?:data|videos?|.*(?:image|img).*)", re.IGNORECASE)
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # EXIF: these show the picture on its side


@dataclass(frozen=True, slots=True)
class ImageFolders:
    """Folders in which a set's images are looked for, in this order."""

    folders: tuple[Path, ...]

    def find(self, entry: Entry, *names: str) -> Path:
        """The file that one of `names` means: as it stands, without its folders, or any suffix.

        Raises:
            DataError: there is none; named with the entry's file and line.
        """
        for folder in self.folders:
            for name in names:
                for path in _candidates(folder, name):
                    if path.is_file():
                        return path
        looked = ", ".join(str(folder) for folder in self.folders[:3])
        entry.fail(
            f"there is no image {self.folders[0] / names[0]}; names are relative to {looked}"
            "; `images` names another folder"
        )


def image_folders(path: Path, images: Path | None) -> ImageFolders:
    """`images`, or the usual folders nearest to the annotation file or folder, and its own."""
    if images is not None:
        return ImageFolders((images,))
    own = path if path.is_dir() else path.parent
    above = (own, own.parent, own.parent.parent) if path.is_dir() else (own, own.parent)
    # The nearest alone: an image of the same name in another set's folder would be a wrong one.
    found = next((usual for base in above if (usual := list(_usual_folders(base)))), [])
    same = [folder / own.name for folder in found if (folder / own.name).is_dir()]
    return ImageFolders((*same, *found, own) if found else (own,))


def _usual_folders(base: Path) -> Sequence[Path]:
    if not base.is_dir():
        return ()
    names = sorted(each.name for each in base.iterdir() if _USUAL.fullmatch(each.name))
    return [base / name for name in names if (base / name).is_dir()]


def _candidates(folder: Path, name: str) -> list[Path]:
    plain = Path(name.replace("\\", "/"))
    paths = [folder / plain, folder / plain.name]
    if plain.suffix.lower() not in (each.lower() for each in SUFFIXES):
        paths += [path.with_name(path.name + suffix) for path in paths for suffix in SUFFIXES]
    return paths


def image_size(image: Path) -> Size:
    """(width, height) as the picture is seen; `UNKNOWN` where it cannot be read."""
    try:
        with Image.open(image) as opened:
            turned = opened.getexif().get(ORIENTATION, 1) in TURNED
            width, height = opened.size
    except BROKEN:
        return UNKNOWN
    return (height, width) if turned else (width, height)
