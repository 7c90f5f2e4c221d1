"""A self-contained page of a store or of selected trials that needs no server."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from track.errors import QueryError
from track.moment import When
from track.projections.rows import little_endian
from track.reader import Reader
from track.ui.answers import to_json
from track.ui.app import STATIC
from track.ui.comparing import get_columns
from track.ui.series import Wanted, piece
from track.ui.store import Store
from track.ui.trials import get_store, get_trial, row

MOST_TRIALS = 1000
_ALL_POINTS = 500_000
"""The most points of all series together, which take about 16 MB."""

_MOST_POINTS = 1000
_FEWEST_POINTS = 2

_IMPORT = re.compile(r"""((?:\bfrom|\bimport)\s*\(?\s*)(["'])\./""")
_STYLES = ("vendor/uPlot.min.css", "style.css", "views.css")
_ICON = "icon.svg"
_NAMED = "track/"


def saved_page(
    reader: Reader,
    trials: Sequence[str] = (),
    *,
    at: When = None,
    most_trials: int = MOST_TRIALS,
) -> str:
    """Return a single HTML file that shows a store without a server.

    Parameters
    ----------
    reader
        the reader of the store
    trials
        the trials to include, by name, uid or uid prefix; by default all that are not archived
    at
        the moment to show
    most_trials
        how many trials a page may hold; a browser keeps all of them in memory

    Notes
    -----
    The page contains the server's responses and up to 1,000 points per curve, or fewer if there are
    many curves. It loads nothing from elsewhere. Logged files are not included.

    Raises
    ------
    QueryError
        there are more trials than a page may hold
    TrialDoesNotExist
        a trial does not exist
    """
    return _page(_answers(Store(reader), trials, at, most_trials))


def _answers(store: Store, trials: Sequence[str], at: When, most_trials: int) -> dict[str, Any]:
    moment = [] if at is None else [("at", str(at))]

    def ask(get: Callable[[Store, Request], Response], uid: str = "") -> Any:
        return json.loads(bytes(get(store, _request(uid, moment)).body))

    with store.glance(at) as glance:
        uids = {glance.find(which).uid for which in trials}
        chosen = [one for one in glance.all if one.uid in uids] if uids else glance.trials()
        if len(chosen) > most_trials:
            raise QueryError(
                f"a saved report holds up to {most_trials} trials, but {len(chosen)} match: "
                "name the ones to include"
            )
        # An archived trial that is named explicitly is included.
        rows = json.loads(to_json([{**row(one, []), "archived": False} for one in chosen]))
    answers = {
        "store": {**ask(get_store), "writable": False},
        "columns": ask(get_columns),
        "rows": rows,
        "trials": {row["uid"]: ask(get_trial, row["uid"]) for row in rows},
        "series": _all_series(store, rows, at),
    }
    answers["store"]["counts"] = {**answers["store"]["counts"], "trials": len(rows)}
    return answers


def _all_series(store: Store, rows: list[dict[str, Any]], at: When) -> list[dict[str, Any]]:
    count = sum(len(row["metrics"]) for row in rows)
    most = min(_MOST_POINTS, max(_FEWEST_POINTS, _ALL_POINTS // max(1, count)))
    found = []
    with store.glance(at) as glance:
        for row in rows:
            for metric in row["metrics"]:
                values = glance.series(row["uid"], metric)
                part = piece(row["uid"], metric, values, Wanted(most, None, None))
                if part is not None:
                    head, columns = part
                    data = b"".join(map(little_endian, columns))
                    found.append({"head": head, "data": b64encode(data).decode()})
    return found


def _request(uid: str, query: list[tuple[str, Any]]) -> Request:
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": "/",
            "headers": [],
            "query_string": urlencode(query).encode(),
            "path_params": {"uid": uid},
        }
    )


def _page(answers: dict[str, Any]) -> str:
    """Return the page with its modules, styles and responses embedded."""
    imports = json.dumps({"imports": {f"{_NAMED}{n}": url for n, url in _modules().items()}})
    start = f'import "{_NAMED}app.js"'
    # Only these two scripts, and the embedded modules that they import, may run.
    hashes = " ".join(
        f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
        for script in (imports, start)
    )
    policy = (
        f"default-src 'none'; script-src data: {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    styles = "\n".join((STATIC / name).read_text("utf-8") for name in _STYLES)
    text = json.dumps(answers, separators=(",", ":")).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n<title>Track</title>\n'
        f"<style>{styles}</style>\n"
        f'<script type="application/json" id="track-recorded">{text}</script>\n'
        f'<script type="importmap">{imports}</script>\n'
        f'<script type="module">{start}</script>\n'
        "</head>\n<body>\n<noscript>This report needs JavaScript.</noscript>\n"
        "</body>\n</html>\n"
    )


def _modules() -> dict[str, str]:
    """Return all modules of the page as ``data:`` URLs.

    A module in such a URL cannot use relative imports, so the import map of the page resolves
    imports by name.
    """
    icon = b64encode((STATIC / _ICON).read_bytes()).decode()
    found = {}
    for path in sorted(STATIC.rglob("*.js")):
        name = path.relative_to(STATIC).as_posix()
        code = _IMPORT.sub(rf"\1\2{_NAMED}", path.read_text("utf-8"))
        code = code.replace(f"static/{_ICON}", f"data:image/svg+xml;base64,{icon}")
        found[name] = f"data:text/javascript;base64,{b64encode(code.encode()).decode()}"
    return found
