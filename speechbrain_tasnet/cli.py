"""The command line: ``tasnet COMMAND``, a module of `commands` each."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from speechbrain_tasnet import __version__
from speechbrain_tasnet.commands import (
    add_commands,
    app,
    demo,
    doctor,
    download,
    evaluate,
    export,
    generate,
    import_weights,
    live,
    mix,
    models,
    push,
    separate,
    stream,
    study,
    train,
)
from speechbrain_tasnet.errors import one_line_errors
from speechbrain_tasnet.system.printable import printable
from speechbrain_tasnet.system.process import READER_GONE, discard_output, open_what_is_closed, tune_process

COMMANDS = {
    "demo": (demo, "everything once, in minutes, on synthetic voices"),
    "doctor": (doctor, "does everything work on this machine, and how fast"),
    "models": (models, "list the separators at hand: what for, how good, how fast here"),
    "mix": (mix, "make a corpus of mixtures from any folder of speech"),
    "generate": (generate, "make wsj0-mix, LibriMix or a bank of rooms"),
    "download": (download, "get openly downloadable speech and noise"),
    "train": (train, "train with a recipe, then evaluate and write a report"),
    "evaluate": (evaluate, "evaluate what was trained, and write a report"),
    "study": (study, "compare networks, everything else equal"),
    "separate": (separate, "separate audio files with a trained model"),
    "app": (app, "a page on this machine that separates what is dropped on it"),
    "stream": (stream, "separate live: raw PCM from a pipe into pipes, as it comes"),
    "live": (live, "separate live: from the sound card to the sound card"),
    "import": (import_weights, "turn another toolkit's weights into a separator"),
    "export": (export, "a trained model in a form to hand on: bundle, ONNX, torchaudio, Asteroid"),
    "push": (push, "upload a separator to the Hugging Face hub"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Exit status: 0 when the work is done, 2 when something given was wrong (one line on standard error says
    what), 1 after a defect of ours (with its traceback), 130 when interrupted, 141 when the reader of the output
    has gone away.

    Parameters
    ----------
    argv : sequence of str, optional
        Words after the program's name; by default the process's own.
    """
    tune_process()
    open_what_is_closed()
    # A name may have letters that the encoding of a pipe lacks, on Windows above all, or bytes that are none.
    if hasattr(sys.stdout, "reconfigure"):
        utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    options, options.overrides = _parser().parse_known_args(argv)
    if options.overrides and options.command not in ("train", "evaluate", "study"):
        _parser().error(f"unrecognized arguments: {' '.join(options.overrides)}")
    try:
        with one_line_errors("tasnet"):
            COMMANDS[options.command][0].run(options)
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        discard_output()
        raise SystemExit(READER_GONE) from None
    except SystemExit as stop:
        if stop.code == 2:
            discard_output()
        raise


class OneLineParser(argparse.ArgumentParser):
    """Complains in one line, whatever the words hold."""

    def error(self, message: str) -> NoReturn:
        """End the program."""
        super().error(printable(message))


def _parser() -> argparse.ArgumentParser:
    """Describe the commands; `train`, `evaluate` and `study` take what they do not know as overrides."""
    parser = OneLineParser(
        prog="tasnet",
        description="Conv-TasNet speech separation: get and mix speech, train, evaluate, separate.",
        epilog="Start with `tasnet demo`. `tasnet COMMAND --help` lists the options of a command. Exit status: 0 "
        "done, 2 something given was wrong, and one line says what, 1 a defect of ours.",
    )
    parser.add_argument("--version", action="version", version=f"tasnet {__version__}")
    add_commands(parser, "command", COMMANDS)
    return parser


if __name__ == "__main__":
    main()
