"""The front door: opens a bundle, and turns what users give into questions."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Collection, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, overload

import numpy as np

from skyeye_edge.core.arguments import (
    as_path,
    as_tuple,
    check_flag,
    check_number,
    check_text,
    check_whole,
)
from skyeye_edge.core.boxes import XYXY, Box
from skyeye_edge.core.bundle import Bundle, open_bundle
from skyeye_edge.core.errors import BackendError, InputError
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.images import ImageLike, as_frame, as_frames
from skyeye_edge.core.install import pip
from skyeye_edge.core.memory import (
    LARGE_GGUF,
    REMEMBER_MIB,
    check_memory,
    remembered_prompts,
    vision_bytes,
    visual_bytes,
)
from skyeye_edge.core.preprocess import VisualTokens
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.results import (
    ClassifyResult,
    DetectResult,
    GroundResult,
    Result,
    TaskResult,
    TextResult,
)
from skyeye_edge.core.scores import check_min_score
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.core.tasks import (
    Ask,
    Caption,
    Classify,
    Describe,
    Detect,
    Ground,
    Identify,
    Task,
    TaskOf,
    as_tasks,
    task_entry,
)
from skyeye_edge.runtime.engine import Engine
from skyeye_edge.runtime.language import LanguageModel
from skyeye_edge.runtime.libllama import ContextOptions, Threads, can_use_gpu
from skyeye_edge.runtime.machine import cores
from skyeye_edge.runtime.question import Answer, Question
from skyeye_edge.runtime.threads import free_cores
from skyeye_edge.runtime.trial import try_first
from skyeye_edge.runtime.vision.onnx import OnnxVision, has_cuda

if TYPE_CHECKING:
    from typing_extensions import Unpack  # of Python 3.11; checkers bring it, nothing else needs it

    from skyeye_edge.runtime.chat import Chat
    from skyeye_edge.runtime.sources.source import Source
    from skyeye_edge.runtime.stream import Stream
    from skyeye_edge.runtime.streams import Streams
    from skyeye_edge.runtime.watching import StreamOptions, Watching

log = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "cuda"]
FastPath = Literal["overlap", "batch", "drafts", "skip"]
Check = Literal["memory", "crash"]
Images = ImageLike | Sequence[ImageLike]  # one image, or the frames of a clip
_A = TypeVar("_A", bound=TaskResult)
_B = TypeVar("_B", bound=TaskResult)
_C = TypeVar("_C", bound=TaskResult)
_D = TypeVar("_D", bound=TaskResult)
_E = TypeVar("_E", bound=TaskResult)

LARGE_VISION = 16 * 2**20  # bytes; below, one thread is best


def load(
    bundle: str | os.PathLike[str] | None = None,
    *,
    device: Device = "auto",
    vision: str = "auto",
    language: str = "auto",
    threads: int | None = None,
    strict: bool = False,
    min_score: float | None = None,
    remember_mib: int = REMEMBER_MIB,
    without: Collection[FastPath] = (),
    unchecked: Collection[Check] = (),
) -> Model:
    """Open a model.

    Args:
        bundle: its folder; None is the packaged skyeye-tiny.
        device: "auto" takes a GPU that works, else the CPU; "cuda" insists on the GPU.
        vision: a vision variant of the bundle such as "int8"; "auto" takes the device's default.
        language: a language variant of the bundle such as "Q8_0"; "auto" takes its default.
        threads: how many compute, at most the cores that are free for this process. None: by cores
            and size of the model for vision; for language, what a short measurement finds when a
            model is first opened on a machine (docs/performance.md).
        strict: the setting in which answers equal those of the PyTorch checkpoint: fp32 vision, F32
            language model and KV memory, one thread, CPU. Slower.
        min_score: a box with a lower score is not returned; where none is left, the outcome is
            "uncertain". None is what the bundle states, which is 0 where it states nothing.
        remember_mib: memory for what may be asked about again: encoded images, and the beginnings
            of prompts, of which as many can be answered at once as fit.
        without: fast paths that are switched off; none of them changes an answer. "overlap": a
            frame is encoded while the one before is answered. "batch": several answers are
            written at once. "drafts": how an answer goes on is guessed from earlier ones, and what
            the model would not have said is thrown away. "skip": pictures of a video file that
            nobody asks about are not decoded, where no other needs them. `strict` switches batch
            and drafts off, and so does a llama.cpp in which they would move a bit
            (docs/performance.md).
        unchecked: what is not checked before the weights are loaded. "memory": whether they fit;
            "crash": whether the libraries survive a bundle that this machine has not opened before,
            which is opened in a process of its own first (docs/safety.md).

    Raises:
        BundleError: the bundle is missing, damaged or newer than this program, or ends a process.
        BackendError: a variant or device is not there, it needs more memory than is free, or a
            library cannot do what was asked.
        MissingExtraError: the runtime's libraries are not installed.
    """
    if threads is not None:
        check_whole(threads, "threads", 1)
    check_text(vision, "vision")
    check_text(language, "language")
    check_flag(strict, "strict")
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {device!r} is not known; known are auto, cpu and cuda")
    check_min_score(min_score)
    check_whole(remember_mib, "remember_mib", 1)
    switched_off = frozenset(as_tuple(without, "without", '["batch"]'))
    if unknown := switched_off - set(get_args(FastPath)):
        raise InputError(
            f"without {sorted(map(str, unknown))}: fast paths are {', '.join(get_args(FastPath))}"
        )
    left_out = frozenset(as_tuple(unchecked, "unchecked", '["memory"]'))
    if other := left_out - set(get_args(Check)):
        raise InputError(
            f"unchecked {sorted(map(str, other))}: checks are {', '.join(get_args(Check))}"
        )
    folder = None if bundle is None else as_path(bundle, "bundle").absolute()
    return Model(
        folder,
        Options(
            device,
            vision,
            language,
            threads,
            strict,
            min_score,
            remember_mib,
            switched_off,
            left_out,
        ),
    )


@dataclass(frozen=True, slots=True)
class Options:
    """How a model was asked for; see `load`."""

    device: Device = "auto"
    vision: str = "auto"
    language: str = "auto"
    threads: int | None = None
    strict: bool = False
    min_score: float | None = None
    remember_mib: int = REMEMBER_MIB
    without: frozenset[FastPath] = frozenset()
    unchecked: frozenset[Check] = frozenset()


class Model:
    """A bundle, open for questions; made by `load`. Many threads may ask at once.

    with sky.load() as model:
        print(model.caption("field.jpg").text)
    """

    def __init__(self, folder: Path | None, options: Options) -> None:
        self._opened_as = (folder, options)
        options = _with_cores(options)
        self.bundle = open_bundle(folder)
        self.spec = _with_options(self.bundle.spec, options)
        if options.strict:
            _check_strict(self.bundle, options)
        self._language_name = self.bundle.manifest.language_variant(
            "F32" if options.strict else options.language
        )
        _check_before_loading(self.bundle, self._language_name, options)
        self._vision_name, vision = _open_vision(self.bundle, options)
        try:
            language = _open_language(self.bundle, self._language_name, options)
        except BaseException:
            vision.close()
            raise
        self._backend = vision.backend
        self._warned_of: set[str] = set()
        vision_entry = self.bundle.manifest.files[self.bundle.vision_file(self._vision_name).name]
        self._engine = Engine(
            vision,
            language,
            self.spec,
            vision_entry.sha256,
            overlap="overlap" not in options.without,
            remember_bytes=visual_bytes(options.remember_mib),
        )
        # A model that nobody closed is closed when it is collected, or at the end of the program.
        self._finish = weakref.finalize(self, self._engine.close)

    def caption(self, image: Images, *, max_tokens: int | None = None) -> TextResult:
        """One sentence about an image, or about a clip (a list of frames in order)."""
        return self.run(image, (Caption(),), max_tokens=max_tokens)[0]

    def describe(
        self, image: Images, *, boxes: bool = False, max_tokens: int | None = None
    ) -> TextResult:
        """A longer description; with `boxes`, `phrases` says where things are."""
        return self.run(image, (Describe(boxes),), max_tokens=max_tokens)[0]

    def classify(
        self,
        image: Images,
        names: Sequence[str],
        *,
        question: str = "",
        max_tokens: int | None = None,
    ) -> ClassifyResult:
        """Which one of `names` the image shows; with a `question`, which of them answers it."""
        task = Classify(names, question)  # type: ignore[arg-type]  # it makes a tuple of any sequence
        return self.run(image, (task,), max_tokens=max_tokens)[0]

    def ground(
        self,
        image: ImageLike,
        phrase: str,
        *,
        max_tokens: int | None = None,
        min_score: float | None = None,
    ) -> GroundResult:
        """The one region that `phrase` means, in pixels of the image, or that it is absent.

        A box with a score below `min_score` is not returned; None is what `load` was given.
        """
        return self.run(image, (Ground(phrase, min_score),), max_tokens=max_tokens)[0]

    def detect(
        self,
        image: ImageLike,
        names: Sequence[str],
        *,
        max_tokens: int | None = None,
        min_score: float | None = None,
    ) -> dict[str, DetectResult]:
        """Every object of each name; `min_score` as for `ground`."""
        wanted = as_tuple([names] if isinstance(names, str) else names, "names", '["car", "boat"]')
        if not wanted:
            raise InputError("detect: there is no name; give at least one")
        tasks = list(dict.fromkeys(Detect(name, min_score) for name in wanted))
        results = self.run(image, tasks, max_tokens=max_tokens)
        return {each.name: each for each in results if isinstance(each, DetectResult)}

    def identify(
        self, image: ImageLike, box: XYXY | Box, *, max_tokens: int | None = None
    ) -> TextResult:
        """What is in a box, given as (left, top, right, bottom) in pixels."""
        xyxy = box.hull if isinstance(box, Box) else box
        return self.run(image, (Identify(xyxy),), max_tokens=max_tokens)[0]

    def ask(self, image: Images, question: str, *, max_tokens: int | None = None) -> TextResult:
        """The answer to a free question."""
        return self.run(image, (Ask(question),), max_tokens=max_tokens)[0]

    @overload
    def run(
        self, image: Images, tasks: tuple[TaskOf[_A]], *, max_tokens: int | None = None
    ) -> tuple[_A]: ...

    @overload
    def run(
        self, image: Images, tasks: tuple[TaskOf[_A], TaskOf[_B]], *, max_tokens: int | None = None
    ) -> tuple[_A, _B]: ...

    @overload
    def run(
        self,
        image: Images,
        tasks: tuple[TaskOf[_A], TaskOf[_B], TaskOf[_C]],
        *,
        max_tokens: int | None = None,
    ) -> tuple[_A, _B, _C]: ...

    @overload
    def run(
        self,
        image: Images,
        tasks: tuple[TaskOf[_A], TaskOf[_B], TaskOf[_C], TaskOf[_D]],
        *,
        max_tokens: int | None = None,
    ) -> tuple[_A, _B, _C, _D]: ...

    @overload
    def run(
        self,
        image: Images,
        tasks: tuple[TaskOf[_A], TaskOf[_B], TaskOf[_C], TaskOf[_D], TaskOf[_E]],
        *,
        max_tokens: int | None = None,
    ) -> tuple[_A, _B, _C, _D, _E]: ...

    @overload
    def run(
        self, image: Images, tasks: Sequence[TaskOf[Result]], *, max_tokens: int | None = None
    ) -> tuple[TaskResult, ...]: ...

    def run(
        self, image: Images, tasks: Sequence[Any], *, max_tokens: int | None = None
    ) -> tuple[Any, ...]:
        """One result per task, in order; the image is encoded once for all of them.

        Type checkers know the kind of each result where `tasks` is a tuple of up to five; of a
        list they know that each is a `TaskResult`.
        """
        question = Question(as_frames(image), as_tasks(tasks), max_tokens=max_tokens)
        about = _to_draw_on(image, question.frames)
        return tuple(replace(each, image=about) for each in self.answer(question).results)

    def answer(self, question: Question) -> Answer:
        """Results, replies and timing of one question.

        Raises:
            InputError: it is about more frames than the model was trained on, or a task does not
                fit the model's context.
        """
        self._check(question)
        return self._engine.answer([question])[0]

    def submit(
        self,
        question: Question,
        *,
        client: Hashable | None = None,
        priority: float = 1.0,
        deadline: float | None = None,
    ) -> Future[Answer]:
        """The answer to come. A task that cannot be asked has the outcome "failed" in it.

        Args:
            question: what is asked.
            client: who asks; clients take turns, however much each of them asks. None: the thread.
            priority: of this client's turns; at 2 it gets twice as many as others at 1.
            deadline: monotonic seconds; if its turn comes later it fails, and costs nothing.

        Raises:
            InputError: it is about more frames than the model was trained on.
            BusyError: too many questions wait.
        """
        self._check(question)
        return self._engine.submit(question, client=client, priority=priority, deadline=deadline)

    def _check(self, question: Question) -> None:
        self.spec.check_frames(len(question.frames))
        self._warn_of_unknown(question.tasks)

    def replies(
        self, image: Images, tasks: Sequence[Task], *, keep_logits: bool = False
    ) -> list[Reply]:
        """The raw replies that `run` reads its results from, one per task; for measurements."""
        question = Question(as_frames(image), as_tasks(tasks), keep_logits=keep_logits)
        self.spec.check_frames(len(question.frames))
        return list(self._engine.answer([question])[0].replies)

    def encode(self, image: ImageLike) -> VisualTokens:
        """Visual tokens (N, d) float32 of an image; for measurements."""
        return self._engine.encode([as_frame(image)])[0]

    def chat(self, image: Images, *, temperature: float = 0.0, seed: int = 0) -> Chat:
        """A conversation about an image or clip; earlier answers stay known.

        Args:
            image: what it is about.
            temperature: 0 takes the best token always, more lets chance in.
            seed: of that chance; the same questions then get the same answers.
        """
        from skyeye_edge.runtime.chat import Chat

        check_number(temperature, "temperature", 0)
        check_whole(seed, "seed")
        self._engine.check_open()
        frames = as_frames(image)
        self.spec.check_frames(len(frames))
        return Chat(self.answer, frames, temperature, seed)

    def stream(
        self,
        source: str | Path | Source,
        tasks: Sequence[Task] = (),
        *,
        priority: float = 1.0,
        **options: Unpack[StreamOptions],
    ) -> Stream:
        """Events of a source, to be used as a context manager and iterated over.

        Args:
            source: a video, an image, a folder or sequence of images, `Push`, or a live source:
                "rtsp://...", "rtp://...", "udp://...", "/dev/video0", "gst:..." and others.
            tasks: what is asked about each frame.
            priority: of the turns of this stream; at 2 it gets twice as many as others at 1.
            every: seconds between answers, 1.0; 0 is every frame.
            clip: so many frames are asked about as one.
            min_score: as for `load`, of the tasks that state none themselves.
            keep_damaged: pictures of a video of which data are missing or wrong are asked about
                too, instead of counted as `decode`.
            gate: leave out frames that show what the last asked one showed, counted as `gate`;
                None: of live addresses, unless `clip` is more than 1.
            heartbeat: media seconds within which an event comes although the gate lets nothing
                through; it carries the last results.
            max_age: seconds; a frame that is older when its turn comes is dropped as `stale`.
            max_latency: seconds from a frame to its answer. While answers take longer, words, then
                tasks, then frames are left out; the events say which.
            alerts: what is watched for; each says when it begins and ends. Their tasks are asked
                behind `tasks`, and none of them twice.
            sinks: where events go besides: paths and addresses as for `open_sink`, functions of
                (event, frame), or sinks. None of them can hold the stream up, and they are closed
                with it.
            record: a folder in which the packets of a live source and all that is decided are kept,
                for `skyeye-edge replay`; of a file its place and hash are kept.
            record_gib: room for packets there; the oldest segments go.
            source_options: of a live source, as {"rtsp_transport": "udp"}: its reader's and
                FFmpeg's.

        Raises:
            InputError: no task, one that cannot be asked, a clip longer than the model was trained
                for, or no such source.
            MediaError: the source holds no picture.
        """
        watching = self._watching(tasks, options)
        with watching.closing_if_refused():
            return watching.open(source, priority)

    def streams(
        self,
        sources: Sequence[str | Path | Source],
        tasks: Sequence[Task] = (),
        *,
        priorities: Sequence[float] | None = None,
        **options: Unpack[StreamOptions],
    ) -> Streams:
        """Events of several sources as they come; each says in `source` whose it is.

        The sources take turns, by their priorities. One that ends or fails does not end the others,
        and `add` and `remove` of what is returned change which are watched.

        Args:
            sources: as for `stream`; they may be of different kinds, and none at first.
            priorities: one per source, see `stream`; None: 1 for all.
            tasks, options: as for `stream`.

        Raises:
            InputError: as for `stream`, or not as many priorities as sources.
            MediaError: a source holds no picture.
        """
        from skyeye_edge.runtime.streams import Streams

        watching = self._watching(tasks, options)
        with watching.closing_if_refused():
            opened = as_tuple(sources, "sources", '["udp://:5600", "rtsp://host/path"]')
            shares = [1.0] * len(opened) if priorities is None else list(priorities)
            if len(shares) != len(opened):
                raise InputError(
                    f"{len(shares)} priorities for {len(opened)} sources; give one each"
                )
            return Streams(watching, list(zip(opened, shares, strict=True)))

    def _watching(self, tasks: Sequence[Task], options: StreamOptions) -> Watching:
        from skyeye_edge.runtime.watching import build_watching

        self._engine.check_open()
        watching = build_watching(
            self.submit,
            self.description,
            self._recorded_as,
            "skip" not in self.without,
            tasks,
            options,
        )
        with watching.closing_if_refused():
            self.spec.check_frames(watching.clip)
        return watching

    @property
    def _recorded_as(self) -> dict[str, Any]:
        """What `load` must be told to answer in the same way."""
        _, options = self._opened_as
        return {
            "bundle": str(self.bundle.root),
            "min_score": options.min_score,
            "strict": options.strict,
            "vision": self._vision_name,
            "language": self._language_name,
        }

    @property
    def without(self) -> frozenset[FastPath]:
        """The fast paths that are switched off."""
        return self._opened_as[1].without

    def warm_up(self) -> None:
        """Compute one answer to nothing, so that the first real one is as fast as the rest."""
        side = self.spec.vision.image_size
        frame = Frame(np.zeros((side, side, 3), np.uint8))
        self._engine.answer([Question((frame,), (Caption(),), max_tokens=2)])

    @property
    def description(self) -> dict[str, str]:
        """What runs: name and hash of the bundle, variants and backend."""
        return {
            "name": self.bundle.manifest.name,
            "bundle_sha256": self.bundle.sha256,
            "vision": self._vision_name,
            "backend": self._backend,
            "language": self._language_name,
        }

    def close(self) -> None:
        """Free everything; questions that wait fail with ClosedError. Closing twice is fine."""
        self._finish()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Model], tuple[Path | None, Options]]:
        # weights do not travel: the other side opens the bundle itself
        return Model, self._opened_as

    def _warn_of_unknown(self, tasks: Sequence[Task]) -> None:
        """Say once of each task that the model never learnt it; it is asked all the same."""
        known = self.bundle.manifest.tasks
        for entry in dict.fromkeys(task_entry(task) for task in tasks):
            if known and entry not in known and entry not in self._warned_of:
                self._warned_of.add(entry)
                log.warning(
                    "%s was not trained for %r, and its answers to that mean little; it can: %s",
                    self.bundle.manifest.name,
                    entry,
                    ", ".join(known),
                )


def _to_draw_on(image: Images, frames: Sequence[Frame]) -> ImageLike:
    """What a result keeps of its image: a path, or pixels that nobody else writes to."""
    last = image[-1] if isinstance(image, list | tuple) else image
    if isinstance(last, str | os.PathLike):
        return Path(last).absolute()
    return frames[-1].rgb


def _with_options(spec: ModelSpec, options: Options) -> ModelSpec:
    if options.min_score is None:
        return spec
    return replace(spec, scores=replace(spec.scores, min_score=options.min_score))


def _check_before_loading(bundle: Bundle, language: str, options: Options) -> None:
    """What can be known before a native library sees the weights."""
    on_gpu = options.device != "cpu" and not options.strict and (has_cuda() or can_use_gpu())
    asked = "fp32" if options.strict else options.vision
    vision = bundle.manifest.vision_variant(asked, "cuda" if options.device == "cuda" else "cpu")
    if "memory" not in options.unchecked and not on_gpu:  # weights of a GPU lie in its own memory
        check_memory(bundle, vision, language, options.remember_mib, exact=options.strict)
    if "crash" not in options.unchecked:
        try_first(bundle, vision, language, "cpu" if options.strict else options.device)


def _open_vision(bundle: Bundle, options: Options) -> tuple[str, OnnxVision]:
    """The encoder on the first device that works, and the name of its variant."""
    if options.strict or options.device == "cpu":
        return _open_vision_on("cpu", bundle, options)
    if options.device == "cuda":
        return _open_vision_on("cuda", bundle, options)
    if has_cuda():
        try:
            return _open_vision_on("cuda", bundle, options)
        except (BackendError, InputError) as error:
            log.warning("%s; going on with the CPU", error)
    return _open_vision_on("cpu", bundle, options)


def _open_vision_on(
    device: Literal["cpu", "cuda"], bundle: Bundle, options: Options
) -> tuple[str, OnnxVision]:
    asked = "fp32" if options.strict else options.vision
    name = bundle.manifest.vision_variant(asked, device)
    path = bundle.vision_file(name)
    threads = _threads(options, vision_bytes(bundle, name), LARGE_VISION)
    one_by_one = name in bundle.manifest.one_by_one
    return name, OnnxVision(
        path, bundle.spec.vision, threads=threads, device=device, one_by_one=one_by_one
    )


def _open_language(bundle: Bundle, name: str, options: Options) -> LanguageModel:
    path = bundle.language_file(name)
    gpu = options.device != "cpu" and not options.strict and can_use_gpu()
    if options.device == "cuda" and not gpu:
        raise BackendError(
            "device 'cuda': this llama-cpp-python was built without it; run: "
            f"CMAKE_ARGS=-DGGML_CUDA=on {pip()} install --force-reinstall --no-deps "
            "--no-cache-dir --no-binary llama-cpp-python llama-cpp-python"
        )
    size_bytes = path.stat().st_size
    asked = 1 if options.strict else options.threads
    threads = asked or _default_threads(size_bytes, LARGE_GGUF)
    context = ContextOptions(
        length=bundle.spec.context,
        sequences=remembered_prompts(bundle, name, options.remember_mib, exact=options.strict),
        threads=Threads(threads, threads),
        exact=options.strict,
    )
    off = options.without | ({"batch", "drafts"} if options.strict else set())
    language = LanguageModel(
        path,
        context,
        gpu=gpu,
        batch="batch" not in off,
        drafts="drafts" not in off,
    )
    if asked is None and not gpu:
        try:
            free = free_cores(size_bytes, overlap="overlap" not in off)
            language.choose_threads(bundle.manifest.files[path.name].sha256, free, threads)
        except BaseException:
            language.close()
            raise
    return language


def _with_cores(options: Options) -> Options:
    """No more threads than cores: the rest would make all of them wait, a caption for a minute."""
    threads, free = options.threads, cores()
    if options.strict or threads is None or threads <= free:
        return options
    log.warning(
        "threads: %d were asked for, this process may use %d cores: using %d", threads, free, free
    )
    return replace(options, threads=free)


def _threads(options: Options, weight_bytes: int, large: int) -> int:
    if options.strict:
        return 1
    return options.threads or _default_threads(weight_bytes, large)


def _default_threads(weight_bytes: int, large: int) -> int:
    """Threads where the user names none: one for small models, else all cores but one.

    llama.cpp's threads wait for each other some hundred times a token and give no core away
    meanwhile, so with as many threads as cores any other busy process stops them all. On two cores
    with two busy processes, a token of a 4-layer model took 0.25 ms with one thread (as on a quiet
    machine), and 68 ms with two.
    """
    return max(1, cores() - 1) if weight_bytes >= large else 1


def _check_strict(bundle: Bundle, options: Options) -> None:
    manifest = bundle.manifest
    for side, asked, exact, variants in (
        ("vision", options.vision, "fp32", manifest.vision_variants),
        ("language", options.language, "F32", manifest.language_variants),
    ):
        if asked not in ("auto", exact):
            raise InputError(f"strict=True needs {side} {exact!r}, not {asked!r}")
        if exact not in variants:
            raise BackendError(
                f"strict=True needs {side} {exact}, and this bundle has {', '.join(variants)}; "
                "export one: skyeye-edge export CHECKPOINT -o BUNDLE --vision fp32 --language F32"
            )
