"""One picture with its answer drawn on it: of an image, or of a moment of a video."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from PIL import Image

from skyeye_edge.core.answer_drawing import draw_answer
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import AnswerEvent
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.sinks.output import make_folder, replacing
from skyeye_edge.runtime.sources import open_source


def write_still(
    source: Path, event: AnswerEvent, picture: Path, *, overwrite: bool = False
) -> None:
    """Draw an answer on the frame it is about, and write it as PNG.

    Args:
        source: the image or video that was asked about.
        event: the answer; of a clip, its last frame is drawn.
        picture: what to write; appears when it is complete.
        overwrite: also where a file stands that we did not write.

    Raises:
        InputError: `source` has no such frame, or `picture` cannot be written.
        OutputError: `picture` is not ours to replace.
        MediaError: no picture in `source` can be decoded.
    """
    make_folder(picture.parent)
    drawn = draw_answer(_frame_at(source, event.frames[-1]).rgb, event)
    with replacing(picture, overwrite=overwrite) as part:
        Image.fromarray(drawn).save(part, format="PNG")


def _frame_at(source: Path, index: int) -> Frame:
    opened = open_source(source, keep_damaged=True)  # it was asked about, so it is shown
    with closing(opened):
        for item in opened.items(0.0):
            if isinstance(item, Frame) and item.index == index:
                return item
    raise InputError(f"{source}: there is no frame {index}; the answer is about something else")
