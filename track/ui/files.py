"""The endpoint for logged files, whose contents browsers must not trust."""

from __future__ import annotations

from collections.abc import Iterator
from mimetypes import guess_type
from typing import BinaryIO
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from track.attachments.logged_files import LoggedFile, files_of, find_file, open_content
from track.ui.answers import Parameters
from track.ui.store import Store

_PIECE = 2**18

POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; media-src data:"
"""The policy for files: they run no scripts, send no requests and have no origin."""

_SHOWN = ("image/", "audio/", "video/")
_SHOWN_IN_FRAMES = ("text/", "application/json", "application/pdf")


def get_file(store: Store, request: Request) -> Response:
    """Return a logged file: images and audio are shown, everything else is downloaded."""
    known = Parameters(request.query_params, "trial", "name", "at", "inline")
    with store.glance(known.text("at")) as glance:
        trial = glance.find(known.needed("trial"))
        file = find_file(files_of(trial), known.needed("name"))
    content = open_content(store.reader.protocol.content, file)
    kind = kind_of(file)
    shown = (*_SHOWN, *_SHOWN_IN_FRAMES) if known.flag("inline") else _SHOWN
    name = quote(file.name.rpartition("/")[2].encode("utf-8", "replace"))
    disposition = "inline" if kind.startswith(shown) else "attachment"
    headers = {
        "Content-Disposition": f"{disposition}; filename*=UTF-8''{name}",
        "Content-Length": str(file.size),
        "Content-Security-Policy": POLICY,
        "ETag": f'"{file.sha256}"',
    }
    return StreamingResponse(_pieces(content), media_type=kind, headers=headers)


def kind_of(file: LoggedFile) -> str:
    """Return the media type of a file, guessed from its name."""
    kind, encoding = guess_type(file.name, strict=False)
    if kind is None or encoding is not None:
        return "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _pieces(content: BinaryIO) -> Iterator[bytes]:
    with content:
        while piece := content.read(_PIECE):
            yield piece
