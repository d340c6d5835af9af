"""Serve the page, only to this machine unless asked for more."""

import errno
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from speechbrain_tasnet.app.folders import Folders
from speechbrain_tasnet.app.options import AppOptions
from speechbrain_tasnet.app.page import build_page, need_gradio
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.system.termination import Termination

ROOM = Path(__file__).parent


def serve(options: AppOptions) -> None:
    """Serve a page until the process is interrupted or ended; its temporary files go with it.

    Parameters
    ----------
    options : AppOptions
        What it offers, and to whom.

    Raises
    ------
    InputError
        gradio is not installed, there is no such separator, the address cannot be listened at, or `out` cannot be
        written to.
    """
    if not options.private:
        print(
            f"tasnet: warning: host {options.host} lets other machines in; whoever reaches this page can use it, "
            "without a password and without encryption",
            file=sys.stderr,
        )
    with Termination(), running(options) as address:
        print(f"{address} (Ctrl-C ends it)", flush=True)
        threading.Event().wait()


@contextmanager
def running(options: AppOptions) -> Iterator[str]:
    """Serve a page in threads of its own.

    Yields
    ------
    str
        Its address.
    """
    if options.out is not None:
        _check_out(options.out)
    _check_address(options.host, options.port)
    with TemporaryDirectory(prefix="tasnet-app-") as temporary:
        uploads, results = Path(temporary, "uploads"), Path(temporary, "results")
        uploads.mkdir()
        results.mkdir()
        with _environment(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=str(uploads)):
            gradio = need_gradio()
            page = build_page(options, Folders(results))
            try:
                _, address, _ = page.launch(
                    server_name=options.host,
                    server_port=options.port,
                    max_file_size=round(options.max_megabytes * 2**20),
                    allowed_paths=[str(results)],
                    theme=gradio.themes.Default(primary_hue="indigo", font="system-ui", font_mono="monospace"),
                    css_paths=ROOM / "style.css",
                    head=f"<script>{(ROOM / 'players.js').read_text(encoding='utf-8')}</script>",
                    share=False,
                    inbrowser=False,
                    prevent_thread_lock=True,
                    quiet=True,
                    footer_links=[],
                    run_history=False,
                    enable_monitoring=False,
                    ssr_mode=False,
                    mcp_server=False,
                    pwa=False,
                )
            except OSError as error:
                raise InputError(f"host {options.host}: cannot be used ({error}); choose another") from None
            try:
                yield address
            finally:
                page.close(verbose=False)


def _check_address(host: str, port: int | None) -> None:
    """Refuse an address that cannot be listened at: gradio would try for minutes, and not say why."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            if os.name == "posix":  # as servers do; on Windows it would share a port that is in use
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} is in use; leave --port out, or choose another") from None
        where = f"host {host}" if port is None else f"host {host}, port {port}"
        raise InputError(f"{where}: cannot be used ({error.strerror}); choose another") from None


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set what gradio reads only from the environment."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _check_out(out: Path) -> None:
    """Make the folder for results now, and not after the first one is there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"{out}: cannot be made ({error.strerror}); choose another --out") from None
    if not os.access(out, os.W_OK):
        raise DiskError(f"{out}: cannot be written to; choose another --out")
