"""What content that somebody else wrote may ask of us, before a native library sees it.

Each number is far above anything real, and far below what would bring a machine down.
docs/safety.md has the same table with reasons; a test compares them.
"""

from __future__ import annotations

import re
from typing import Final

MIB: Final = 2**20

FRAME_PIXELS: Final = 8192 * 8192  # of one picture: 67 million, twice an 8K frame
PACKET_BYTES: Final = 64 * MIB  # of one compressed picture
METADATA_BYTES: Final = 256 * 1024  # of one packet of a data stream
METADATA_PACKETS: Final = 256  # that wait for their picture
SDP_BYTES: Final = 64 * 1024
SDP_LINES: Final = 512
MANIFEST_BYTES: Final = MIB
MANIFEST_DEPTH: Final = 32  # lists and objects within each other
BUNDLE_FILES: Final = 256
IMAGE_SIZE: Final = 4096  # pixels, side of the encoder's square
VISUAL_TOKENS: Final = 65536  # of one image
WIDTH: Final = 65536  # of a token
CONTEXT: Final = 2**20  # tokens
VOCABULARY: Final = 2**22  # tokens
GGUF_VALUES: Final = 4096  # keys of a GGUF header
GGUF_TEXT_BYTES: Final = 16 * MIB  # of one text, such as a chat template
GGUF_KEY_BYTES: Final = 1024
GGUF_ARRAY: Final = 2**24  # entries of an array
GGUF_TENSORS: Final = 2**16
LAYERS: Final = 4096  # of a language model, and heads of a layer


def check_at_most(what: str, found: int, limit: int) -> None:
    """Refuse what is larger than its limit; raises ValueError."""
    if found > limit:
        raise ValueError(f"{what}: {found:,}, at most {limit:,} are accepted")


def depth_of(text: str) -> int:
    """How deep brackets of a JSON text lie within each other; those inside of words count too."""
    depth = deepest = 0
    for mark in re.findall(r"[\[\]{}]", text):
        depth += 1 if mark in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def check_sdp(text: str) -> None:
    """Refuse a session description that is longer than any camera's; raises ValueError."""
    check_at_most("bytes of the description", len(text.encode("utf-8", "replace")), SDP_BYTES)
    check_at_most("lines of the description", text.count("\n"), SDP_LINES)


def table() -> dict[str, int]:
    """Every limit by its name."""
    return {name: value for name, value in globals().items() if name.isupper() and name != "MIB"}
