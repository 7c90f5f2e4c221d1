"""Read the records of a ``.wandb`` file, framed like LevelDB's log after a W&B header.

The file consists of blocks of 32 KiB. A record is one piece or, across blocks, several; each piece
follows its checksum, length and kind. Damage makes the rest of its block unreadable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import BinaryIO
from zlib import crc32

MAGIC = b":W&B\xe1\xbe"
"""The first bytes of a file, followed by the version of the format."""

_BLOCK = 2**15
_HEADER = Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_CUT_OFF = "the last record is incomplete: the file is still being written, or was cut off"
_LARGEST = 2**28
"""The largest record that is assembled from its pieces, in bytes."""


def read_records(
    file: BinaryIO, tell: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[int, bytes]]:
    """Yield the position and the content of each record.

    Positions increase, and do not depend on which other records are readable.

    Parameters
    ----------
    file
        the file, positioned at its beginning
    tell
        called with a sentence about anything that cannot be read
    """
    begun: list[bytes] = []
    for place, kind, piece in _pieces(file, tell):
        if kind in (_FULL, _FIRST):
            if begun:
                tell("a record is incomplete")
            begun = []
        elif not begun:
            continue  # its beginning was damaged, which was reported
        begun.append(piece)
        if kind in (_FULL, _LAST):
            yield place, b"".join(begun)
            begun = []
        elif sum(map(len, begun)) > _LARGEST:
            tell(f"a record has more than {_LARGEST} bytes")
            begun = []
    if begun:
        tell(_CUT_OFF)


def _pieces(file: BinaryIO, tell: Callable[[str], None]) -> Iterator[tuple[int, int, bytes]]:
    """Yield position, kind and content of each piece of a record."""
    number = 0
    while block := file.read(_BLOCK):
        at = len(MAGIC) + 1 if number == 0 else 0
        while at + _HEADER.size <= len(block):
            checksum, size, kind = _HEADER.unpack_from(block, at)
            end = at + _HEADER.size + size
            if not (checksum or size or kind):
                break  # the rest was never written
            if end > len(block) < _BLOCK:
                tell(
                    "the last record is incomplete: the file is still being written, or was cut off"
                )
                break
            if end > len(block) or crc32(block[at + _HEADER.size - 1 : end]) != checksum:
                tell("a block is damaged")
                break
            if kind in (_FULL, _FIRST, _MIDDLE, _LAST):
                place = (number * _BLOCK + at) // _HEADER.size + 1
                yield place, kind, block[at + _HEADER.size : end]
            at = end
        number += 1
