"""Processes that begin while or after this one computes: they end, and compute the same."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, multiprocessing, os, sys
import torch
from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation, separate

how, threads, asked = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if asked == "torch":
    torch.set_num_threads(threads)
torch.manual_seed(0)
# Large enough for torch and MKL to share the work out among threads.
modules = {"encoder": Encoder(64, 16), "masknet": MaskNet(64, 64, 64, 64, X=2, R=1), "decoder": Decoder(64, 16)}
separator = TasNetSeparation(modules, {"sample_rate": 8000, "num_spks": 2}, run_opts={"device": "cpu"})
mixture = torch.randn(1, 16000)


def work(_=None):
    a = torch.eye(300, dtype=torch.float64) + 0.01 * torch.ones(300, 300, dtype=torch.float64)
    solved = (a @ torch.linalg.solve(a, a[0]) - a[0]).abs().max().item() < 1e-9
    return separator.separate_batch(mixture).numpy().tobytes(), solved


def close(one, other):
    signals = [torch.frombuffer(bytearray(sources), dtype=torch.float32) for sources, _ in (one, other)]
    return one[1] and other[1] and torch.allclose(*signals, rtol=1e-4, atol=1e-5)


def train():
    for weight in separator.parameters():
        weight.requires_grad_(True)
        weight.grad = None
    separate(*modules.values(), mixture).square().sum().backward()
    return next(modules["masknet"].parameters()).grad.clone()


class Items(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return torch.frombuffer(bytearray(work()[0]), dtype=torch.uint8), work()[1]


def in_child():
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(source)
        with os.fdopen(sink, "wb") as file:
            sources, solved = work()
            same = torch.allclose(train(), gradient, rtol=1e-3)
            file.write(bytes([solved, same]) + sources)
        os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    return [(data[2:], data[:2] == bytes([1, 1]))]


if __name__ == "__main__":
    expected = work()
    if how == "os":
        gradient = train()
        found = in_child()
    elif how == "loader":
        loader = torch.utils.data.DataLoader(Items(), num_workers=1, multiprocessing_context="fork")
        found = [(sources.numpy().tobytes(), bool(solved)) for sources, solved in loader]
    else:
        with multiprocessing.get_context(how).Pool(1) as pool:
            found = pool.map(work, range(2))
    again = work()
    print(json.dumps({
        "same": [close(each, expected) for each in [*found, again]],
        "threads": torch.get_num_threads(),
    }))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.parametrize(
    ("how", "threads", "asked"),
    [
        ("os", 1, "environment"),
        ("os", 2, "torch"),
        ("fork", 2, "environment"),
        ("loader", 2, "environment"),
        ("spawn", 2, "environment"),
    ],
)
def test_children_of_a_process_that_has_separated_separate_too(tmp_path, how, threads, asked):
    """Killed, or waiting for threads that do not exist, they would be without the way around OpenMP."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    environment["PYTHONWARNINGS"] = "ignore"
    if asked == "environment":
        environment["OMP_NUM_THREADS"] = str(threads)
    words = [sys.executable, "program.py", how, str(threads), asked]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, check=True, timeout=300)
    told = json.loads(done.stdout.splitlines()[-1])
    assert all(told["same"])
    assert told["threads"] == threads
