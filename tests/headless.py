"""A real Chromium without a window, for the tests of pages; they are skipped where there is none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
LOCAL = {"127.0.0.1", "localhost", "[::1]", ""}  # no host: data: and blob:
PATIENCE = 60_000  # milliseconds in which a page must do what a test waits for


class Visit(NamedTuple):
    """A page that a test looks at, and the addresses that it has asked for so far."""

    page: "Page"
    requested: list[str]

    def elsewhere(self) -> list[str]:
        """List the addresses beyond this machine."""
        return [url for url in self.requested if urlsplit(url).netloc.rsplit(":", 1)[0] not in LOCAL]


def chromium() -> str:
    """Return the system's Chromium, or skip the test."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return found or pytest.skip("no Chromium; apt-get install chromium")


@contextmanager
def open_page(*flags: str) -> Iterator[Visit]:
    """Open an empty page in a browser of its own.

    Parameters
    ----------
    *flags : str
        Chromium's, such as ``--use-file-for-fake-audio-capture=FILE``.

    Yields
    ------
    Visit
        Page, and what it asks for; websockets and workers included.
    """
    api = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install playwright")
    with api.sync_playwright() as playwright:
        # In containers root runs the tests, for whom Chromium has no sandbox.
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", *flags])
        try:
            context = browser.new_context(viewport={"width": 1100, "height": 900}, accept_downloads=True)
            context.set_default_timeout(PATIENCE)
            requested: list[str] = []
            context.on("request", lambda request: requested.append(request.url))
            page = context.new_page()
            page.on("websocket", lambda socket: requested.append(socket.url))
            yield Visit(page, requested)
        finally:
            browser.close()
