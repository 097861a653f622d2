"""A recording to files: JSON Lines first, then subtitles, tables and a video made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import AnswerEvent, Event
from skyeye_edge.core.frame import Counts
from skyeye_edge.core.tasks import Task, check_tasks
from skyeye_edge.runtime.annotate import annotate
from skyeye_edge.runtime.ending import ending_on_signals
from skyeye_edge.runtime.fingerprint import Fingerprint, fingerprint, fingerprint_all
from skyeye_edge.runtime.resume import (
    Earlier,
    Rest,
    check_same_media,
    check_same_run,
    cut_to_last_answer,
    read_earlier,
    read_events,
)
from skyeye_edge.runtime.run_record import RunRecord, build_record
from skyeye_edge.runtime.sinks.captions import CaptionFormat, write_captions
from skyeye_edge.runtime.sinks.jsonl import JsonlSink
from skyeye_edge.runtime.sinks.output import make_folder
from skyeye_edge.runtime.sinks.ownership import check_free
from skyeye_edge.runtime.sources import open_source
from skyeye_edge.runtime.sources.file import FileSource
from skyeye_edge.runtime.sources.images import ImagesSource
from skyeye_edge.runtime.sources.source import Source
from skyeye_edge.runtime.stream import Stream

if TYPE_CHECKING:
    from skyeye_edge.runtime.model import Model

Format = Literal["jsonl", "vtt", "srt", "txt", "tsv"]


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files of one recording; None: not wanted."""

    events: Path  # always written: resume reads it
    vtt: Path | None = None
    srt: Path | None = None
    txt: Path | None = None
    tsv: Path | None = None
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
        """`folder/<stem>.skyeye.jsonl`, `.vtt` and so on, and `<stem>.annotated.mp4`.

        Drones and other programs write `<stem>.srt`; nobody else writes `<stem>.skyeye.srt`.
        """

        def named(kind: Format) -> Path:
            return folder / f"{stem}.skyeye.{kind}"

        return cls(
            events=named("jsonl"),
            vtt=named("vtt") if "vtt" in formats else None,
            srt=named("srt") if "srt" in formats else None,
            txt=named("txt") if "txt" in formats else None,
            tsv=named("tsv") if "tsv" in formats else None,
            annotated=folder / f"{stem}.annotated.mp4" if annotate else None,
        )

    @property
    def captions(self) -> tuple[tuple[CaptionFormat, Path], ...]:
        """Those that are made from the JSON Lines alone, with their format."""
        kinds: tuple[CaptionFormat, ...] = get_args(CaptionFormat)
        wanted = ((kind, getattr(self, kind)) for kind in kinds)
        return tuple((kind, path) for kind, path in wanted if path is not None)

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that are wanted."""
        drawn = () if self.annotated is None else (self.annotated,)
        return (self.events, *(path for _, path in self.captions), *drawn)


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
    keep_damaged: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    on_event: Callable[[Event], None] = lambda event: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Captioned:
    """Ask about a video (or a folder of images) and write the answers down.

    Args:
        model: answers; stays open.
        video: a file or folder.
        outputs: what to write. Captions and video appear whole or not at all, the JSON Lines grow.
        tasks: what is asked about each frame.
        every: seconds between answers, 0 for every frame.
        clip: so many frames are asked about as one.
        keep_damaged: pictures of which data are missing or wrong are asked about too.
        resume: go on where an interrupted run stopped; if there was none, begin.
        overwrite: also where files stand that we did not write, or answers about another recording.
        on_event: told each new event once it is on the disk.
        on_progress: told after each answer, and after each drawn frame.

    Raises:
        InputError: nothing to ask, no such video, or folder not writable.
        OutputError: a file stands in the way, or belongs to another run, which `resume` would mix
            with this one, or which is writing it now.
        MediaError: no picture in the video can be decoded.
        SkyEyeError: the disk is full.
    """
    check_tasks(tasks, clip)
    model.spec.check_frames(clip)
    source = open_source(video, keep_damaged=keep_damaged, skip="skip" not in model.without)
    if outputs.annotated is not None and not isinstance(source, FileSource):
        raise InputError(f"{video}: only a video can be annotated; leave --annotate out for images")
    for path in outputs.files:
        make_folder(path.parent)
    check_free(outputs.files, overwrite=overwrite)

    def tell(event: Event) -> None:
        on_event(event)
        if isinstance(event, AnswerEvent) and event.frames:
            on_progress(_asking(source, event))

    # Locked before it is read: what another run is writing is not to be gone on with.
    with closing(JsonlSink(outputs.events, append=True)) as lines, _unless_empty(outputs.events):
        earlier = read_earlier(outputs.events) if resume else Earlier()
        record = build_record(
            source.name,
            _media(source),
            tasks,
            model.description,
            min_score=model.spec.scores.min_score,
            every=every,
            clip=clip,
            keep_damaged=keep_damaged,
        )
        check_same_run(earlier, record, outputs.events)
        if not overwrite:
            check_same_media(outputs.events, record)
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
        interrupted = _write_events(stream, lines, record, earlier, tell)
        written = _write_rest(source, outputs, interrupted, overwrite, on_progress)
    return Captioned(stream.totals, stream.answered, interrupted, written)


def _write_events(
    stream: Stream,
    lines: JsonlSink,
    record: RunRecord,
    earlier: Earlier,
    on_event: Callable[[Event], None],
) -> bool:
    """Each event to the disk, then to `on_event`; returns whether signals cut the stream short."""
    with ending_on_signals() as ending, stream:
        ending.stops(stream)
        first = next(stream)  # until there is something to write, what was there stays
        cut_to_last_answer(lines.path, earlier)
        if not earlier.indices:
            lines.write_line(record.to_json(datetime.now(timezone.utc)))
        for event in chain([first], stream):
            lines.write(event)
            on_event(event)
    lines.sync()
    return ending.heard is not None


@contextmanager
def _unless_empty(path: Path) -> Iterator[None]:
    """Leave no empty file behind where nothing could be answered."""
    try:
        yield
    except BaseException:
        with suppress(FileNotFoundError):
            if path.stat().st_size == 0:
                path.unlink()
        raise


def _media(source: Source) -> Fingerprint | None:
    """By what a recording is known again; None for what is no recording."""
    match source:
        case FileSource(path=path):
            return fingerprint(path)
        case ImagesSource(paths=paths):
            return fingerprint_all(paths)
        case _:
            return None


def _write_rest(
    source: Source,
    outputs: Outputs,
    interrupted: bool,
    overwrite: bool,
    on_progress: Callable[[Progress], None],
) -> tuple[Path, ...]:
    """Captions and annotated video from the finished JSON Lines."""
    written = [outputs.events]
    for kind, path in outputs.captions:
        write_captions(read_events(outputs.events), path, kind, overwrite=overwrite)
        written.append(path)
    if outputs.annotated is not None and isinstance(source, FileSource) and not interrupted:
        facts = source.facts
        annotate(
            source.path,
            read_events(outputs.events),
            outputs.annotated,
            overwrite=overwrite,
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
