"""Lists of media: what a notebook and a terminal show of them."""

import json
import pickle
from html.parser import HTMLParser
from io import BytesIO

import pytest
from PIL import Image as Pillow

import track
from track import TrackClient
from track.display.gallery import blocks_of, html_of, lines_of
from track.media import Html, Image, Text
from track.projections.media import LoggedMedium

HOSTILE = "</pre><script>alert(1)</script>"


class Elements(HTMLParser):
    """Collects the tags and the attributes of a document."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def medium(kind: str, mime: str, content: bytes) -> LoggedMedium:
    """Return what a journal says of a content."""
    return LoggedMedium("x", 1, 0, 0, 1, kind, mime, len(content), "", None, {}, None)


@pytest.fixture
def store(tmp_path):
    """A store with a trial that logged each kind of medium."""
    client = TrackClient(f"file:{tmp_path}/s.json")
    with client.new_trial(name="t", parameters={"lr": 0.1}) as trial:
        for step in range(30):
            trial.log({"image": Image(PNG, caption=HOSTILE)}, step)
        trial.log({"text": Text(HOSTILE), "page": Html(HOSTILE)})
        trial.log_table("table", {HOSTILE: [HOSTILE, 2]})
        trial.log_histogram("histogram", [1.0, 1.0, 2.0], bins=2)
    client.close()
    with track.open(f"file:{tmp_path}/s.json") as reader:
        yield reader


PNG = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8"
    b"\xcf\xc0\0\0\3\1\1\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82"
)
"""One red pixel."""


def test_a_notebook_shows_each_kind_and_runs_nothing(store):
    """Scripts in names, captions and contents are text; pages are in frames that allow nothing."""
    shown = Elements(store.media("t")._repr_html_())
    assert not shown.of("script")
    assert [frame["sandbox"] for frame in shown.of("iframe")] == [""]
    assert shown.of("img")[0]["src"].startswith("data:image/png;base64,")
    assert len(shown.of("rect")) == 2
    assert len(shown.of("table")) == 1


def test_a_notebook_shows_some_of_many_with_the_first_and_the_last(store):
    """How many there are is said."""
    html = store.media("t", "image")._repr_html_()
    assert "12 of 30" in html
    assert "step 0 " in html
    assert "step 29 " in html
    assert len(Elements(html).of("img")) == 12


def test_a_slice_of_media_is_shown_too_and_pickled_as_a_list(store):
    """A prompt shows a table of them without their contents."""
    some = store.media("t", "image")[-2:]
    assert len(Elements(some._repr_html_()).of("img")) == 2
    assert [line.split()[:3] for line in repr(some).splitlines()[1:]] == [
        ["28", "image", "image"],
        ["29", "image", "image"],
    ]
    assert f"data='<{len(PNG)} bytes>'" in repr(some[0])
    assert pickle.loads(pickle.dumps(some)) == [*some]


@pytest.mark.parametrize("kind", ["table", "histogram"])
@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b'{"edges": [], "counts": []}'])
def test_a_content_that_is_not_of_its_kind_is_named_only(kind, content):
    """A journal may have any bytes."""
    damaged = medium(kind, "application/json", content)
    assert html_of(damaged, content) == f"<em>{kind} (application/json, {len(content)} bytes)</em>"
    assert lines_of(damaged, content)


def test_a_terminal_shows_tables_and_histograms_as_text():
    """Escape sequences in them are not passed on."""
    content = json.dumps({"columns": ["a"], "rows": [["\x1b[31m"], [2]]}).encode()
    assert lines_of(medium("table", "application/json", content), content) == [
        "a",
        "\\x1b[31m",
        "2",
    ]
    content = json.dumps({"edges": [0, 1, 2], "counts": [1, 2]}).encode()
    first, second = lines_of(medium("histogram", "application/json", content), content)[1:]
    assert (first.count("█"), second.count("█")) == (20, 40)


def test_a_terminal_shows_pictures_as_half_blocks():
    """Each character has two pixels, one above the other."""
    file = BytesIO()
    picture = Pillow.new("RGB", (2, 2), (255, 0, 0))
    picture.putpixel((0, 1), (0, 0, 255))
    picture.save(file, "PNG")
    blocks = blocks_of(file.getvalue(), 80)
    assert blocks is not None
    assert blocks.plain == "▀▀\n"
    style = blocks.spans[0].style
    assert (style.color.triplet.hex, style.bgcolor.triplet.hex) == ("#ff0000", "#0000ff")


def test_a_file_that_is_no_picture_has_no_blocks():
    """Whoever logged it may have logged anything."""
    assert blocks_of(b"\x89PNG\r\n\x1a\n", 80) is None
