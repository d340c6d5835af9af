"""The page of `tasnet app` in a browser: what is dropped or recorded there is separated, and nothing leaves."""

import base64
import io
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from headless import open_page

from speechbrain_tasnet import TasNetSeparation
from speechbrain_tasnet.app import AppOptions
from speechbrain_tasnet.app.server import running
from speechbrain_tasnet.audio.pcm import quantize
from speechbrain_tasnet.shipped import DEFAULT

pytestmark = pytest.mark.long

# A file as the browser has it while it is dragged.
DRAGGED = """([name, data]) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, {type: "audio/wav"}));
    return transfer;
}"""
# What a player plays, byte by byte.
PLAYED = """async (audio) => {
    const data = new Uint8Array(await (await fetch(audio.src)).arrayBuffer());
    return btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""));
}"""
LONGEST_END = 120  # seconds


@pytest.fixture(scope="module")
def address():
    pytest.importorskip("gradio", reason="no gradio; pip install '.[app]'")
    with running(AppOptions(max_megabytes=1)) as address:
        yield address


def drop(page, name, data):
    dragged = page.evaluate_handle(DRAGGED, [name, base64.b64encode(data).decode()])
    page.get_by_text("Drop File Here").dispatch_event("drop", {"dataTransfer": dragged})


def listen(player):
    """Return the samples that a player plays, int16, and their rate."""
    return soundfile.read(io.BytesIO(base64.b64decode(player.evaluate(PLAYED))), dtype="int16")


def test_a_recording_is_dropped_separated_heard_and_taken_away(visit, address, two_voices, tmp_path):
    page = visit.page
    page.goto(address)
    drop(page, "talk.wav", two_voices.read_bytes())
    page.get_by_text("talk.wav").wait_for()
    page.get_by_role("button", name="Separate").click()
    page.get_by_role("img", name="Who speaks when in talk.wav").wait_for()

    separator = TasNetSeparation.from_bundle(DEFAULT, device="cpu")
    wanted = quantize(separator.separate_file(two_voices, scale="mixture")[0].numpy()).T
    players = page.locator("#results audio").all()
    played = [
        soundfile.read(io.BytesIO(base64.b64decode(each.evaluate(PLAYED))), dtype="int16") for each in players
    ]
    signals, rates = zip(*played, strict=True)
    assert rates == (8000, 8000, 8000)
    np.testing.assert_array_equal(signals[0], soundfile.read(two_voices, dtype="int16")[0])
    np.testing.assert_array_equal(signals[1:], wanted)

    with page.expect_download() as download:
        page.get_by_role("link", name="talk_s2.wav").click()
    assert download.value.suggested_filename == "talk_s2.wav"
    np.testing.assert_array_equal(soundfile.read(download.value.path(), dtype="int16")[0], wanted[1])

    # A click in the middle of a picture plays from there, and a click in another one stops that.
    pictures = page.locator("#results .picture")
    for number, player in ((1, players[1]), (2, players[2])):
        pictures.nth(number).click()
        page.wait_for_function("(audio) => audio.currentTime >= 1.4 && !audio.paused", arg=player.element_handle())
    assert [player.evaluate("(audio) => audio.paused") for player in players] == [True, True, False]

    page.screenshot(path=tmp_path / "app.png", full_page=True)
    assert (tmp_path / "app.png").stat().st_size > 20_000
    assert len(visit.requested) > 10
    assert visit.elsewhere() == []


def test_the_page_tells_what_it_refuses(visit, address):
    page = visit.page
    page.goto(address)
    drop(page, "large.wav", bytes(2**20 + 1))
    page.get_by_text("File(s) exceed the maximum allowed size").wait_for()
    page.get_by_label("Clear").first.click()
    drop(page, "talk.wav", b"nonsense")
    page.get_by_text("talk.wav").wait_for()
    page.get_by_role("button", name="Separate").click()
    assert page.get_by_role("alert").inner_text().startswith("talk.wav: cannot be read as audio")
    assert visit.elsewhere() == []


def test_a_recording_is_made_on_the_page(address, two_voices):
    microphone = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={two_voices}",
    )
    with open_page(*microphone) as visit:
        page = visit.page
        page.goto(address)
        page.get_by_role("button", name="Record").click()
        page.get_by_text("0:01").wait_for()
        page.get_by_role("button", name="Stop").first.click()
        page.get_by_role("button", name="Play", exact=True).wait_for()
        page.get_by_role("button", name="Separate").click()
        page.get_by_role("img", name="Who speaks when in").wait_for()
        for player in page.locator("#results audio").all():
            assert listen(player)[0].std() > 30
        assert visit.elsewhere() == []


def test_the_command_warns_serves_and_clears_up(visit, tmp_path):
    pytest.importorskip("gradio", reason="no gradio; pip install '.[app]'")
    command = [sys.executable, "-m", "speechbrain_tasnet.cli", "app", "--host", "0.0.0.0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, env=os.environ | {"TMPDIR": str(tmp_path)}) as app:
        address = app.stdout.readline().split()[0]
        visit.page.goto(address)
        visit.page.get_by_role("button", name="Separate").wait_for()
        assert list(tmp_path.glob("tasnet-app-*"))
        app.send_signal(signal.SIGTERM)
        _, problems = app.communicate(timeout=LONGEST_END)
    assert "tasnet: warning: host 0.0.0.0 lets other machines in; whoever reaches this page can use it" in problems
    assert "Traceback" not in problems
    assert not list(tmp_path.glob("tasnet-app-*"))
