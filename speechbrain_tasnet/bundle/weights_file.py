"""``model.safetensors`` of a bundle: every weight by its name, read only where it is what was expected."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as short
from typing import BinaryIO

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from speechbrain_tasnet.bundle.config import DTYPES, strict_json
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system import lfs

WEIGHTS = "model.safetensors"
METADATA = "__metadata__"
HEADER_LIMIT = 2**22  # bytes; a tensor takes about a hundred
WEIGHTS_LIMIT = 2**30  # bytes; the paper's network takes 20 million
NAMES = {"float32": "F32", "float16": "F16"}
# The first bytes of pickles and of zip archives, in which torch keeps pickles.
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


def pack_weights(tensors: Mapping[str, Tensor], dtype: str, identity: str) -> bytes:
    """Make the content of the file.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The weights.
    dtype : str
        ``float32`` or ``float16``.
    identity : str
        What they belong to; `read_weights` compares it.

    Raises
    ------
    InputError
        A weight is NaN or infinite, or too large for the type, or there are too many.
    """
    packed = {}
    for name, tensor in tensors.items():
        packed[name] = tensor.detach().to("cpu", DTYPES[dtype], copy=True).contiguous()
        if not packed[name].isfinite().all():
            way_out = "train again from an earlier checkpoint" if dtype == "float32" else "write float32"
            raise InputError(f"{name} has weights that are not finite in {dtype}; {way_out}")
    _check_size(sum(tensor.nbytes for tensor in packed.values()))
    return safetensors.torch.save(packed, {"identity": identity})


def read_weights(
    path: Path, expected: Mapping[str, Tensor], dtype: str, identity: str, sha256: str
) -> dict[str, Tensor]:
    """Read the weights, in no more memory than those that are expected take.

    Parameters
    ----------
    path : Path
        The file.
    expected : mapping of str to Tensor
        Names and shapes; the tensors may be without memory.
    dtype : str
        ``float32`` or ``float16``.
    identity, sha256 : str
        What the weights must belong to, and the checksum of the file.

    Returns
    -------
    dict of str to Tensor
        In float32.

    Raises
    ------
    InputError
        The file holds anything else, is damaged or cut short, or a weight is not finite.
    """
    shapes = {name: list(tensor.shape) for name, tensor in expected.items()}
    payload = DTYPES[dtype].itemsize * sum(tensor.numel() for tensor in expected.values())
    if lfs.is_pointer(path):
        raise InputError(lfs.WAY_OUT)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = _read_start(file, size)
        _check_header(strict_json(start[8:]), shapes, NAMES[dtype], identity)
        if size != len(start) + payload:
            raise InputError(
                f"has {size} bytes where {len(start) + payload} are expected: cut short; copy it again"
            )
        _check_size(payload)
        file.seek(0)
        data = file.read(size)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError("is damaged: its SHA-256 is not the one in config.json; copy or download it again")
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise InputError(f"is not a safetensors file ({error})") from None
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise InputError(f"has NaN or infinite weights in {name!r}; the separator is of no use")
    # A copy, because safetensors does not align its tensors in memory, and the kernels prefer them aligned.
    return {name: tensor.to(torch.float32, copy=True) for name, tensor in tensors.items()}


def _check_size(payload: int) -> None:
    if payload > WEIGHTS_LIMIT:
        raise InputError(f"would take {payload} bytes of weights: expected at most {WEIGHTS_LIMIT}")


def _read_start(file: BinaryIO, size: int) -> bytes:
    """Read the header and the eight bytes before it, which say how long it is."""
    start = file.read(8)
    if start.startswith(PICKLES):
        raise InputError("is a pickle, not safetensors; not opened, because pickles run code")
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(size - 8, HEADER_LIMIT):
        raise InputError(
            f"is not a safetensors file, or cut short: its header would take {length} of {size} bytes"
        )
    return start + file.read(length)


def _check_header(header: object, shapes: Mapping[str, list[int]], dtype: str, identity: str) -> None:
    """Compare what the file says it holds with what is expected."""
    if not isinstance(header, dict):
        raise InputError("is not a safetensors file: its header is not a mapping")
    for name in shapes:
        if name not in header:
            raise InputError(f"has no tensor {name!r}")
    for name, entry in header.items():
        if name == METADATA:
            continue
        if name not in shapes:
            raise InputError(f"has the unknown tensor {short(name)}")
        shape, found = (entry.get(key) for key in ("shape", "dtype")) if isinstance(entry, dict) else (None, None)
        if shape != shapes[name]:
            raise InputError(f"has {name!r} of shape {short(shape)}: the configuration makes it {shapes[name]}")
        if found != dtype:
            raise InputError(f"has {name!r} as {short(found)}: config.json says {dtype}")
    if header.get(METADATA) != {"identity": identity}:
        raise InputError("belongs to another configuration than that in config.json; take both from one bundle")
