"""The only importer of llama_cpp: its log, its limits, a model, a context and the quantiser.

libllama ends the whole process on some wrong arguments (more tokens than a batch holds, a token id
beyond the vocabulary, use after free), so every size is checked here, in Python, before a call.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.errors import BackendError, ClosedError, InputError, needs
from skyeye_edge.core.install import pip
from skyeye_edge.runtime.machine import cores

Logits = npt.NDArray[np.float32]  # (V,) or (rows, V), overwritten by the next decode

SUPPORTED = "llama-cpp-python>=0.3.36,<0.4"
UNKNOWN = 0  # token id in every sentencepiece model
BATCH = 512  # tokens of one llama_decode; more would end the process, so longer runs are cut
MAX_SEQUENCES = 256  # LLAMA_MAX_SEQ; one more and no context is made
FEW = 8  # tokens of a call that goes on with answers; more are a prompt
OUTPUTS = 16  # rows of logits that a sequence may ask for in one call

_F32, _F16 = 0, 1  # ggml types of the KV cache
_FLASH_OFF = 0
_MADV_PAGEOUT = 21  # of Linux 5.4 and later; older ones refuse it, and nothing happens
_PAGE_OUT_SECONDS = 0.25
_NO_TEXT = 1 << 0 | 1 << 1 | 1 << 3  # llama_token_attr: unknown, unused, control
_LOG_WARN, _LOG_ERROR, _LOG_CONTINUED = 3, 4, 5

# These structs are handed over by value: a renamed or missing field would be silent nonsense.
_FIELDS = {
    "llama_model_params": ("n_gpu_layers",),
    "llama_context_params": (
        "n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_outputs_max", "flash_attn_type",
        "type_k", "type_v", "kv_unified", "no_perf",
    ),
    "llama_batch": ("n_tokens", "token", "embd", "pos", "n_seq_id", "seq_id", "logits"),
    "llama_model_quantize_params": ("nthread", "ftype"),
}  # fmt: skip

_log: deque[str] = deque(maxlen=20)  # what libllama complained about since the last look


@functools.cache
def library() -> Any:
    """The llama_cpp module, loaded once, silent, with the fields we use.

    Raises:
        MissingExtraError: it is not installed.
        BackendError: its structures are not those we know.
    """
    # Read when the shared library loads: no debugger run by an abort, and no OpenMP threads that
    # spin (a second busy process made decoding 200 times slower).
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with needs("runtime"):
        import llama_cpp
    for name, wanted in _FIELDS.items():
        known = {field[0] for field in getattr(llama_cpp, name)._fields_}
        if missing := sorted(set(wanted) - known):
            raise BackendError(
                f"llama-cpp-python {llama_cpp.__version__}: {name} has no {', '.join(missing)}; "
                f"run: {pip()} install '{SUPPORTED}'"
            )
    callback = llama_cpp.llama_log_callback(_collect)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    _kept_alive.append(callback)
    _load_backends(llama_cpp)
    llama_cpp.llama_backend_init()
    return llama_cpp


def _load_backends(llama_cpp: Any) -> None:
    """Load the parts of a build that keeps them apart (GGML_BACKEND_DL), the best for the CPU.

    Left alone, ggml looks for them beside the interpreter and in the working folder, where it would
    load whatever bears the right name.

    Raises:
        BackendError: none of them runs on this processor.
    """
    shared = llama_cpp.llama_cpp._lib  # finds the functions of the libraries that it needs, too
    shared.ggml_backend_reg_count.restype = ctypes.c_size_t
    if not shared.ggml_backend_reg_count():  # else it is a build of one piece
        shared.ggml_backend_load_all_from_path(os.fsencode(Path(shared._name).parent))
    if not shared.ggml_backend_reg_count():
        raise BackendError(
            f"llama-cpp-python {llama_cpp.__version__} holds no code for this processor; compile "
            f"it here: {pip()} install --force-reinstall --no-deps --no-cache-dir "
            "--no-binary llama-cpp-python llama-cpp-python"
        )


_kept_alive: list[Any] = []  # a collected log callback is a crash at the next log line


def _collect(level: int, text: bytes, _user: object) -> None:
    line = text.decode("utf-8", "replace")
    if level in (_LOG_WARN, _LOG_ERROR):
        _log.append(line)
    elif level == _LOG_CONTINUED and line.strip(" .\n") and _log:
        _log[-1] += line


def _complaints() -> str:
    """What libllama logged as warning or error since the last call, on one line."""
    said = "; ".join(line.strip() for line in _log if line.strip())
    _log.clear()
    return said or "libllama gave no reason"


class LlamaModel:
    """An opened GGUF file: weights and vocabulary."""

    def __init__(self, path: Path, *, gpu: bool = False) -> None:
        lib = library()
        if not path.is_file():
            raise BackendError(f"{path}: there is no such GGUF file")
        params = lib.llama_model_default_params()
        params.n_gpu_layers = -1 if gpu else 0
        _log.clear()
        self._handle = lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self._handle:
            raise BackendError(f"{path}: llama.cpp cannot load it: {_complaints()}")
        self.path = path
        self._vocabulary = lib.llama_model_get_vocab(self._handle)
        self.vocabulary_size = int(lib.llama_vocab_n_tokens(self._vocabulary))
        self.width = int(lib.llama_model_n_embd(self._handle))  # of an embedding
        self.bos = int(lib.llama_vocab_bos(self._vocabulary))
        self.end = int(lib.llama_vocab_eos(self._vocabulary))
        self.file_type = self._whole("general.file_type")  # of most of its weights; -1: not said

    def _whole(self, key: str) -> int:
        """A whole number of the file's header; -1 if it is not there."""
        buffer = ctypes.create_string_buffer(32)
        found = library().llama_model_meta_val_str(self._handle, key.encode(), buffer, len(buffer))
        return int(buffer.value) if found > 0 else -1

    def check_open(self) -> None:
        """Raise ClosedError once the weights are freed: a call then would end the process."""
        if self._handle is None:
            raise ClosedError(f"{self.path.name}: the language model is closed")

    def tokenise(self, text: str) -> list[int]:
        """Token ids of a text; nothing is added, and control tokens are never made."""
        self.check_open()
        data = text.encode("utf-8", "replace")
        room = len(data) + 8  # at most one token a byte, and a space in front
        buffer = (ctypes.c_int32 * room)()
        count = library().llama_tokenize(
            self._vocabulary, data, len(data), buffer, room, False, False
        )
        if count < 0:
            raise BackendError(f"llama.cpp cannot tokenise a text of {len(data):,} bytes")
        return list(buffer[:count])

    @functools.cached_property
    def pieces(self) -> tuple[bytes | None, ...]:
        """Text of every token; None for control, unknown and unused ones."""
        self.check_open()
        return tuple(self._piece(token) for token in range(self.vocabulary_size))

    def _piece(self, token: int) -> bytes | None:
        lib = library()
        if lib.llama_vocab_get_attr(self._vocabulary, token) & _NO_TEXT:
            return None
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = lib.llama_token_to_piece(self._vocabulary, token, buffer, room, 0, False)
            if count >= 0:
                return buffer.raw[:count]
            room = -count

    def close(self) -> None:
        """Free the weights; contexts must be closed before. Closing twice is fine."""
        if self._handle is not None:
            library().llama_model_free(self._handle)
            self._handle = None


@dataclass(frozen=True, slots=True)
class Threads:
    """How many compute; no result depends on it."""

    generate: int = 1  # calls of at most FEW tokens
    prefill: int = 1  # longer ones


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """Size and arithmetic of a context."""

    length: int  # positions of each sequence
    sequences: int = 4  # each has memory of its own
    threads: Threads = Threads()
    exact: bool = False  # KV in float32: with it, results equal PyTorch's


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one sequence is to be continued with."""

    sequence: int
    position: int  # of the first one; those before it are filled
    ids: Sequence[int]  # at least one
    outputs: int = 1  # logits are wanted after so many of the last ones


class LlamaContext:
    """KV memory and the calls that fill it; to be used by one thread at a time."""

    def __init__(self, model: LlamaModel, options: ContextOptions) -> None:
        if not (options.length > 0 and 0 < options.sequences <= MAX_SEQUENCES):
            raise BackendError(
                f"context: {options.sequences} sequences of {options.length} positions; "
                f"at least 1 of each, at most {MAX_SEQUENCES} sequences"
            )
        lib = library()
        params = lib.llama_context_default_params()
        params.n_ctx = options.length * options.sequences
        params.n_batch = params.n_ubatch = BATCH
        params.n_seq_max = options.sequences
        params.n_outputs_max = self._outputs_room = options.sequences * OUTPUTS
        params.type_k = params.type_v = _F32 if options.exact else _F16
        # Flash attention adds up in float16: far from the checkpoint, and no faster on a CPU.
        params.flash_attn_type = _FLASH_OFF
        # In one memory for all, sums would run in another order for every place a sequence gets.
        params.kv_unified = False
        params.no_perf = True
        _log.clear()
        model.check_open()
        self._handle = lib.llama_init_from_model(model._handle, params)
        if not self._handle:
            raise BackendError(f"{model.path}: llama.cpp cannot make a context: {_complaints()}")
        self.options = options
        self.set_threads(options.threads)
        self._model = model
        self._memory = lib.llama_get_memory(self._handle)
        self._fill_batches(lib)
        self._logits: Logits = np.empty((0, 0), np.float32)
        self._logits_address = 0

    def set_threads(self, threads: Threads) -> None:
        """Compute with so many from the next call on."""
        self.threads = threads
        self._threads_set = 0

    def _fill_batches(self, lib: Any) -> None:
        """Two batches over numpy arrays; filling them element by element is 100 times slower."""
        self._tokens = np.zeros(BATCH, np.int32)
        self._positions = np.zeros(BATCH, np.int32)
        self._ones = np.ones(BATCH, np.int32)
        numbers = np.arange(self.options.sequences, dtype=np.int32)
        self._sequence_ids = numbers  # what the next one points into
        self._sequence_addresses = (
            numbers.ctypes.data + numbers.itemsize * np.arange(len(numbers))
        ).astype(np.uintp)
        self._sequences = np.full(BATCH, self._sequence_addresses[0], np.uintp)
        self._outputs = np.zeros(BATCH, np.int8)
        self._numbers = np.arange(self.options.length + BATCH, dtype=np.int32)
        shared = {
            "pos": self._positions.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            "n_seq_id": self._ones.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            "seq_id": self._sequences.ctypes.data_as(
                ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))
            ),
            "logits": self._outputs.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        }
        tokens = self._tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self._token_batch = lib.llama_batch(token=tokens, **shared)
        self._embedding_batch = lib.llama_batch(**shared)

    def decode(self, parts: Sequence[Tokens]) -> list[Logits]:
        """Continue several sequences in one call; logits (outputs, V) of each, in order.

        All parts are to be of one length: llama.cpp cuts others into pieces, and a sequence that
        is computed in pieces of one token is rounded otherwise than in one run. Neighbours in
        number are computed together, the rest one after the other.
        """
        count = outputs = 0
        for part in parts:
            length = len(part.ids)
            self._check(part.sequence, part.position, length)
            after = count + length
            if after > BATCH or not 0 <= part.outputs <= length:
                raise BackendError(f"{after} tokens in one call, {part.outputs} rows: too many")
            self._tokens[count:after] = part.ids
            self._positions[count:after] = self._numbers[part.position : part.position + length]
            self._sequences[count:after] = self._sequence_addresses[part.sequence]
            self._outputs[after - part.outputs : after] = 1
            count, outputs = after, outputs + part.outputs
        if outputs > self._outputs_room:
            self._outputs[:count] = 0
            raise BackendError(f"{outputs} rows of logits in one call: too many")
        self._decode(self._token_batch, count)
        rows, found, first = self._view(), [], 0
        for part in parts:
            found.append(rows[first : first + part.outputs])
            first += part.outputs
        return found

    def decode_tokens(self, sequence: int, position: int, tokens: Sequence[int]) -> Logits:
        """Append a run of tokens (at least one) from `position` on; logits (V,) after the last."""
        last_row: Logits = self.decode_run(Tokens(sequence, position, tokens))[0]
        return last_row

    def decode_run(self, run: Tokens) -> Logits:
        """As `decode` does one part; in several calls if it is longer than one takes."""
        tokens = run.ids
        self._check(run.sequence, run.position, len(tokens))
        last = max(0, (len(tokens) - run.outputs) // BATCH * BATCH)  # where the last call begins
        for begin in range(0, last, BATCH):
            part = Tokens(run.sequence, run.position + begin, tokens[begin : begin + BATCH], 0)
            self.decode([part])
        rest = Tokens(run.sequence, run.position + last, tokens[last:], run.outputs)
        return self.decode([rest])[0]

    def decode_embeddings(
        self, sequence: int, position: int, embeddings: npt.NDArray[np.float32]
    ) -> None:
        """Append rows (n, width) in the place of tokens; no logits come back."""
        if embeddings.ndim != 2 or embeddings.shape[1] != self._model.width:
            # libllama would read beyond the buffer without a word
            raise BackendError(
                f"visual tokens of shape {embeddings.shape}; the language model's width is "
                f"{self._model.width}"
            )
        rows = np.ascontiguousarray(embeddings, dtype=np.float32)
        self._check(sequence, position, len(rows))
        for begin in range(0, len(rows), BATCH):
            part = rows[begin : begin + BATCH]
            self._positions[: len(part)] = self._numbers[position + begin :][: len(part)]
            self._sequences[: len(part)] = self._sequence_addresses[sequence]
            self._embedding_batch.embd = part.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            self._decode(self._embedding_batch, len(part))

    def remove(self, sequence: int, begin: int = 0) -> None:
        """Forget what a sequence holds from position `begin` on."""
        self._check(sequence, begin, 0)
        library().llama_memory_seq_rm(self._memory, sequence, begin, -1)

    def copy(self, source: int, target: int, length: int) -> None:
        """Fill the empty sequence `target` with all `length` positions of `source`."""
        self._check(source, 0, length)
        self._check(target, 0, length)
        # a part of a sequence would end the process here: cut the target afterwards
        library().llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def _check(self, sequence: int, position: int, count: int) -> None:
        if self._handle is None:
            raise ClosedError("the language model is closed")
        self._model.check_open()
        if not 0 <= sequence < self.options.sequences:
            raise BackendError(f"sequence {sequence}: there are {self.options.sequences}")
        if position < 0 or position + count > self.options.length:
            raise BackendError(
                f"positions {position} to {position + count}: the context has {self.options.length}"
            )

    def _decode(self, batch: Any, count: int) -> None:
        # llama.cpp itself would take a token of each of two sequences for a prompt
        wanted = self.threads.generate if count <= FEW else self.threads.prefill
        if wanted != self._threads_set:
            library().llama_set_n_threads(self._handle, wanted, wanted)
            self._threads_set = wanted
        batch.n_tokens = count
        code = library().llama_decode(self._handle, batch)
        self._outputs[:count] = 0
        if code != 0:
            what = {1: "its memory is full", 2: "it was interrupted"}.get(code, f"code {code}")
            raise BackendError(f"llama.cpp cannot decode {count} tokens: {what}: {_complaints()}")

    def _view(self) -> Logits:
        """(rows, V): as many rows as the last call was asked for are filled."""
        address = ctypes.addressof(library().llama_get_logits(self._handle).contents)
        if address != self._logits_address:
            size = self._outputs_room * self._model.vocabulary_size
            rows = np.ctypeslib.as_array((ctypes.c_float * size).from_address(address))
            self._logits = rows.reshape(self._outputs_room, self._model.vocabulary_size)
            self._logits_address = address
        return self._logits

    def close(self) -> None:
        """Free the memory. Closing twice is fine."""
        if self._handle is not None:
            library().llama_free(self._handle)
            self._handle = None
            self._logits = np.empty((0, 0), np.float32)


def gguf_types() -> dict[str, int]:
    """Every type that the quantiser knows by name, such as F32, F16, Q8_0 or Q4_K_M."""
    lib = library()
    types = {"F32": int(lib.LLAMA_FTYPE_ALL_F32)}
    prefix = "LLAMA_FTYPE_MOSTLY_"
    types |= {n[len(prefix) :]: int(getattr(lib, n)) for n in dir(lib) if n.startswith(prefix)}
    return types


def quantise_gguf(
    source: Path, target: Path, type_name: str, *, threads: int | None = None
) -> None:
    """Write `source` again with its weights in another type, by libllama's own quantiser.

    Types whose blocks do not fit a tensor's rows are replaced tensor by tensor, in silence: read
    the types back where they matter.

    Args:
        source: a GGUF in F32 or F16.
        target: written; whatever was there is replaced.
        type_name: one of `gguf_types()`.
        threads: the result does not depend on it; None: one for each core.

    Raises:
        InputError: there is no such type or no such source.
        BackendError: libllama refused; nothing is left at `target`.
    """
    types = gguf_types()
    if type_name not in types:
        raise InputError(
            f"GGUF type {type_name!r} is not known; known are {', '.join(sorted(types))}"
        )
    if not source.is_file():
        raise InputError(f"{source}: there is no such GGUF file")
    lib = library()
    params = lib.llama_model_quantize_default_params()
    params.ftype, params.nthread = types[type_name], threads or cores()
    _log.clear()
    with _read_once(source):
        code = lib.llama_model_quantize(
            os.fsencode(source), os.fsencode(target), ctypes.byref(params)
        )
    if code != 0:
        target.unlink(missing_ok=True)
        raise BackendError(f"{source}: cannot be written as {type_name}: {_complaints()}")


@contextmanager
def _read_once(path: Path) -> Iterator[None]:
    """While the block runs, what was read of a mapped file does not stay in this process's memory.

    libllama maps the whole source of a quantisation, so without this a file of 16 GB counts as 16
    GB of memory until it has been written again.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_page_out, args=(path, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _page_out(path: Path, ended: threading.Event) -> None:
    system = ctypes.CDLL(None)
    suffix = f" {path.resolve()}"
    while not ended.wait(_PAGE_OUT_SECONDS):
        try:
            lines = Path("/proc/self/maps").read_text("utf-8", "replace").splitlines()
        except OSError:  # no Linux
            return
        for line in lines:
            if line.endswith(suffix):
                first, last = (int(edge, 16) for edge in line.split(" ", 1)[0].split("-"))
                # Harmless even if the mapping has just gone: it loses nobody's data.
                system.madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _MADV_PAGEOUT)


def has_tiny_blas() -> bool:
    """Whether this build multiplies one row and several rows by different code (LLAMAFILE).

    build_tools/llama_cpp_lean.cmake makes one of which this code takes rows of any number; it says
    LLAMAFILE_ANY_WIDTH.
    """
    return b"LLAMAFILE = 1" in library().llama_print_system_info()


def cpu_features() -> tuple[str, ...]:
    """What the code that llama.cpp runs on this processor makes use of, such as AVX2."""
    cpu = library().llama_print_system_info().decode("utf-8", "replace").partition("CPU : ")[2]
    entries = [entry.split("=") for entry in cpu.split("|") if "=" in entry]
    return tuple(name.strip() for name, value in entries if value.strip() == "1")


def can_use_gpu() -> bool:
    """Whether this build of llama.cpp can compute on a GPU."""
    return bool(library().llama_supports_gpu_offload())
