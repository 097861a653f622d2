"""The engine's first half: frames to visual tokens."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from queue import Queue

import numpy as np

from skyeye_edge.core.errors import ClosedError
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.preprocess import Pixels, preprocess
from skyeye_edge.core.spec import VisionSpec
from skyeye_edge.runtime.fair_queue import FairQueue
from skyeye_edge.runtime.language import EncodedImage
from skyeye_edge.runtime.question import Job
from skyeye_edge.runtime.vision.encoder import VisionEncoder


class VisionStage:
    """Takes jobs whose turn it is, and hands them on with their images encoded.

    What was encoded last is remembered: chats and stills ask again, video never does.
    """

    def __init__(
        self,
        encoder: VisionEncoder,
        spec: VisionSpec,
        sha256: str,
        waiting: FairQueue[Job],
        encoded: Queue[Job | None],
        remember_bytes: int,
    ) -> None:
        self.one_by_one = False  # wait until a job is answered before the next one
        self.closing = False  # refuse what waits
        self._encoder, self._spec, self._salt = encoder, spec, sha256.encode()[:64]
        self._waiting, self._encoded = waiting, encoded
        self._kept: OrderedDict[bytes, EncodedImage] = OrderedDict()
        self._kept_bytes, self._most_bytes = 0, remember_bytes

    def run(self) -> None:
        """Work until the queue is closed and empty; then `None` is handed on."""
        while (job := self._waiting.get()) is not None:
            self._handle([job, *self._more(len(job.frames))])
            job = None  # the frame is released before the next one is waited for
        self._encoder.close()
        self._encoded.put(None)

    def _more(self, frames: int) -> list[Job]:
        """What waits too, as far as it fits the same call of the encoder."""
        jobs: list[Job] = []
        while frames < self._encoder.max_batch and (job := self._waiting.get_nowait()) is not None:
            jobs.append(job)
            frames += len(job.frames)
        return jobs

    def _handle(self, jobs: list[Job]) -> None:
        for job in jobs:
            if self.closing:
                job.fail(ClosedError("this model was closed before it could answer"))
        wanted = [job for job in jobs if job.is_wanted()]
        try:
            self._encode(wanted)
        except BaseException as error:  # handed over: the thread must outlive any question
            if len(wanted) == 1:
                wanted[0].fail(error)
            else:  # whose fault it is shows alone
                for job in wanted:
                    self._handle([job])
            return
        for job in wanted:
            if job.question is None:
                job.finish([image.tokens for image in job.images])
                continue
            self._encoded.put(job)
            if self.one_by_one:
                job.ended.wait()

    def _encode(self, jobs: Sequence[Job]) -> None:
        """Fill in the images of jobs, and what they have cost; an image that is known costs little.

        Raises:
            BackendError: the encoder failed.
        """
        keys, missing = [], dict[bytes, Pixels]()
        for job in jobs:
            started = time.perf_counter()
            keys.append([self._key(frame, missing) for frame in job.frames])
            job.timing_ms["preprocess"] = (time.perf_counter() - started) * 1000
        started = time.perf_counter()
        found = self._look_up(missing)
        share = (time.perf_counter() - started) * 1000 / max(1, len(jobs))
        for job, wanted in zip(jobs, keys, strict=True):
            job.images = tuple(found[key] if key in found else self._kept[key] for key in wanted)
            job.timing_ms["encode"] = share
        for key, image in found.items():
            self._keep(key, image)

    def _key(self, frame: Frame, missing: dict[bytes, Pixels]) -> bytes:
        pixels = preprocess(frame.rgb, self._spec)
        key = blake2b(pixels.tobytes(), key=self._salt, digest_size=16).digest()
        if key in self._kept:
            self._kept.move_to_end(key)
        else:
            missing[key] = pixels
        return key

    def _look_up(self, missing: dict[bytes, Pixels]) -> dict[bytes, EncodedImage]:
        """What is not known yet, encoded in calls of at most `max_batch` images."""
        found: dict[bytes, EncodedImage] = {}
        keys = list(missing)
        for first in range(0, len(keys), self._encoder.max_batch):
            part = keys[first : first + self._encoder.max_batch]
            rows = self._encoder.encode(np.concatenate([missing[key] for key in part]))
            rows.flags.writeable = False  # remembered, and handed out by `encode`
            found |= {key: EncodedImage(row, key) for key, row in zip(part, rows, strict=True)}
        return found

    def _keep(self, key: bytes, image: EncodedImage) -> None:
        self._kept[key] = image
        self._kept_bytes += image.tokens.nbytes
        while self._kept_bytes > self._most_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.tokens.nbytes
