"""A stand-in for the Hugging Face hub: as much of its HTTP interface as huggingface_hub's client calls here."""

import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import huggingface_hub
import yaml

TOKEN = "hf_stand_in"
ROUTES: list[tuple[str, re.Pattern, str]] = []


def route(method: str, pattern: str):
    """Let a method of the handler answer a path, whose named parts it is given."""

    def add(function):
        ROUTES.append((method, re.compile(pattern), function.__name__))
        return function

    return add


class Repository:
    """Commits, each with all its files as bytes, and the branches and tags that name them."""

    def __init__(self, private: bool = False, gated: bool = False, closed: bool = False):
        self.private, self.gated, self.closed = private, gated, closed
        self.commits, self.names = {}, {}
        self.commit("main", {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        content = self.files(branch) | files if branch in self.names else files
        sha = hashlib.sha1(repr((len(self.commits), sorted(content.items()))).encode()).hexdigest()
        self.commits[sha], self.names[branch] = content, sha
        return sha

    def files(self, revision: str) -> dict[str, bytes]:
        return self.commits[self.names.get(revision, revision)]


class Hub(ThreadingHTTPServer):
    """The server and what it holds: repositories, large files by checksum, and every request that came."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def storage(self) -> str:
        """Where large files lie: another host, as the hub's are."""
        return f"http://localhost:{self.server_address[1]}/storage"

    def asked(self, word: str) -> list[str]:
        return [request for request in self.requests if word in request]


@contextmanager
def serve() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


def everywhere(monkeypatch, name, value):
    """Change a constant of huggingface_hub, whose older versions keep copies in many modules."""
    for module in [module for key, module in sys.modules.items() if key.startswith("huggingface_hub")]:
        if name in vars(module):
            monkeypatch.setattr(module, name, value)


def connect(monkeypatch, url):
    """Take another address for that of the hub, as HF_ENDPOINT does at the start."""
    everywhere(monkeypatch, "ENDPOINT", url)
    everywhere(monkeypatch, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


def set_offline(monkeypatch, value):
    """Forbid the network, or allow it; older versions ask once for all their connections."""
    everywhere(monkeypatch, "HF_HUB_OFFLINE", value)
    if forget := getattr(huggingface_hub.utils, "reset_sessions", None):
        forget()


class RefusedError(Exception):
    """An answer that is no success, and the headers by which the client tells what it means."""

    def __init__(self, status: int, code: str = "", message: str = "", body: object = None):
        super().__init__(message)
        self.status, self.body = status, body if body is not None else {"error": message or code}
        self.headers = {"X-Error-Code": code} if code else {}
        self.headers |= {"X-Error-Message": message} if message else {}


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(self.path.partition("?")[0])
        self.server.requests.append(f"{self.command} {path}")
        try:
            for method, pattern, name in ROUTES:
                if method in (self.command, "ANY") and (found := pattern.fullmatch(path)):
                    return getattr(self, name)(body, **found.groupdict())
            raise RefusedError(404, message=f"the stand-in has no {self.command} {path}")
        except RefusedError as refused:
            self.answer(refused.status, refused.body, refused.headers)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815 - as http.server calls them

    def answer(self, status: int, body: object = b"", headers: dict | None = None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def repository(self, name: str) -> Repository:
        repository = self.server.repositories.get(name)
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repository is None or (repository.private and not known):
            raise RefusedError(404 if known else 401, "RepoNotFound", "Repository not found")
        if repository.closed:
            raise RefusedError(403, message="This repository has been closed")
        if repository.gated:
            raise RefusedError(403, "GatedRepo", "Access to it is restricted")
        return repository

    def writable(self, name: str) -> Repository:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise RefusedError(401, message="Invalid username or password.")
        if name.startswith("somebody/"):
            raise RefusedError(403, message="You don't have the rights to create a model under the namespace")
        return self.repository(name)

    # ------------------------------------------------------------------------------------------- writing

    @route("POST", "/api/repos/create")
    def create(self, body):
        wanted = json.loads(body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if name not in self.server.repositories:
            private = wanted.get("visibility") == "private" or wanted.get("private", False)
            self.server.repositories[name] = Repository(private)
            try:
                self.writable(name)
            except RefusedError:
                del self.server.repositories[name]
                raise
            return self.answer(200, {"url": f"{self.server.url}/{name}"})
        self.writable(name)
        raise RefusedError(
            409, body={"error": "You already created this model repo", "url": f"{self.server.url}/{name}"}
        )

    @route("POST", r"/api/models/(?P<name>[^/]+/[^/]+)/branch/(?P<branch>.+)")
    def branch(self, body, name, branch):
        repository = self.writable(name)
        if branch in repository.names:
            raise RefusedError(409, body={"error": "Reference already exists"})
        repository.names[branch] = repository.names["main"]
        return self.answer(200, {})

    @route("POST", "/api/validate-yaml")
    def validate(self, body):
        content = json.loads(body)["content"]
        front = yaml.safe_load(content.split("---")[1])
        errors = []
        if front.get("license") not in (None, "apache-2.0", "cc-by-4.0", "mit"):
            errors.append({"message": f'"license" must be one of the known ones, not {front["license"]}'})
        for model in front.get("model-index", ()):
            for result in model["results"]:
                if not {"task", "dataset", "metrics"} <= set(result) or not result["dataset"].get("type"):
                    errors.append({"message": '"model-index" lacks a task, a dataset or its metrics'})
        return self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    @route("POST", r"/api/models/(?P<name>[^/]+/[^/]+)/preupload/(?P<revision>.+)")
    def preupload(self, body, name, revision):
        self.writable(name).files(revision)
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith((".safetensors", ".flac")) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        return self.answer(200, {"files": files})

    @route("POST", r"/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch")
    def batch(self, body, name):
        self.writable(name)
        objects = [
            wanted | {"actions": {"upload": {"href": f"{self.server.storage}/{wanted['oid']}"}}}
            for wanted in json.loads(body)["objects"]
        ]
        return self.answer(200, {"transfer": "basic", "objects": objects})

    @route("PUT", "/storage/(?P<oid>.+)")
    def store(self, body, oid):
        if hashlib.sha256(body).hexdigest() != oid:
            raise RefusedError(400, message="not what its checksum says")
        self.server.large[oid] = body
        return self.answer(200)

    @route("POST", r"/api/models/(?P<name>[^/]+/[^/]+)/commit/(?P<revision>.+)")
    def commit(self, body, name, revision):
        files = {}
        for line in body.decode().splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
        sha = self.writable(name).commit(revision, files)
        url = f"{self.server.url}/{name}/commit/{sha}"
        return self.answer(200, {"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})

    # ------------------------------------------------------------------------------------------- reading

    @route("GET", r"/api/models/(?P<name>[^/]+/[^/]+?)(/revision/(?P<revision>.+))?")
    def info(self, body, name, revision=None):
        repository = self.repository(name)
        sha = self.sha(repository, revision or "main")
        siblings = [{"rfilename": path} for path in repository.files(sha)]
        facts = {"id": name, "modelId": name, "sha": sha, "private": repository.private, "siblings": siblings}
        return self.answer(200, facts)

    @route("ANY", "/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
    def resolve(self, body, name, revision, path):
        repository = self.repository(name)
        sha = self.sha(repository, revision)
        files = repository.files(sha)
        if path not in files:
            raise RefusedError(404, "EntryNotFound", "Entry not found")
        content, headers = files[path], {"X-Repo-Commit": sha}
        oid = hashlib.sha256(content).hexdigest()
        if oid in self.server.large:
            headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content)), "ETag": f'"{oid[:32]}"'}
            return self.answer(302, b"", headers | {"Location": f"{self.server.storage}/{oid}"})
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return self.answer(200, content, headers | {"ETag": f'"{blob}"'})

    @route("ANY", "/storage/(?P<oid>.+)")
    def fetch(self, body, oid):
        return self.answer(200, self.server.large[oid], {"ETag": f'"{oid}"'})

    def sha(self, repository: Repository, revision: str) -> str:
        sha = repository.names.get(revision, revision)
        if sha not in repository.commits:
            raise RefusedError(404, "RevisionNotFound", "Invalid rev id")
        return sha
