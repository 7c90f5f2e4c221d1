"""Provide a tracking server like MLflow's, in memory, that fails on request.

It answers the requests of a push over HTTP like MLflow 3; ``tests/integrations`` has tests with the
real server. Unlike databases of MLflow, it keeps both copies of a metric that arrives twice.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


class TrackingServer:
    """Listens on 127.0.0.1 while it is entered.

    Attributes
    ----------
    url
        its address
    experiments, runs, artifacts
        what it received: names by id, runs by id, contents by path
    requests
        the method and the path of each request that arrived
    authorization
        this header of the last request
    spoil
        called with the number of each request, from 0, and its path: returns the fault, ``before``
        (the request is not carried out), ``after`` (it is, but not answered), or an answer to send
        instead: a status, headers and a text
    """

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.authorization: str | None = None
        self.artifact_root = "mlflow-artifacts:/"
        self.spoil: Callable[[int, str], Any] = lambda number, path: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> TrackingServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def only_run(self) -> dict[str, Any]:
        """Return the only run."""
        (run,) = self.runs.values()
        return run

    def points(self) -> list[tuple[str, str, int, Any]]:
        """Return the trial, the name, the step and the value of every metric, in order."""
        return [
            (run["tags"]["track.uid"], metric["key"], metric["step"], metric["value"])
            for run in self.runs.values()
            for metric in run["metrics"]
        ]

    # Requests

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        """Carry out a request; return the status and the answer."""
        call, _, rest = path.removeprefix("/api/2.0/").partition("/artifacts/")
        if method == "PUT" and call == "mlflow-artifacts":
            self.artifacts[unquote(rest)] = body
            return 200, {}
        said = json.loads(body) if body else query
        known = {
            "mlflow/experiments/get-by-name": self._experiment,
            "mlflow/experiments/create": self._create_experiment,
            "mlflow/runs/search": self._search,
            "mlflow/runs/create": self._create_run,
            "mlflow/runs/get": lambda said: (200, {"run": self._shown(said["run_id"])}),
            "mlflow/runs/log-batch": self._log_batch,
            "mlflow/runs/update": self._update,
        }
        return known[call](said)

    def _experiment(self, said: Any) -> Any:
        for number, name in self.experiments.items():
            if name == said["experiment_name"]:
                return 200, {"experiment": {"experiment_id": number, "name": name}}
        return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "there is none"}

    def _create_experiment(self, said: Any) -> Any:
        if said["name"] in self.experiments.values():
            return 400, {"error_code": "RESOURCE_ALREADY_EXISTS", "message": "there is one"}
        number = str(len(self.experiments))
        self.experiments[number] = said["name"]
        return 200, {"experiment_id": number}

    def _search(self, said: Any) -> Any:
        wanted = said["filter"].split(" = ")[1][1:-1]
        found = [
            self._shown(run_id)
            for run_id, run in self.runs.items()
            if run["tags"]["track.uid"] == wanted and run["experiment"] in said["experiment_ids"]
        ]
        return 200, {"runs": found} if found else {}

    def _create_run(self, said: Any) -> Any:
        run_id = f"run{len(self.runs)}"
        self.runs[run_id] = {
            "experiment": said["experiment_id"],
            "name": said.get("run_name"),
            "start_time": said["start_time"],
            "status": "RUNNING",
            "end_time": None,
            "tags": {tag["key"]: tag["value"] for tag in said["tags"]},
            "params": {},
            "metrics": [],
        }
        return 200, {"run": self._shown(run_id)}

    def _shown(self, run_id: str) -> Any:
        run = self.runs[run_id]
        info = {
            "run_id": run_id,
            "status": run["status"],
            "end_time": run["end_time"],
            "artifact_uri": f"{self.artifact_root}{run['experiment']}/{run_id}/artifacts",
        }
        listed = {
            kind: [{"key": key, "value": value} for key, value in run[kind].items()]
            for kind in ("tags", "params")
        }
        return {"info": info, "data": listed}

    def _log_batch(self, said: Any) -> Any:
        run = self.runs[said["run_id"]]
        for param in said.get("params", []):
            if run["params"].get(param["key"], param["value"]) != param["value"]:
                return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "it changed"}
        assert len(said.get("metrics", [])) <= 1000
        assert len(said.get("params", [])) <= 100
        assert len(said.get("tags", [])) <= 100
        run["metrics"] += said.get("metrics", [])
        run["params"] |= {param["key"]: param["value"] for param in said.get("params", [])}
        run["tags"] |= {tag["key"]: tag["value"] for tag in said.get("tags", [])}
        return 200, {}

    def _update(self, said: Any) -> Any:
        run = self.runs[said["run_id"]]
        run["status"], run["end_time"] = said["status"], said.get("end_time", run["end_time"])
        return 200, {}


def _handler_of(server: TrackingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            number = len(server.requests)
            server.requests.append((self.command, url.path))
            server.authorization = self.headers.get("Authorization")
            spoiled = server.spoil(number, url.path)
            if spoiled == "before":
                self.close_connection = True
                return
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            if isinstance(spoiled, tuple):
                status, headers, text = spoiled
            else:
                status, said = server.answer(self.command, url.path, query, body)
                headers, text = {}, json.dumps(said)
            if spoiled == "after":
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - as the base class calls them

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler
