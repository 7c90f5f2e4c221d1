"""A bridge to MLflow tracking servers, through their REST API."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit
from uuid import UUID

from track.errors import PushFailed
from track.exchange.bridges.contract import (
    Content,
    Counterpart,
    Description,
    OpenFile,
    Row,
    SentFile,
    Target,
)
from track.exchange.bridges.rest import RefusedAs, Rest
from track.exchange.media_summaries import step_of
from track.exchange.mlflow_terms import name_of, status_of
from track.projections.media import LoggedMedium

UID, ROWS = "track.uid", "track.rows"
"""The tags of a run that hold the uid of its trial and the number of rows that have arrived."""

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_HERE = "mlflow-artifacts:/"
"""The prefix of the artifact location of a run if the server itself keeps artifacts."""

_MOST_METRICS, _MOST_TEXTS = 900, 40
"""The most items per request; MLflow accepts 1000 metrics, 100 texts and 1 MB."""

_LONGEST_PARAMETER, _LONGEST_TAG = 6000, 8000
_LOGGED_IMAGES = "mlflow.loggedImages"
"""The tag of a run that makes MLflow's UI show its images by step."""

_THERE = re.compile(r"(\d{1,18})(?:\+(\d{1,18}))?")

_EXTENSIONS = {
    "application/json": "json",
    "application/vnd.plotly.v1+json": "plotly.json",
    "audio/flac": "flac",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/webp": "webp",
    "text/html": "html",
    "text/plain": "txt",
}


class MLflow(Target):
    """A tracking server of MLflow.

    Parameters
    ----------
    url
        its address, by default ``MLFLOW_TRACKING_URI``. User and password may be part of it;
        otherwise they are taken from ``MLFLOW_TRACKING_USERNAME`` and
        ``MLFLOW_TRACKING_PASSWORD``, or a token from ``MLFLOW_TRACKING_TOKEN``
    patience_s
        how long an unanswered request is repeated, in seconds

    Raises
    ------
    PushFailed
        the address is not an HTTP URL
    """

    def __init__(self, url: str = "", *, patience_s: float = 60.0) -> None:
        super().__init__()
        parts = urlsplit(url or os.environ.get("MLFLOW_TRACKING_URI", ""))
        host = parts.netloc.rpartition("@")[2]
        if parts.scheme not in ("http", "https") or not host:
            raise PushFailed(
                "give the address of the MLflow server, as in mlflow:http://localhost:5000, or set "
                "MLFLOW_TRACKING_URI to it"
            )
        address = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
        self.name = f"mlflow:{address}"
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        certificates = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
        self.rest = Rest(address, _credentials(user, password), patience_s, certificates)
        self._experiments: dict[str, str] = {}

    def open(self, description: Description) -> Counterpart:
        run = self.rest.patiently(
            lambda: self._find_run(description) or self._make_run(description)
        )
        return _Run(self, run)

    def _find_run(self, description: Description) -> Any:
        """Return the oldest run of a trial, None if there is none."""
        mark = '"' if "'" in description.uid else "'"
        found = self.rest.call(
            "POST",
            f"{_API}/runs/search",
            {
                "experiment_ids": [self._experiment(description.project)],
                "filter": f"tags.`{UID}` = {mark}{description.uid}{mark}",
                "order_by": ["attributes.start_time ASC"],
                "max_results": 1,
            },
        )
        return next(iter(found.get("runs", [])), None)

    def _make_run(self, description: Description) -> Any:
        named = {UID: description.uid, ROWS: "0"}
        body: dict[str, Any] = {
            "experiment_id": self._experiment(description.project),
            "start_time": _ms(description.started_ns),
            "tags": [{"key": key, "value": value} for key, value in named.items()],
        }
        if description.name:
            body["run_name"] = description.name
        return self.rest.call("POST", f"{_API}/runs/create", body)["run"]

    def _experiment(self, name: str) -> str:
        """Return the id of an experiment, creating it if it is missing."""
        if name not in self._experiments:
            self._experiments[name] = self._named(name) or self._made(name)
        return self._experiments[name]

    def _named(self, name: str) -> str | None:
        query = {"experiment_name": name}
        try:
            found = self.rest.call("GET", f"{_API}/experiments/get-by-name", query=query)
        except RefusedAs as error:
            if error.code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return str(found["experiment"]["experiment_id"])

    def _made(self, name: str) -> str:
        try:
            made = self.rest.call("POST", f"{_API}/experiments/create", {"name": name})
        except RefusedAs as error:
            found = self._named(name) if error.code == "RESOURCE_ALREADY_EXISTS" else None
            if found is None:
                raise
            return found  # another process has just created it
        return str(made["experiment_id"])


class _Run(Counterpart):
    """A run of MLflow.

    The number of the last row is a tag, set by the same request that sends the row. If a request
    gets no response, the tag is read from the run: MLflow sets it after the metrics, and its
    databases store a metric that arrives twice only once.
    """

    def __init__(self, target: MLflow, run: Any) -> None:
        self._target, self._rest = target, target.rest
        info, data = run["info"], run.get("data", {})
        self._id, self._artifacts = str(info["run_id"]), str(info.get("artifact_uri", ""))
        self._status, self._end_ms = info.get("status"), _int(info.get("end_time"))
        self._params = {one["key"]: one.get("value", "") for one in data.get("params", [])}
        self._tags = {one["key"]: one.get("value", "") for one in data.get("tags", [])}
        self.rows, self._part = _There.of(self._tags.get(ROWS))

    # Rows

    def add(self, rows: Sequence[Row], content: Content, open_file: OpenFile) -> None:
        for row in rows:
            for file in row.files:
                self._add_file(file, open_file)
            for medium in row.media:
                self._add_medium(row, medium, content)
        self._rest.patiently(lambda: self._add_points(rows))

    def _add_points(self, rows: Sequence[Row]) -> None:
        missing = (row for row in rows if row.number > self.rows)
        for metrics, there in _requests(missing, self._part):
            tags = [{"key": ROWS, "value": there.text()}]
            body = {"run_id": self._id, "metrics": metrics, "tags": tags}
            try:
                self._rest.call("POST", f"{_API}/runs/log-batch", body)
            except PushFailed:
                self.rows, self._part = self._there()
                raise
            self.rows, self._part = there

    def _there(self) -> _There:
        """Return which rows the run has, according to the server."""
        query = {"run_id": self._id}
        run = self._rest.patiently(lambda: self._rest.call("GET", f"{_API}/runs/get", query=query))
        tags = {one["key"]: one.get("value", "") for one in run["run"]["data"].get("tags", [])}
        return _There.of(tags.get(ROWS))

    def _takes_artifacts(self) -> bool:
        if self._artifacts.startswith(_HERE):
            return True
        self._target.miss(
            f"media and files are left out, because the server does not keep artifacts itself, but "
            f"in {self._artifacts.partition(':')[0]}: start it with --serve-artifacts"
        )
        return False

    def _add_file(self, file: SentFile, open_file: OpenFile) -> None:
        """Send a file; what was sent partly, or without an answer, is sent again."""
        if not self._takes_artifacts():
            return
        where = f"{_ARTIFACTS}/{quote(self._folder() + file.path)}"

        def send() -> None:
            with open_file(file) as data:
                self._rest.call("PUT", where, data=data, size=file.size)

        with self._target.leave_out(file.path):
            self._rest.patiently(send)

    def _add_medium(self, row: Row, medium: LoggedMedium, content: Content) -> None:
        if not self._takes_artifacts():
            return
        data = None
        with self._target.leave_out(repr(medium.name)):
            data = content(medium)
        if data is None:
            return
        for path in _paths_of(row, medium):
            where = f"{_ARTIFACTS}/{quote(self._folder() + path)}"
            self._rest.patiently(partial(self._rest.call, "PUT", where, data=data))
        if medium.mime == "image/png":
            self._set_tags({_LOGGED_IMAGES: "True"})

    def _folder(self) -> str:
        """Return the folder of the run below the server's artifacts, with a trailing slash."""
        location = urlsplit(self._artifacts.split("?")[0])
        return f"{location.path.strip('/')}/"

    # Description

    def describe(self, description: Description) -> None:
        tags = {
            name_of(key): "" if value is None else str(value)
            for key, value in description.tags.items()
        }
        for key, value in description.metadata.items():
            if isinstance(value, (str, int, float)):
                tags[name_of(f"metadata.{key}")] = str(value)
        said = {
            "mlflow.note.content": description.description,
            "mlflow.runName": description.name,
            "mlflow.source.git.commit": description.version,
            "track.group": description.group,
        }
        self._set_tags(tags | {key: text for key, text in said.items() if text is not None})
        self._set_params(description)

    def _set_tags(self, tags: dict[str, str]) -> None:
        self._log("tags", {key: text[:_LONGEST_TAG] for key, text in tags.items()}, self._tags)

    def _set_params(self, description: Description) -> None:
        params = {
            name_of(key): str(value)[:_LONGEST_PARAMETER]
            for key, value in description.parameters.items()
        }
        for key in params.keys() & self._params.keys():
            if params.pop(key) != self._params[key]:
                self._target.miss(
                    f"{description.uid}: {key!r} changed, but parameters of MLflow cannot change"
                )
        self._log("params", params, self._params)

    def _log(self, kind: str, texts: dict[str, str], known: dict[str, str]) -> None:
        """Set new or changed tags or parameters; setting them twice has no effect."""
        news = iter([(key, text) for key, text in texts.items() if known.get(key) != text])
        while part := dict(islice(news, _MOST_TEXTS)):
            items = [{"key": key, "value": text} for key, text in part.items()]
            body = {"run_id": self._id, kind: items}
            self._rest.patiently(partial(self._rest.call, "POST", f"{_API}/runs/log-batch", body))
            known.update(part)

    def conclude(self, description: Description) -> None:
        status = status_of(description.status)
        end_ms = _ms(description.ended_ns) if description.is_over else None
        if (status, end_ms or self._end_ms) == (self._status, self._end_ms):
            return
        body: dict[str, Any] = {"run_id": self._id, "status": status}
        if end_ms is not None:
            body["end_time"] = end_ms
        self._rest.patiently(lambda: self._rest.call("POST", f"{_API}/runs/update", body))
        self._status, self._end_ms = status, end_ms or self._end_ms


def _credentials(user: str, password: str) -> dict[str, str]:
    user = user or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    password = password or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    if user:
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {encoded}"}
    return {"Authorization": f"Bearer {token}"} if token else {}


class _There(NamedTuple):
    """How many rows of a trial a run has.

    Attributes
    ----------
    rows
        the number of the last whole row
    part
        the number of points that the run has of the next row
    """

    rows: int
    part: int

    @classmethod
    def of(cls, text: str | None) -> _There:
        """Parse the result of :meth:`text`; any other text means that there are no rows."""
        found = _THERE.fullmatch(text or "")
        return cls(0, 0) if found is None else cls(int(found[1]), int(found[2] or 0))

    def text(self) -> str:
        """Return the text of the tag that stores this."""
        return f"{self.rows}+{self.part}" if self.part else f"{self.rows}"


def _requests(rows: Iterator[Row], part: int) -> Iterator[tuple[list[Any], _There]]:
    """Yield the metrics of each request, and the state of the run after it.

    The run may already have the first points of the first row.
    """
    metrics: list[Any] = []
    whole = 0
    for row in rows:
        timestamp = _ms(row.at_ns)
        for place, point in enumerate(row.points[part:], part):
            if len(metrics) == _MOST_METRICS:
                yield metrics, _There(row.number - 1, place)
                metrics = []
            name, value = name_of(point.name), _json_number(point.value)
            metrics.append(
                {"key": name, "value": value, "timestamp": timestamp, "step": point.step}
            )
        part, whole = 0, row.number
    if whole:
        yield metrics, _There(whole, 0)


def _json_number(value: float) -> float | str:
    """Return a number in the JSON encoding of protocol buffers."""
    if value != value:  # noqa: PLR0124 - true only for NaN
        return "NaN"
    return value if abs(value) != float("inf") else ("Infinity" if value > 0 else "-Infinity")


def _paths_of(row: Row, medium: LoggedMedium) -> list[str]:
    """Return the artifact paths of a medium, which are always the same.

    MLflow's UI shows images by step if their paths are like those of ``mlflow.log_image``. It also
    expects a smaller copy of each, which browsers show in any format.
    """
    key = re.sub(r"[^\w\-. ]", "~", medium.name).strip(". ")[:100] or "medium"
    known = f"{row.number} {medium.name} {medium.place} {medium.sha256}"
    digest = sha256(known.encode("utf-8", "surrogatepass")).digest()
    step = step_of(medium)
    if medium.mime == "image/png":
        name = f"images/{key}+step+{step}+timestamp+{_ms(row.at_ns)}+{UUID(bytes=digest[:16])}"
        return [f"{name}.png", f"{name}+compressed.webp"]
    extension = _EXTENSIONS.get(medium.mime.partition(";")[0], "bin")
    return [f"media/{key}/{step}-{digest.hex()[:8]}.{extension}"]


def _ms(at_ns: int | None) -> int:
    return (at_ns or 0) // 10**6


def _int(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
