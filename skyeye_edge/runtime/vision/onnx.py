"""The only importer of onnxruntime: an exported encoder as a session."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skyeye_edge.core.errors import BackendError, ClosedError, needs
from skyeye_edge.core.install import install_command, pip
from skyeye_edge.core.preprocess import Pixels, VisualTokens
from skyeye_edge.core.spec import VisionSpec

Device = Literal["cpu", "cuda"]

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
CUDA_BATCH = 8  # images
_LOG_FATAL = 4  # errors come back as exceptions, everything else is noise


@functools.cache
def library() -> Any:
    """The onnxruntime module, loaded once."""
    with needs("runtime"):
        import onnxruntime
    return onnxruntime


def _failures() -> tuple[type[Exception], ...]:
    """Exceptions of ONNX Runtime: they have no common base of their own."""
    state = library().capi.onnxruntime_pybind11_state
    names = (
        "EPFail", "EngineError", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf",
        "ModelLoaded", "NoModel", "NoSuchFile", "NotImplemented", "RuntimeException",
    )  # fmt: skip
    return tuple(getattr(state, name) for name in names if hasattr(state, name))


class OnnxVision:
    """Encoder, aligner and everything between, as one ONNX file."""

    def __init__(
        self,
        path: Path,
        spec: VisionSpec,
        *,
        threads: int = 1,
        device: Device = "cpu",
        one_by_one: bool = False,
    ) -> None:
        """Open an exported encoder.

        Args:
            path: the ONNX file; what lies beside it (external data) is found from there.
            spec: the shapes it must have.
            threads: of a single operator.
            device: where it must run; nothing else is taken in its place.
            one_by_one: an image to a call. Dynamic int8 takes its scales from the
                whole batch, so a picture's tokens would depend on its neighbours.

        Raises:
            BackendError: the file does not fit, or the device is not there.
        """
        self._path, self._spec = path, spec
        self._session: Any = _open_session(path, _wanted(device), threads)
        provider = self._session.get_providers()[0]
        if device == "cuda" and provider != _CUDA:
            # asked for a GPU that is not there, ONNX Runtime takes the CPU without a word
            raise BackendError(
                "device 'cuda': ONNX Runtime cannot start it here; check the driver and the CUDA "
                "libraries that its version needs, or use device='cpu'"
            )
        self.backend = "onnxruntime-cuda" if provider == _CUDA else "onnxruntime-cpu"
        # On a CPU a batch costs as much as its images one after the other.
        self.max_batch = CUDA_BATCH if provider == _CUDA and not one_by_one else 1
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)":
            raise BackendError(
                f"{path}: not an encoder: it must have one float32 input and one output"
            )
        self._input = inputs[0].name

    def encode(self, pixels: Pixels) -> VisualTokens:
        """(B, 3, S, S) float32 to (B, N, d) float32, in the same order.

        Raises:
            BackendError: ONNX Runtime failed, or the shapes are not those of the manifest.
            ClosedError: it was closed.
        """
        if self._session is None:
            raise ClosedError("the vision encoder is closed")
        try:
            encoded = [
                self._session.run(None, {self._input: pixels[first : first + self.max_batch]})[0]
                for first in range(0, len(pixels), self.max_batch)
            ]
        except _failures() as error:
            raise BackendError(f"{self._path}: ONNX Runtime failed: {error}") from error
        tokens = np.concatenate(encoded) if len(encoded) > 1 else encoded[0]
        wanted = (len(pixels), self._spec.tokens, self._spec.width)
        if tokens.shape != wanted:
            raise BackendError(
                f"{self._path}: gave visual tokens of shape {tokens.shape}, "
                f"the manifest says {wanted}"
            )
        return tokens.astype(np.float32, copy=False)

    def close(self) -> None:
        """Free the session. Closing twice is fine."""
        self._session = None


def _wanted(device: Device) -> list[str]:
    if device == "cpu":
        return [_CPU]
    if not has_cuda():
        raise BackendError(
            "device 'cuda': this ONNX Runtime has no CUDA; run: "
            # both install the same module, and what is left of the first breaks the second
            f"{pip()} uninstall -y onnxruntime && {install_command('runtime-gpu')}"
        )
    return [_CUDA, _CPU]


def _open_session(path: Path, providers: list[str], threads: int) -> Any:
    ort = library()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_FATAL
    # Threads that spin between calls take the cores that llama.cpp decodes on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except _failures() as error:
        raise BackendError(f"{path}: ONNX Runtime cannot open it: {error}") from error


def has_cuda() -> bool:
    """Whether this build knows CUDA; whether there is a device shows only in use."""
    return _CUDA in library().get_available_providers()
