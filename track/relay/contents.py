"""Send contents to a server in pieces, and fetch them from there (``docs/relay.md``)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO

from track.contents.store import (
    ContentStore,
    Kept,
    check_digest,
    fetched,
    hashed,
    not_here,
)
from track.errors import BackendError, FileDamaged, InsecureConnection, ItemNotFound
from track.relay.connection import Connection
from track.relay.messages import MOST_DIGESTS, Message, Verb

_SMALLEST_PIECE, _FIRST_PIECE, _LARGEST_PIECE = 2**14, 2**18, 2**20
_SLOW_S, _FAST_S = 0.25, 0.05
"""Pieces become smaller if one takes longer, larger if it takes less, so no event waits long."""


class RelayContents(ContentStore):
    """Keeps contents in the store behind a server.

    Parameters
    ----------
    connection
        a connection to the server for contents alone, so that events need not wait for them
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._piece = _FIRST_PIECE

    def __str__(self) -> str:
        return f"the server at {self._connection.target}"

    def put(self, source: BinaryIO) -> Kept:
        size, digest = hashed(source)
        for _ in self.sending(digest, source):
            pass
        return size, digest

    def sending(self, digest: str, source: BinaryIO) -> Iterator[None]:
        begin = source.tell()
        size = source.seek(0, os.SEEK_END) - begin
        offset, piece = 0, b""
        while True:
            began = time.monotonic()
            request = Message(Verb.KEEP, [check_digest(digest), size, offset], piece)
            (arrived,) = self._answer(request, 1)
            if arrived is None:
                return
            if type(arrived) is not int or not 0 <= arrived < size:
                raise InsecureConnection(
                    f"{self} claims to have {arrived!r} of {size} bytes of a content"
                )
            self._adjust(len(piece), time.monotonic() - began)
            yield
            offset = arrived
            source.seek(begin + offset)
            piece = source.read(min(self._piece, size - offset))
            if not piece:
                raise FileDamaged(f"the content {digest} became shorter while it was sent")

    def _adjust(self, sent: int, took_s: float) -> None:
        """Choose the size of the next piece from the duration of the last one."""
        if took_s > _SLOW_S:
            self._piece = max(self._piece // 2, _SMALLEST_PIECE)
        elif took_s < _FAST_S and sent == self._piece:
            self._piece = min(self._piece * 2, _LARGEST_PIECE)

    def open_unchecked(self, digest: str) -> BinaryIO:
        try:
            return fetched(self._pieces(check_digest(digest)))
        except ItemNotFound:
            raise not_here(digest, self) from None

    def _pieces(self, digest: str) -> Iterator[bytes]:
        offset, size = 0, -1
        while offset != size:
            request = Message(Verb.CALL, ["content", digest, offset])
            answer = self._ask(request)
            (size,) = answer.header
            piece = answer.attachment
            if type(size) is not int or (not 0 < len(piece) <= size - offset and size):
                raise InsecureConnection(f"{self} sent an invalid piece of a content")
            offset += len(piece)
            yield piece

    def missing(self, digests: Iterable[str]) -> set[str]:
        wanted = iter({check_digest(digest) for digest in digests})
        found: set[str] = set()
        while some := [*islice(wanted, MOST_DIGESTS)]:
            (missing,) = self._answer(Message(Verb.CALL, ["missing_contents", some]), 1)
            found |= {*missing} & {*some}
        return found

    def digests(self) -> Iterator[str]:
        last = ""
        while some := self._answer(Message(Verb.CALL, ["contents", last]), 1)[0]:
            last = some[-1]
            yield from map(check_digest, some)

    def remove(self, digests: Iterable[str]) -> set[str]:
        raise BackendError(
            f"{self} does not erase contents for clients: redact the store that it serves"
        )

    def close(self) -> None:
        self._connection.close()

    def _answer(self, request: Message, count: int) -> list[Any]:
        answer = self._ask(request).header
        if len(answer) != count:
            raise InsecureConnection(f"{self} gave an invalid answer about contents")
        return answer

    def _ask(self, request: Message) -> Message:
        try:
            return self._connection.request(*request)
        except AttributeError as error:
            raise BackendError(
                f"{self} runs an earlier version of Track, which keeps no contents of files: "
                "upgrade it"
            ) from error
