"""Videos with captions: CapERA."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.entries import OfSplit, split_of
from skyeye_edge.training.data.readers.image_files import image_folders
from skyeye_edge.training.data.readers.json_files import read_array
from skyeye_edge.training.data.readers.names import in_words
from skyeye_edge.training.data.video_frames import FRAMES, clip_of


def read_capera(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """CapERA: `ERA_caption[]` of `video_id`, which begins with ERA's class, and `annotation`.

    A video is a clip of frames from even parts of its length. It lies in the folder of videos, or
    there in one that is called as its class (`Baseball/Baseball_001.mp4`). Split from the name of
    the file. Captions are lower-cased.

    Raises:
        DataError: an entry is wrong.
    """
    folders = image_folders(file, images)
    for entry in read_array(file, "ERA_caption"):
        with entry.guarded():
            name = entry.text("video_id")
            event = Path(name).stem.rpartition("_")[0]
            video = folders.find(entry, name, f"{event}/{name}")
            captions = entry.object("annotation").texts("English_caption")
            yield (
                split_of(file),
                Annotation(
                    clip_of(video, FRAMES),
                    tuple(caption.lower() for caption in captions),
                    scene=in_words(event),
                    upright=True,
                ),
            )
