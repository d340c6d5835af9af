"""Downloads from a server on this machine: ranges, lost connections, other files, wrong ones, unsafe ones."""

import argparse
import dataclasses
import hashlib
import http.server
import io
import json
import multiprocessing
import os
import re
import resource
import socket
import tarfile
import threading
import time
import zipfile

import numpy as np
import pytest

from speechbrain_tasnet.commands import download as command
from speechbrain_tasnet.errors import DiskError, InputError, one_line_errors
from speechbrain_tasnet.generate import download as downloading
from speechbrain_tasnet.generate.download import download
from speechbrain_tasnet.generate.download_table import SOURCES, find_source
from speechbrain_tasnet.generate.unpack import Limits, unpack


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve `server.files`, in part where asked to, the way `server` says."""

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers["Range"])
        content = server.files.get(self.path.strip("/"))
        if content is None:
            self.send_error(404)
            return
        start = int(re.match(r"bytes=(\d+)-$", self.headers["Range"] or "bytes=0-")[1])
        condition = self.headers["If-Range"]
        same = condition in (None, server.tag, server.modified) and not (condition or "").startswith("W/")
        if not server.ranges or (server.conditions and not same):
            start = 0
        if start and start >= len(content):
            self.send_error(416)
            return
        server.answered.append(206 if start else 200)
        self.send_response(server.answered[-1])
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.tag:
            self.send_header("ETag", server.tag)
        if server.modified:
            self.send_header("Last-Modified", server.modified)
        if server.told_length != 0:
            self.send_header("Content-Length", (server.told_length or len(content)) - start)
        self.end_headers()
        content = content[start:]
        if server.stop_after is not None:
            self.wfile.write(content[: server.stop_after])
            self.wfile.flush()
            server.go_on.wait(60)
            return
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """A server with its wits about it, unless a test takes them away."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.answered = {}, [], []
        self.ranges = self.conditions = True
        self.tag, self.modified, self.stop_after = '"one"', None, None
        self.go_on = threading.Event()
        self.told_length = None  # other than the truth

    def handle_error(self, *_):
        pass  # a client that was killed

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


def noise(seed, size=2_000_000):
    return np.random.default_rng(seed).bytes(size)


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files, *more):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in more:
            archive.addfile(member)
    return stream.getvalue()


MINI = {"MiniLibriMix/train/s1/a.wav": noise(0), "MiniLibriMix/val/s1/b.wav": noise(1, 100), "__MACOSX/._x": b"x"}
LIBRISPEECH = {"LibriSpeech/dev-clean/84/1/84-1-0.flac": noise(2, 5000), "LibriSpeech/SPEAKERS.TXT": b"84 | F"}


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def unpacked(files):
    return {name: content for name, content in files.items() if not name.startswith("__")}


def vouch(monkeypatch, name, archive, kind="sha256"):
    """Let the table hold the checksum of a test's archive."""
    checksum = f"{kind}:{hashlib.new(kind, archive).hexdigest()}"
    monkeypatch.setitem(SOURCES, name, dataclasses.replace(SOURCES[name], checksum=checksum))


def refused(address, tmp_path, *words, name="minilibrimix"):
    """Check for an error of one line that holds all the words, and that nothing is left behind."""
    with pytest.raises(InputError) as caught:
        download(name, tmp_path / "data", mirror=address)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_zip_archive(server, tmp_path):
    server.files["MiniLibriMix.zip"] = zipped(MINI)
    assert download("minilibrimix", tmp_path, mirror=server.address) == tmp_path / "MiniLibriMix"
    assert contents(tmp_path) == unpacked(MINI)
    assert server.asked == [None]


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_tar_archive_with_files_beside_its_folder(server, tmp_path, monkeypatch, kind):
    server.files["dev-clean.tar.gz"] = tarred(LIBRISPEECH)
    vouch(monkeypatch, "dev-clean", server.files["dev-clean.tar.gz"], kind)
    download("dev-clean", tmp_path, mirror=server.address + "/")
    expected = within("dev-clean", LIBRISPEECH)
    assert contents(tmp_path) == expected
    # Another part goes beside the first.
    other = {name.replace("dev", "test"): content for name, content in LIBRISPEECH.items()}
    server.files = {"test-clean.tar.gz": tarred(other)}
    vouch(monkeypatch, "test-clean", server.files["test-clean.tar.gz"])
    download("test-clean", tmp_path, mirror=server.address)
    assert contents(tmp_path) == expected | within("test-clean", other)


def within(part, files):
    """Name what lies beside a part of LibriSpeech as if it lay in it."""
    return {name.replace("LibriSpeech/S", f"LibriSpeech/{part}/S"): content for name, content in files.items()}


def test_nothing_that_is_there_is_replaced(server, tmp_path):
    (tmp_path / ".bashrc").write_text("mine")
    (tmp_path / "MiniLibriMix.zip").write_text("mine")
    files = MINI | {".bashrc": b"evil", "a.wav": b"beside", "MiniLibriMix/a.wav": b"within"}
    server.files["MiniLibriMix.zip"] = zipped(files)
    with pytest.raises(InputError, match=r"MiniLibriMix\.zip: already exists"):
        download("minilibrimix", tmp_path, mirror=server.address, keep=True)
    download("minilibrimix", tmp_path, mirror=server.address)
    found = contents(tmp_path)
    assert found[".bashrc"] == found["MiniLibriMix.zip"] == b"mine"
    assert found["MiniLibriMix/.bashrc"] == b"evil"
    assert found["MiniLibriMix/a.wav"] == b"within"


@pytest.mark.parametrize("name", [".options.json", ".MiniLibriMix.zip", ".MiniLibriMix.zip.json", ".unpacked/a"])
def test_names_of_our_own_files_are_refused(server, tmp_path, name):
    server.files["MiniLibriMix.zip"] = zipped(MINI | {f"MiniLibriMix/{name}": b"evil"})
    refused(server.address, tmp_path, "unsafe archive", repr(name.partition("/")[0]))


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path):
    archive = tmp_path / "bomb.zip"
    archive.write_bytes(zipped({"MiniLibriMix/a.wav": bytes(5_000_000), "MiniLibriMix/b.wav": b"b"}))
    words = [(Limits(free=10**6), "bytes unpack to more than 1000000"), (Limits(files=1), "more than 1 files")]
    words += [(Limits(size=10**5), "bytes unpack to more than 100000")]
    for limits, reason in words:
        with pytest.raises(InputError, match=f"unsafe archive.*{reason}"):
            unpack(archive, "MiniLibriMix", tmp_path / "out", limits=limits)
        assert sum(map(len, contents(tmp_path / "out").values())) in (0, 5_000_000 if limits.files == 1 else 0)
    unpack(archive, "MiniLibriMix", tmp_path / "out")
    assert {name: len(content) for name, content in contents(tmp_path / "out").items()} == {
        "a.wav": 5_000_000,
        "b.wav": 1,
    }


@pytest.mark.parametrize("known", [True, False])
def test_a_body_without_end_is_refused(server, tmp_path, monkeypatch, known):
    server.files["MiniLibriMix.zip"] = zipped(MINI)
    server.told_length = 0  # what it says of itself: nothing
    monkeypatch.setattr(downloading, "LARGEST", 10**9 if known else 1_000_000)
    monkeypatch.setitem(
        SOURCES, "minilibrimix", dataclasses.replace(SOURCES["minilibrimix"], size=1_000_000 if known else None)
    )
    refused(server.address, tmp_path, "sends more than 1000000 bytes", "--mirror")


def test_a_larger_file_than_the_table_has_is_refused(server, tmp_path, monkeypatch):
    server.files["MiniLibriMix.zip"] = zipped(MINI)
    monkeypatch.setitem(SOURCES, "minilibrimix", dataclasses.replace(SOURCES["minilibrimix"], size=1000))
    refused(server.address, tmp_path, f"has {len(zipped(MINI))} bytes where 1000 are expected", "--mirror")


def test_what_a_server_says_does_not_steer_the_terminal(server, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "responses", {404: ("Gone \x1b[2J\x07", "")})
    refused(server.address, tmp_path, r"answered 404 Gone \x1b[2J\x07;")


def circle():
    """A tar whose two links name each other."""
    links = [tarfile.TarInfo(f"MiniLibriMix/{name}") for name in "ab"]
    for link, other in zip(links, "ba", strict=True):
        link.type, link.linkname = tarfile.SYMTYPE, other
    return tarred({}, *links)


def with_nul():
    member = tarfile.TarInfo("short")
    member.pax_headers = {"path": "MiniLibriMix/a\0b.wav"}
    return tarred({}, member)


def changed_zip(flag=0, method=8):
    """A zip whose file says that it is encrypted, or packed in another way."""
    data = bytearray(zipped({"MiniLibriMix/a.wav": b"a" * 100}))
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.index(signature) + place
        data[start : start + 4] = bytes([flag, 0, method, 0])
    return bytes(data)


def squeezed(kind, damage):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{kind}") as archive:
        member = tarfile.TarInfo("MiniLibriMix/a.wav")
        member.size = 500_000
        archive.addfile(member, io.BytesIO(noise(5, member.size)))
    data = stream.getvalue()
    return data[: len(data) // 2] + damage + data[len(data) // 2 + len(damage) :]


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (circle(), ["damaged"]),
        (with_nul(), ["archive", r"a\x00b.wav"]),
        (changed_zip(flag=1), ["damaged", "encrypted"]),
        (changed_zip(method=97), ["damaged", "compression"]),
        (squeezed("bz2", bytes(1000)), ["damaged"]),
        (squeezed("xz", bytes(1000)), ["damaged"]),
        (tarred({"MiniLibriMix/a": b"a", "MiniLibriMix/a/b": b"b"}), ["damaged"]),
        (tarred({"MiniLibriMix/../\x1b[2J": b""}), [r"\x1b[2J"]),
    ],
    ids=["circle", "nul", "encrypted", "method", "bz2", "xz", "file-as-folder", "escape"],
)
def test_odd_archives_are_refused_in_one_line(server, tmp_path, archive, words):
    server.files["MiniLibriMix.zip"] = archive
    refused(server.address, tmp_path, "MiniLibriMix.zip: ", *words)


def test_the_archive_is_kept_on_demand(server, tmp_path):
    server.files["MiniLibriMix.zip"] = zipped(MINI)
    download("minilibrimix", tmp_path, mirror=server.address, keep=True)
    assert contents(tmp_path) == unpacked(MINI) | server.files


def test_what_is_there_is_kept(server, tmp_path):
    (tmp_path / "MiniLibriMix").mkdir()
    (tmp_path / "MiniLibriMix/precious").write_text("mine")
    with pytest.raises(InputError, match="already holds"):
        download("minilibrimix", tmp_path, mirror=server.address)
    assert contents(tmp_path) == {"MiniLibriMix/precious": b"mine"}
    assert server.asked == []


def begin(server, tmp_path, size=2**20):
    """Begin a download in another process, kill it when it has about half, and return how much it has."""
    server.files["MiniLibriMix.zip"] = zipped(MINI)
    server.stop_after = size + 1000
    # Forked, it has nothing to import.
    process = multiprocessing.get_context("fork").Process(
        target=download, args=("minilibrimix", tmp_path, server.address)
    )
    process.start()
    partial = tmp_path / ".MiniLibriMix.partial/.MiniLibriMix.zip"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size >= size):
        assert process.is_alive()
        assert time.monotonic() < deadline
        os.sched_yield()
    process.kill()
    process.join()
    server.go_on.set()
    server.stop_after = None
    assert not (tmp_path / "MiniLibriMix").exists()
    return partial.stat().st_size


@pytest.mark.parametrize("modified", ["Mon, 06 Jul 2015 03:05:00 GMT", None])
@pytest.mark.parametrize("tag", ['"one"', 'W/"weak"', None])
def test_a_killed_download_is_continued(server, tmp_path, tag, modified):
    server.tag, server.modified = tag, modified
    have = begin(server, tmp_path)
    download("minilibrimix", tmp_path, mirror=server.address)
    assert server.asked == [None, f"bytes={have}-"]
    assert server.answered == [200, 206]
    assert contents(tmp_path) == unpacked(MINI)


def test_a_server_without_ranges_begins_again(server, tmp_path):
    begin(server, tmp_path)
    server.ranges = False
    download("minilibrimix", tmp_path, mirror=server.address)
    assert contents(tmp_path) == unpacked(MINI)


@pytest.mark.parametrize("conditions", [True, False])
@pytest.mark.parametrize("size", [2_500_000, 300_000])
def test_a_file_that_has_changed_begins_again(server, tmp_path, conditions, size):
    have = begin(server, tmp_path)
    server.conditions, server.tag = conditions, '"two"'
    changed = {"MiniLibriMix/train/s1/a.wav": noise(3, size)}
    server.files["MiniLibriMix.zip"] = zipped(changed)
    download("minilibrimix", tmp_path, mirror=server.address)
    assert server.asked[1:] == [f"bytes={have}-"] + [None] * (not conditions)
    assert contents(tmp_path) == changed


def test_a_lost_connection_is_told_and_the_download_continued(server, tmp_path):
    server.files["MiniLibriMix.zip"] = zipped(MINI)
    server.stop_after = 700_000
    server.go_on.set()
    with pytest.raises(DiskError, match="after 700000 of"):
        download("minilibrimix", tmp_path, mirror=server.address)
    assert [path.name for path in tmp_path.iterdir()] == [".MiniLibriMix.partial"]
    server.stop_after = None
    download("minilibrimix", tmp_path, mirror=server.address)
    assert server.asked == [None, "bytes=700000-"]
    assert contents(tmp_path) == unpacked(MINI)


def test_a_server_that_is_gone_costs_nothing_that_is_there(server, tmp_path):
    have = begin(server, tmp_path)
    with pytest.raises(InputError, match="cannot be reached"):
        download("minilibrimix", tmp_path, mirror=f"http://127.0.0.1:{closed_port()}")
    download("minilibrimix", tmp_path, mirror=server.address)
    assert server.asked == [None, f"bytes={have}-"]
    assert contents(tmp_path) == unpacked(MINI)


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def limited(limit, *arguments):
    """Download on a disk that takes no file larger than the limit; report as the command line does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    with one_line_errors("tasnet"):
        download(*arguments)


@pytest.mark.parametrize(("where", "limit"), [("download", 1_000_000), ("unpacking", 3_000_000)])
def test_a_full_disk(server, tmp_path, capfd, where, limit):
    files = MINI | {"MiniLibriMix/zeros.wav": bytes(4_000_000)}
    server.files["MiniLibriMix.zip"] = zipped(files)
    arguments = (limit, "minilibrimix", tmp_path, server.address)
    process = multiprocessing.get_context("fork").Process(target=limited, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 2
    assert re.fullmatch(r"tasnet: error: .*cannot be written.*disk space\n", capfd.readouterr().err)
    download("minilibrimix", tmp_path, mirror=server.address)
    assert len(server.asked) == (2 if where == "download" else 1)
    assert contents(tmp_path) == unpacked(files)


def test_a_file_larger_than_the_disk_is_refused(server, tmp_path):
    server.files["MiniLibriMix.zip"] = zipped(MINI)
    server.told_length = 10**18
    refused(server.address, tmp_path, "1000000000.00 GB to download", "free")


def test_a_file_that_the_server_does_not_have_is_refused(server, tmp_path):
    refused(server.address, tmp_path, f"{server.address}/MiniLibriMix.zip: the server answered 404", "--mirror")


def test_a_server_that_cannot_be_reached_is_refused(tmp_path):
    refused(f"http://127.0.0.1:{closed_port()}", tmp_path, "cannot be reached", "network")
    refused("http://[", tmp_path, "cannot be reached", "--mirror")


@pytest.mark.parametrize("address", ["ftp://there", "there", "/there"])
def test_a_mirror_that_is_no_web_address_is_refused(tmp_path, address):
    refused(address, tmp_path, f"--mirror {address}", "http://")


def test_an_unknown_name_tells_the_known_ones(server, tmp_path):
    refused(server.address, tmp_path, "wsj0: cannot be downloaded", *SOURCES, name="wsj0")


def test_a_wrong_checksum_is_refused(server, tmp_path):
    server.files["dev-clean.tar.gz"] = tarred(LIBRISPEECH)
    refused(server.address, tmp_path, "wrong checksum", "76f87d09", "was removed", name="dev-clean")


def test_a_wrong_checksum_after_an_interruption_begins_anew(server, tmp_path, monkeypatch):
    right = zipped(MINI)
    begin(server, tmp_path)
    vouch(monkeypatch, "minilibrimix", right)
    server.files["MiniLibriMix.zip"] = right[:-1] + b"x"
    with pytest.raises(InputError, match="wrong checksum"):
        download("minilibrimix", tmp_path, mirror=server.address)
    server.files["MiniLibriMix.zip"] = right
    download("minilibrimix", tmp_path, mirror=server.address)
    assert server.asked[2:] == [None]
    assert contents(tmp_path) == unpacked(MINI)


UNSAFE = {"MiniLibriMix/a.wav": b"a", "MiniLibriMix/../../evil": b"evil"}
# To Windows.
BACKSLASHES = {"MiniLibriMix/a.wav": b"a", r"MiniLibriMix/..\..\evil": b"evil"}
DRIVE = {"MiniLibriMix/a.wav": b"a", "MiniLibriMix/C:/evil": b"evil"}


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (b"<html>Please log in</html>", ["not an archive"]),
        (b"", ["not an archive"]),
        (zipped(MINI)[:-1000], ["not an archive"]),
        (tarred(MINI)[:-1000], ["damaged"]),
        (zipped(MINI).replace(MINI["MiniLibriMix/val/s1/b.wav"], bytes(100)), ["damaged"]),
        (zipped({"Other/a.wav": b"a"}), ["no folder MiniLibriMix"]),
        (zipped(UNSAFE), ["unsafe", "'MiniLibriMix/../../evil'"]),
        (tarred(UNSAFE), ["unsafe", "'MiniLibriMix/../../evil'"]),
        (tarred({"/MiniLibriMix/a.wav": b"a"}), ["unsafe", "'/MiniLibriMix/a.wav'"]),
        (tarred(BACKSLASHES), ["unsafe", "evil"]),
        (zipped(DRIVE), ["unsafe", "'MiniLibriMix/C:/evil'"]),
    ],
)
def test_archives_that_are_none_or_broken_or_unsafe_are_refused(server, tmp_path, archive, words):
    server.files["MiniLibriMix.zip"] = archive
    refused(server.address, tmp_path, "MiniLibriMix.zip: ", *words)


def test_links_become_copies_and_never_lead_out(server, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    inside, outside = tarfile.TarInfo("MiniLibriMix/copy.wav"), tarfile.TarInfo("MiniLibriMix/out")
    inside.type, inside.linkname = tarfile.SYMTYPE, "a.wav"
    server.files["MiniLibriMix.zip"] = tarred({"MiniLibriMix/a.wav": b"a"}, inside)
    download("minilibrimix", tmp_path / "in", mirror=server.address)
    assert contents(tmp_path / "in") == {"MiniLibriMix/a.wav": b"a", "MiniLibriMix/copy.wav": b"a"}
    assert not (tmp_path / "in/MiniLibriMix/copy.wav").is_symlink()
    outside.type, outside.linkname = tarfile.SYMTYPE, str(secret)
    server.files["MiniLibriMix.zip"] = tarred({"MiniLibriMix/a.wav": b"a"}, outside)
    with pytest.raises(InputError, match="damaged"):
        download("minilibrimix", tmp_path / "out", mirror=server.address)
    assert not (tmp_path / "out").exists()


def run(*words):
    parser = argparse.ArgumentParser()
    command.describe(parser)
    command.run(parser.parse_args([str(word) for word in words]))


def test_the_command_tells_folder_licence_and_check(server, tmp_path, monkeypatch, capsys):
    server.files["MiniLibriMix.zip"] = zipped(MINI)
    run("minilibrimix", "--out", tmp_path, "--mirror", server.address, "--keep")
    assert (tmp_path / "MiniLibriMix.zip").exists()
    told = capsys.readouterr().out
    assert str(tmp_path / "MiniLibriMix") in told
    assert "CC BY-NC 4.0" in told
    assert "no published checksum" in told
    server.files = {"dev-clean.tar.gz": tarred(LIBRISPEECH)}
    vouch(monkeypatch, "dev-clean", server.files["dev-clean.tar.gz"])
    run("dev-clean", "--out", tmp_path, "--mirror", server.address)
    assert "checksum verified" in capsys.readouterr().out


def test_the_list_tells_every_archive(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--list")
    assert stop.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(SOURCES)
    for line, (name, source) in zip(lines[1:], SOURCES.items(), strict=True):
        assert line.startswith(f"{name} ")
        assert line.endswith(source.address())
        assert source.licence in line


def test_the_table_is_sound():
    for name, source in SOURCES.items():
        assert find_source(name) is source
        assert source.address().startswith("https://")
        assert source.archive.endswith((".tar.gz", ".zip"))
        digits = {"sha256": 64, "md5": 32}
        kind, _, checksum = (source.checksum or "sha256:" + 64 * "0").partition(":")
        assert re.fullmatch(r"[0-9a-f]+", checksum)
        assert len(checksum) == digits[kind]
    checksums = [source.checksum for source in SOURCES.values() if source.checksum]
    assert len(set(checksums)) == len(checksums)


def test_notes_hold_what_the_server_told(server, tmp_path):
    begin(server, tmp_path)
    note = json.loads((tmp_path / ".MiniLibriMix.partial/.MiniLibriMix.zip.json").read_text())
    assert note == {"etag": '"one"', "modified": None, "size": len(server.files["MiniLibriMix.zip"])}
