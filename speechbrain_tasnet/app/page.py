"""The page: what is dropped or recorded on it, and what becomes of that."""

import importlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from speechbrain_tasnet.app.folders import STAY, Folders
from speechbrain_tasnet.app.options import AppOptions
from speechbrain_tasnet.app.recording import Progress, keep, separate_upload
from speechbrain_tasnet.app.result import show, show_problem
from speechbrain_tasnet.app.separators import Separators
from speechbrain_tasnet.audio.formats import AUDIO_SUFFIXES, OTHER_SUFFIXES
from speechbrain_tasnet.errors import InputError

if TYPE_CHECKING:
    import gradio

TIDY_EVERY = 600  # seconds: how often uploads are looked at


def need_gradio():
    """Import gradio, or say how to install it."""
    try:
        return importlib.import_module("gradio")
    except ImportError:
        raise InputError(
            "gradio: not installed, but needed for the page; pip install 'speechbrain-tasnet[app]'"
        ) from None


def build_page(options: AppOptions, folders: Folders) -> "gradio.Blocks":
    """Build the page.

    Parameters
    ----------
    options : AppOptions
        What it offers and refuses.
    folders : Folders
        For its results.

    Returns
    -------
    gradio.Blocks
        To be launched.

    Raises
    ------
    InputError
        There is no such separator, or gradio is not installed.
    """
    gr = need_gradio()
    separators = Separators(options.model, options.models)

    def separate(files, recorded, name, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        uploads = [Path(upload) for upload in (*(files or ()), recorded) if upload]
        page = request.session_hash
        folders.remove(page)
        shown = ""
        for number, upload in enumerate(uploads, start=1):
            title = upload.name if len(uploads) == 1 else f"{upload.name} ({number} of {len(uploads)})"
            advance = partial(progress, desc=title)
            advance(0)
            shown += _result(upload, name, page, advance)
            yield shown
        if not uploads:
            yield show_problem("Nothing to separate: drop a recording, or record one.")

    def _result(upload: Path, name: str, page: str | None, progress: Progress) -> str:
        """Return as HTML what has come of an upload, or what is wrong with it."""
        try:
            separator = separators.load(name)
            separated = separate_upload(upload, separator, folders.new(page), options.max_minutes, progress)
            kept = keep(separated, options.out) if options.out else None
            # Where it lies is nobody's business on other machines.
            return show(separated, separator.hparams.sample_rate / 2, kept if options.private else None)
        except InputError as error:
            # Who looks at the page knows the file by its name alone.
            return show_problem(str(error).replace(str(upload), upload.name))

    def leave(request: gr.Request) -> None:
        folders.remove(request.session_hash)

    with gr.Blocks(title="Separate voices", analytics_enabled=False, delete_cache=(TIDY_EVERY, STAY)) as page:
        gr.Markdown(
            "# Separate voices\nA file for each voice of a recording. "
            f"At most {options.max_minutes:g} minutes and {options.max_megabytes:g} MB."
        )
        with gr.Row():
            files = gr.File(
                label="Recordings or films",
                file_count="multiple",
                file_types=["audio", "video", *AUDIO_SUFFIXES, *OTHER_SUFFIXES],
                height=180,
            )
            recorded = gr.Audio(label="Record", sources=["microphone"], type="filepath", buttons=["download"])
        with gr.Row(equal_height=True):
            name = gr.Dropdown(separators.names, label="Separator", scale=3)
            button = gr.Button("Separate", variant="primary")
        bar = gr.HTML(min_height=48)  # results stay in sight while the next recording is separated
        results = gr.HTML(elem_id="results")
        button.click(
            separate,
            [files, recorded, name],
            results,
            show_progress_on=bar,
            concurrency_limit=options.at_once,
            api_name="separate",
        )
        page.unload(leave)
    return page
