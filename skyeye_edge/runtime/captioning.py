"""A recording to files: JSON Lines first, then subtitles and the annotated video made from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import AnswerEvent, Event
from skyeye_edge.core.frame import Counts
from skyeye_edge.core.tasks import Task, check_tasks
from skyeye_edge.runtime.annotate import annotate
from skyeye_edge.runtime.resume import (
    Earlier,
    Rest,
    check_same_run,
    cut_to_last_answer,
    read_earlier,
    read_events,
)
from skyeye_edge.runtime.sinks.captions import write_captions
from skyeye_edge.runtime.sinks.jsonl import JsonlSink
from skyeye_edge.runtime.sinks.output import make_folder
from skyeye_edge.runtime.sources import open_source
from skyeye_edge.runtime.sources.file import FileSource
from skyeye_edge.runtime.sources.images import ImagesSource
from skyeye_edge.runtime.sources.source import Source
from skyeye_edge.runtime.stream import Stream, ending_on_signals

if TYPE_CHECKING:
    from skyeye_edge.runtime.model import Model

Format = Literal["jsonl", "vtt", "srt"]


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files of one recording; None: not wanted."""

    events: Path  # always written: resume reads it
    vtt: Path | None = None
    srt: Path | None = None
    annotated: Path | None = None

    @classmethod
    def in_folder(
        cls,
        folder: Path,
        stem: str,
        formats: Sequence[Format] = ("jsonl", "vtt", "srt"),
        *,
        annotate: bool = False,
    ) -> Outputs:
        """`folder/<stem>.jsonl`, `.vtt`, `.srt` and `<stem>.annotated.mp4`."""
        return cls(
            events=folder / f"{stem}.jsonl",
            vtt=folder / f"{stem}.vtt" if "vtt" in formats else None,
            srt=folder / f"{stem}.srt" if "srt" in formats else None,
            annotated=folder / f"{stem}.annotated.mp4" if annotate else None,
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that are wanted."""
        return tuple(
            path for path in (self.events, self.vtt, self.srt, self.annotated) if path is not None
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a recording is."""

    stage: Literal["asking", "drawing"]
    frames: int  # read so far
    frames_in_all: int  # 0 if the video does not say
    seconds: float  # media time so far
    seconds_in_all: float  # 0 if the video does not say


@dataclass(frozen=True, slots=True)
class Captioned:
    """What became of a recording."""

    counts: Counts
    answered: int  # frames
    interrupted: bool  # by Ctrl-C: the files are whole up to there, and --resume goes on
    files: tuple[Path, ...]  # those that were written


def caption_file(
    model: Model,
    video: Path | str,
    outputs: Outputs,
    tasks: Sequence[Task],
    *,
    every: float = 1.0,
    clip: int = 1,
    resume: bool = False,
    on_event: Callable[[Event], None] = lambda event: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Captioned:
    """Ask about a video (or a folder of images) and write the answers down.

    Args:
        model: answers; stays open.
        video: a file or folder.
        outputs: what to write. Subtitles and video appear whole or not at all, the JSON Lines grow.
        tasks: what is asked about each frame.
        every: seconds between answers, 0 for every frame.
        clip: so many frames are asked about as one.
        resume: go on where an interrupted run stopped; if there was none, begin.
        on_event: told each new event once it is on the disk.
        on_progress: told after each answer, and after each drawn frame.

    Raises:
        InputError: nothing to ask, no such video, folder not writable, or resuming another run.
        OutputError: another run is writing the same files.
        MediaError: no picture in the video can be decoded.
        SkyEyeError: the disk is full.
    """
    check_tasks(tasks, clip)
    source = open_source(video)
    if outputs.annotated is not None and not isinstance(source, FileSource):
        raise InputError(f"{video}: only a video can be annotated; leave --annotate out for images")
    for path in outputs.files:
        make_folder(path.parent)
    # Locked before it is read: what another run is writing is not to be gone on with.
    with closing(JsonlSink(outputs.events, append=resume)) as lines:
        earlier = read_earlier(outputs.events) if resume else Earlier()
        check_same_run(earlier, source.name, tasks, model.description, outputs.events)
        if resume:
            cut_to_last_answer(outputs.events, earlier)
        stream = Stream(
            model.submit,
            Rest(source, earlier.indices) if earlier.indices else source,
            tasks,
            every,
            model=model.description,
            clip=clip,
            totals=earlier.totals,
            answered=len(earlier.indices),
        )
        with stream, ending_on_signals(stream) as is_interrupted:
            for event in stream:
                lines.write(event)
                on_event(event)
                if isinstance(event, AnswerEvent):
                    on_progress(_asking(source, event))
        lines.sync()
        written = _write_rest(source, outputs, is_interrupted(), on_progress)
    return Captioned(stream.totals, stream.answered, is_interrupted(), written)


def _write_rest(
    source: Source, outputs: Outputs, interrupted: bool, on_progress: Callable[[Progress], None]
) -> tuple[Path, ...]:
    """Subtitles and annotated video from the finished JSON Lines."""
    written = [outputs.events]
    if outputs.vtt is not None:
        write_captions(read_events(outputs.events), outputs.vtt, "vtt")
        written.append(outputs.vtt)
    if outputs.srt is not None:
        write_captions(read_events(outputs.events), outputs.srt, "srt")
        written.append(outputs.srt)
    if outputs.annotated is not None and isinstance(source, FileSource) and not interrupted:
        facts = source.facts
        annotate(
            source.path,
            read_events(outputs.events),
            outputs.annotated,
            on_progress=lambda frames, seconds: on_progress(
                Progress("drawing", frames, facts.frames, seconds, facts.seconds)
            ),
        )
        written.append(outputs.annotated)
    return tuple(written)


def _asking(source: Source, event: AnswerEvent) -> Progress:
    frames = event.frames[-1] + 1
    match source:
        case FileSource(facts=facts):
            return Progress("asking", frames, facts.frames, event.time, facts.seconds)
        case ImagesSource(paths=paths):
            return Progress("asking", frames, len(paths), event.time, float(len(paths)))
        case _:
            return Progress("asking", frames, 0, event.time, 0.0)
