"""Compare the speed of the page in a browser with torch's: ``python -m benchmarks.speed.browser``.

A recording of noise in a headless Chromium, with one worker and with one per processor, and a stream;
then the same in torch on one thread. Needs Chromium, ``pip install playwright`` and ``make browser/node_modules``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from playwright.sync_api import sync_playwright

from speechbrain_tasnet import TasNetSeparation

BUILD = Path(__file__).parents[2] / "browser/build.py"
RECORDINGS, STREAMS = "convtasnet-8k-2spk", "convtasnet-8k-2spk-live"
SCRIPT = """async ([seconds, workers]) => {
    Object.defineProperty(navigator, 'hardwareConcurrency', { value: workers });
    const models = await (await fetch('models/models.json')).json();
    const model = models.find(({ graph }) => graph);
    model.graph = new URL(`models/${model.graph}`, location.href).href;
    const { separateRecording } = await import('./recording.js');
    const noise = Float32Array.from({ length: seconds * model.sample_rate }, () => Math.random() - 0.5);
    const began = performance.now();
    await separateRecording(model, noise);
    return (performance.now() - began) / 1000;
}"""
STREAM_SCRIPT = """async (seconds) => {
    const models = await (await fetch('models/models.json')).json();
    const model = models.find(({ step }) => step);
    const { StreamingSeparator } = await import('./network.js');
    const separator = await StreamingSeparator.load(`models/${model.step}`, model.state);
    const noise = () => Float32Array.from({ length: model.chunk }, () => Math.random() - 0.5);
    const count = Math.round((seconds * model.sample_rate) / model.chunk);
    const began = performance.now();
    for (let i = 0; i < count; i++) await separator.step(noise());
    return (performance.now() - began) / 1000;
}"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *arguments):
        """Keep the requests off the screen."""


def main() -> None:
    """Print how many times faster than real time each way is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=120, help="of the recording (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, BUILD, "--out", folder, RECORDINGS, STREAMS], check=True)
        taken = in_browser(folder, options.seconds)
    taken["torch, one thread"] = in_torch(options.seconds)
    print(json.dumps({name: round(options.seconds / seconds, 1) for name, seconds in taken.items()}, indent=1))


def in_browser(folder: str, seconds: int) -> dict[str, float]:
    """Return the seconds that each way takes."""
    handler = partial(_Quiet, directory=folder)
    processors = os.cpu_count() or 1
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        taken = {}
        for workers in sorted({1, processors}):
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            taken[f"browser, workers: {workers}"] = page.evaluate(SCRIPT, [seconds, workers])
        taken["browser, stream"] = page.evaluate(STREAM_SCRIPT, seconds)
        browser.close()
        server.shutdown()
    return taken


def in_torch(seconds: int) -> float:
    """Return the seconds that torch takes, in windows of the same length."""
    torch.set_num_threads(1)
    separator = TasNetSeparation.from_bundle(RECORDINGS, device="cpu")
    noise = torch.rand(seconds * 8000) - 0.5
    separator.separate_audio(noise[:8000], 8000)
    began = time.perf_counter()
    separator.separate_audio(noise, 8000, window=30)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
