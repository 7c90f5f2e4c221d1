"""Read the records of a ``.wandb`` file: the framing of LevelDB's log, after a header of its own.

The file is made of blocks of 32 KiB. A record is in one piece or, across blocks, in several, each
behind a checksum, its length and its kind. Damage costs the rest of its block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import BinaryIO
from zlib import crc32

MAGIC = b":W&B\xe1\xbe"
"""How a file begins; the version of the format follows."""

_BLOCK = 2**15
_HEADER = Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_CUT_OFF = "the last record is incomplete: the file is still being written, or was cut off"
_LARGEST = 2**28
"""The size of a record in bytes that is put together of its pieces."""


def read_records(
    file: BinaryIO, tell: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[int, bytes]]:
    """Yield the number of the place of each record, and its content.

    The numbers grow, and do not depend on what else can be read.

    Parameters
    ----------
    file
        the file, at its beginning
    tell
        called with what cannot be read
    """
    begun: list[bytes] = []
    for place, kind, piece in _pieces(file, tell):
        if kind in (_FULL, _FIRST):
            if begun:
                tell("a record has no end")
            begun = []
        elif not begun:
            continue  # its beginning was damaged, and was told
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
    """Yield place, kind and content of each piece of a record."""
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
