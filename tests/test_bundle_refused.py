"""Bundles that are damaged, wrong or malicious: one line each, at once and in little memory."""

import hashlib
import json
import os
import pickle
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import safetensors.torch
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.audio.reading import open_audio
from speechbrain_tasnet.bundle import load_bundle, save_bundle
from speechbrain_tasnet.convert.checkpoint import open_checkpoint
from speechbrain_tasnet.errors import InputError


@pytest.fixture
def folder(tmp_path):
    net = MaskNet(16, 8, 16, 8, X=2, R=1, C=2)
    save_bundle(tmp_path / "bundle", {"encoder": Encoder(16, 8), "masknet": net, "decoder": Decoder(16, 8)}, 8000)
    return tmp_path / "bundle"


def refused(folder) -> str:
    """Load what must be refused; returns its one line."""
    with pytest.raises(InputError) as caught:
        load_bundle(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def refused_cheaply(folder) -> str:
    """Do the same in a process that has little memory and time."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, -1))
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 10, -1))
        signal.alarm(60)  # for what waits without working
        try:
            os.write(sink, refused(folder).encode())
        except BaseException as error:
            os.write(sink, f"not refused: {error!r}"[:1000].encode())
        os._exit(0)
    os.close(sink)
    with open(source, encoding="utf-8") as file:
        message = file.read()
    assert os.waitpid(pid, 0)[1] == 0
    return message


def tensors_of(folder):
    data = (folder / "model.safetensors").read_bytes()
    return safetensors.torch.load(data)


def write_tensors(folder, tensors, identity=None):
    """Write other weights, with the checksum that fits them: what somebody would do on purpose."""
    config = json.loads((folder / "config.json").read_text())
    if identity is None:
        identity = json.dumps({name: config[name] for name in ("sample_rate", "modules")}, sort_keys=True)
    write_weights(folder, safetensors.torch.save(tensors, {"identity": identity}))


def write_weights(folder, data: bytes):
    (folder / "model.safetensors").write_bytes(data)
    edit(folder, lambda config: config.update(sha256=hashlib.sha256(data).hexdigest()))


def edit(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


# ---------------------------------------------------------------------------------------------------- weights


def test_it_is_loaded_as_long_as_nothing_is_wrong(folder):
    write_tensors(folder, tensors_of(folder))
    assert load_bundle(folder).config.num_spks == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("masknet.mask.bias"), r"has no tensor 'masknet.mask.bias'"),
        (lambda t: t.update({"extra": torch.zeros(1)}), "has the unknown tensor 'extra'"),
        (
            lambda t: t.update({"masknet.mask.bias": torch.zeros(31)}),
            "of shape [31]: the configuration makes it [32]",
        ),
        (lambda t: t.update({"masknet.mask.bias": torch.zeros(32).double()}), "'masknet.mask.bias' as 'F64'"),
        (lambda t: t.update({"masknet.mask.bias": torch.zeros(32).long()}), "as 'I64': config.json says F32"),
        (lambda t: t.update({"masknet.mask.bias": torch.full((32,), torch.nan)}), "NaN or infinite weights"),
        (lambda t: t.update({"masknet.mask.bias": torch.full((32,), -torch.inf)}), "NaN or infinite weights"),
    ],
)
def test_other_weights(folder, change, message):
    tensors = tensors_of(folder)
    change(tensors)
    write_tensors(folder, tensors)
    assert message in refused(folder)


def test_a_pointer_of_git_lfs(folder):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 12345\n"
    (folder / "model.safetensors").write_text(text)
    assert (
        "model.safetensors: is a pointer of Git LFS, not the file itself; get that with `git lfs pull`"
        in refused(folder)
    )
    for name in ("pytorch_model.bin", "model.safetensors"):  # other toolkits' checkpoints
        (folder / name).write_text(text)
        with pytest.raises(InputError, match=f"{name}: is a pointer of Git LFS"):
            open_checkpoint(folder / name)
    (folder / "mix.wav").write_text(text)
    with pytest.raises(InputError, match=r"mix\.wav: is a pointer of Git LFS"), open_audio(folder / "mix.wav"):
        pass


@pytest.mark.parametrize("place", [0, 7, 8, 9, 60, 200, 1000, -2000, -1])
def test_a_flipped_byte(folder, place):
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[place] ^= 0x10
    (folder / "model.safetensors").write_bytes(data)
    assert "model.safetensors: " in refused(folder)


def test_any_flipped_bit_of_the_configuration_that_matters(folder):
    """Each bit in turn: what still loads has the same network and the same rate."""
    expected = load_bundle(folder).config.identity
    data = (folder / "config.json").read_bytes()
    for place in range(0, len(data), 5):
        for bit in (0, 4):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            (folder / "config.json").write_bytes(changed)
            with suppress(InputError):
                assert load_bundle(folder).config.identity == expected


@pytest.mark.parametrize("size", [0, 3, 8, 500, -1])
def test_a_truncated_file(folder, size):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:size])
    assert "cut short" in refused(folder)


def test_something_behind_the_end(folder):
    write_weights(folder, (folder / "model.safetensors").read_bytes() + bytes(100))
    assert "are expected" in refused(folder)


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize("kind", ["pickle", "zip", "old torch"])
def test_a_pickle_in_disguise(folder, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open(folder / "model.safetensors", "wb") as file:
        if kind == "pickle":
            pickle.dump(Harm(), file)
        else:
            torch.save({"weights": Harm()}, file, _use_new_zipfile_serialization=kind == "zip")
    write_weights(folder, (folder / "model.safetensors").read_bytes())
    assert "is a pickle, not safetensors" in refused(folder)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{",
        b'{"encoder.weight": 1}',
        b"{" * 10000,
        b'{"a": {}, "a": {}}',
        b'{"encoder.weight": {"dtype": "F32", "shape": [16, 1, 8], "data_offsets": [0, 1e99]}}',
    ],
)
def test_headers_that_are_none(folder, header):
    write_weights(folder, len(header).to_bytes(8, "little") + header)
    assert "model.safetensors: " in refused_cheaply(folder)


def test_tensors_that_overlap(folder):
    data = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["decoder.weight"]["data_offsets"] = header["encoder.weight"]["data_offsets"]
    text = json.dumps(header).encode()
    write_weights(folder, len(text).to_bytes(8, "little") + text + data[8 + length :])
    assert "is not a safetensors file" in refused(folder)


def test_a_header_of_a_gigabyte(folder):
    with open(folder / "model.safetensors", "wb") as file:
        file.write((2**30).to_bytes(8, "little"))
        file.truncate(2**31)
    assert "its header would take" in refused_cheaply(folder)


def test_weights_of_another_configuration(folder):
    write_tensors(folder, tensors_of(folder), identity="another")
    assert "belongs to another configuration" in refused(folder)
    edit(folder, lambda config: config["modules"]["masknet"].update(mask_activation="relu"))
    assert "belongs to another configuration" in refused(folder)


# ---------------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("sample_rate"), "has no 'sample_rate'"),
        (lambda c: c.update(surprise=1), "has the unknown key 'surprise'"),
        (lambda c: c.update(version=2), "made by a newer speechbrain_tasnet"),
        (lambda c: c.update(version="1"), "version='1': expected a whole number"),
        (lambda c: c.update(version=True), "version=True: expected a whole number"),
        (lambda c: c.update(format="other"), "the bundle of a separator"),
        (lambda c: c.update(sample_rate=True), "sample_rate=True"),
        (lambda c: c.update(sample_rate=8000.0), "sample_rate=8000.0"),
        (lambda c: c.update(sample_rate=-8000), "sample_rate=-8000"),
        (lambda c: c.update(num_spks=3), "num_spks=3: the mask network has C=2"),
        (lambda c: c.update(dtype=["float32"]), "dtype=['float32']"),
        (lambda c: c.update(sha256=None), "sha256=None"),
        (lambda c: c.update(modules=[]), "modules is list"),
        (lambda c: c.update(about="me"), "about is str"),
        (lambda c: c.update(about={"home": "/etc/passwd"}), "unknown key 'home'"),
        (lambda c: c["modules"].update(vocoder={}), "modules has the unknown key 'vocoder'"),
        (lambda c: c["modules"]["masknet"].update(dropout=0), "masknet has the unknown key 'dropout'"),
        (lambda c: c["modules"]["masknet"].pop("Sc"), "masknet has no 'Sc'"),
        (lambda c: c["modules"]["masknet"].update(X=True), "masknet has X=True: expected int"),
        (lambda c: c["modules"]["masknet"].update(causal=0), "masknet has causal=0: expected bool"),
        (lambda c: c["modules"]["masknet"].update(norm=None), "masknet has norm=None: expected str"),
        (lambda c: c["modules"]["masknet"].update(norm="__import__"), "norm='__import__'"),
        (lambda c: c["modules"]["masknet"].update(B=0), "B=0"),
        (lambda c: c["modules"]["encoder"].update(N=17), "N=17 in one module and 16 in another"),
        (lambda c: c["modules"]["decoder"].update(L=18), "L=8 in one module and 18 in another"),
        (lambda c: c["modules"]["encoder"].update(activation=3), "activation=3: expected str | None"),
        (lambda c: c["modules"]["masknet"].update(B="x" * 9000), "B='xxx"),
    ],
)
def test_wrong_configurations(folder, change, message):
    edit(folder, change)
    assert message in refused(folder)


@pytest.mark.parametrize("name", ["N", "B", "H", "Sc", "P", "X", "R", "C"])
@pytest.mark.parametrize("value", [1000, 10**9])
def test_a_billion_channels(folder, name, value):
    def change(config):
        for module in config["modules"].values():
            if name in module:
                module[name] = value
        config["num_spks"] = config["modules"]["masknet"]["C"]

    edit(folder, change)
    assert any(
        word in refused_cheaply(folder) for word in ("at most", "the configuration makes it", "has no tensor")
    )


def test_a_large_network_that_is_all_holes(folder):
    """A sparse file takes no room on disk, and would take all of the memory."""
    config = json.loads((folder / "config.json").read_text())
    for module in config["modules"].values():
        module["N"] = 2**20
    config["modules"]["masknet"] |= {"B": 2**10, "C": 2}
    net = {"N": 2**20, "B": 2**10, "H": 16, "Sc": 8, "X": 2, "R": 1, "C": 2}
    with torch.device("meta"):
        modules = {"encoder": Encoder(2**20, 8), "masknet": MaskNet(**net), "decoder": Decoder(2**20, 8)}
    header, offset = {}, 0
    for name, module in modules.items():
        for key, tensor in module.state_dict().items():
            end = offset + 4 * tensor.numel()
            header[f"{name}.{key}"] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, end]}
            offset = end
    identity = json.dumps({name: config[name] for name in ("sample_rate", "modules")}, sort_keys=True)
    text = json.dumps(header | {"__metadata__": {"identity": identity}}).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + offset)
    (folder / "config.json").write_text(json.dumps(config))
    assert "expected at most 1073741824" in refused_cheaply(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100000, "is not JSON"),
        (b"null", "expected the bundle"),
        (b'{"format": NaN}', "has NaN, which is not a number"),
        (b'{"version": ' + b"9" * 9000 + b"}", "is not JSON"),
        (b'{"version": 1, "version": 1}', "has the key 'version' twice"),
        (b"{" + b",".join(b'"%d": 1' % number for number in range(70000)) + b"}", "expected the bundle"),
    ],
)
def test_what_is_no_configuration(folder, text, message):
    (folder / "config.json").write_bytes(text)
    assert message in refused_cheaply(folder)


def test_a_configuration_of_a_gigabyte(folder):
    with open(folder / "config.json", "ab") as file:
        file.truncate(2**30)
    assert "has more than 1048576 bytes" in refused_cheaply(folder)


# ---------------------------------------------------------------------------------------------- files, links


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["outside", "device", "loop", "pipe", "folder", "nowhere"])
def test_links_and_what_is_no_file(folder, name, kind, tmp_path):
    path = folder / name
    path.rename(tmp_path / name)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        outside = {"outside": tmp_path / name, "device": "/dev/zero", "loop": path, "nowhere": "/nowhere"}
        path.symlink_to(outside[kind])
    assert any(word in refused_cheaply(folder) for word in ("leads out of the folder", f"has no {name}"))


def test_a_folder_that_is_none(tmp_path):
    assert "expected the folder of a separator" in refused(tmp_path / "nowhere")
