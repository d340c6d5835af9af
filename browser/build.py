"""Make the page that separates in the browser: ``python browser/build.py --out FOLDER``, for any file server.

A folder with the page, the runtime from npm and the separators as ONNX graphs. As a hook of MkDocs it puts the
same beside docs/browser.md. The runtime comes by ``make browser/node_modules``.
"""

import argparse
import json
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

from speechbrain_tasnet.bundle import find_bundle, load_bundle
from speechbrain_tasnet.bundle.config import Config
from speechbrain_tasnet.errors import InputError, one_line_errors
from speechbrain_tasnet.export import export_onnx, export_streaming_onnx
from speechbrain_tasnet.export.graph import need
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.shipped import bundled_names

HOME = Path(__file__).parent
RUNTIME = HOME / "node_modules/onnxruntime-web"
RUNTIME_FILES = ("dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm")
PLACE_IN_SITE = "browser"
# Milliseconds of a stream that are separated at once: about 10 times as long as it takes.
CHUNK = 20

log = logging.getLogger("mkdocs.hooks.browser")


def on_post_build(config: MkDocsConfig) -> None:
    """Put the page's files beside the page of the site."""
    if not RUNTIME.is_dir():
        log.info("the browser page gets no runtime, which `make docs` fetches by npm")
        return
    try:
        build(Path(config.site_dir) / PLACE_IN_SITE, bundled_names(), standalone=False)
    except InputError as error:
        raise PluginError(f"the browser page: {error}") from None  # MkDocs shows that without a traceback


def build(out: Path, separators: Iterable[str | Path], standalone: bool = True) -> None:
    """Write the files of the page.

    Parameters
    ----------
    out : Path
        Folder; what is in it already is replaced.
    separators : iterable of str or Path
        Names of bundled ones, folders of others. Causal ones are for streams, all others for recordings.
    standalone : bool
        Whether it gets an ``index.html`` of its own.

    Raises
    ------
    InputError
        The runtime is missing, or a separator cannot be had.
    """
    bundles = [find_bundle(name) for name in separators]
    missing = [name for name in RUNTIME_FILES if not (RUNTIME / name).is_file()]
    if missing:
        raise InputError(f"{RUNTIME / missing[0]}: not there; `make browser/node_modules` fetches it by npm")
    for folder in ("runtime", "models"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for name in RUNTIME_FILES:
        shutil.copyfile(RUNTIME / name, out / "runtime" / Path(name).name)
    for file in (*HOME.glob("*.js"), HOME / "style.css", *([HOME / "index.html"] if standalone else [])):
        shutil.copyfile(file, out / file.name)
    listed = [entry for bundle in bundles if (entry := write_graph(bundle, out / "models"))]
    (out / "models/models.json").write_text(json.dumps(listed, indent=1), encoding="utf-8")


def write_graph(bundle: Path, out: Path) -> dict[str, Any] | None:
    """Write a separator as a graph, and return what the page must know of it; None if it needs an array."""
    model, config = load_bundle(bundle)
    name = config.about.get("name") or bundle.name
    if model.encoder.mics > 1:
        log.info("%s: for several microphones, left out", name)
        return None
    about = {"name": name, "sample_rate": config.sample_rate, "num_spks": config.num_spks}
    about |= {"counts_voices": config.counts_voices}
    if model.masknet.config["causal"]:
        return about | _write_step(model, config, out / f"{name}.step.onnx")
    export_onnx(*model.values(), out / f"{name}.onnx", config.sample_rate)
    return about | {"graph": f"{name}.onnx"}


def _write_step(model: Model, config: Config, path: Path) -> dict[str, Any]:
    stride = model.encoder.stride
    chunk = max(round(CHUNK * config.sample_rate / 1000 / stride), 1) * stride
    export_streaming_onnx(*model.values(), path, chunk, config.sample_rate)
    onnx = need("onnx")
    inputs = {port.name: port.type.tensor_type for port in onnx.load(path).graph.input}
    state = [
        {
            "name": name,
            "type": onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name,
            "shape": [axis.dim_value for axis in kind.shape.dim],
        }
        for name, kind in inputs.items()
        if name != "chunk"
    ]
    # The stream begins with zeros in place of its first half frame, so that it comes out that much later.
    return {"step": path.name, "chunk": chunk, "latency": stride, "state": state}


def main() -> None:
    """Make the page in a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the page is written")
    parser.add_argument(
        "separators",
        nargs="*",
        default=bundled_names(),
        metavar="MODEL",
        help="folder or name (all bundled ones)",
    )
    options = parser.parse_args()
    with one_line_errors("build.py"):
        build(options.out, options.separators)


if __name__ == "__main__":
    main()
