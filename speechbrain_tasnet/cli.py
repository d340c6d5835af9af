"""The command line: ``tasnet COMMAND``, each a module of `commands`."""

import argparse
import re
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
from speechbrain_tasnet.errors import one_line_errors, similar
from speechbrain_tasnet.system.printable import printable
from speechbrain_tasnet.system.process import READER_GONE, discard_output, open_what_is_closed, tune_process

COMMANDS = {
    "demo": (demo, "run the whole workflow once, in minutes, on synthetic voices"),
    "doctor": (doctor, "check that everything works on this machine, and how fast"),
    "models": (models, "list the available separators: their purpose, quality and speed on this machine"),
    "mix": (mix, "make a corpus of mixtures from any folder of speech"),
    "generate": (generate, "make wsj0-mix, LibriMix or a bank of rooms"),
    "download": (download, "download openly available speech and noise"),
    "train": (train, "train with a recipe, then evaluate and write a report"),
    "evaluate": (evaluate, "evaluate a trained model, and write a report"),
    "study": (study, "compare networks, everything else equal"),
    "separate": (separate, "separate audio files with a trained model"),
    "app": (app, "serve a local page that separates what is dropped on it"),
    "stream": (stream, "separate live: raw PCM through pipes, as it arrives"),
    "live": (live, "separate live: from the sound card to the sound card"),
    "import": (import_weights, "turn another toolkit's weights into a separator"),
    "export": (export, "write a trained model as a bundle, for ONNX, torchaudio or Asteroid"),
    "push": (push, "upload a separator to the Hugging Face hub"),
}

# What argparse says of a value that is none of the choices; its version decides whether these are in quotes.
INVALID = re.compile(r"invalid choice: '(?P<value>[^']*)' \(choose from (?P<choices>.*)\)$")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Exit status: 0 on success, 2 if the input was wrong (one line on standard error says what), 1 after a bug in
    tasnet (with its traceback), 130 if interrupted, 141 if the reader of the output has closed the pipe.

    Parameters
    ----------
    argv : sequence of str, optional
        Words after the program's name; by default the process's own.
    """
    tune_process()
    open_what_is_closed()
    # A name may hold characters that a pipe's encoding lacks, above all on Windows, or bytes that do not decode.
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
    """Reports an error in one line, whatever the arguments contain."""

    def error(self, message: str) -> NoReturn:
        """Print the error and exit, with a hint at the choice that was probably meant."""
        if wrong := INVALID.search(message):
            message += similar(wrong["value"], re.findall(r"[\w.-]+", wrong["choices"]))
        super().error(printable(message))


def _parser() -> argparse.ArgumentParser:
    """Return the parser; `train`, `evaluate` and `study` take options they do not know as overrides."""
    parser = OneLineParser(
        prog="tasnet",
        description="Conv-TasNet speech separation: get and mix speech, train, evaluate, separate.",
        epilog="Start with `tasnet demo`. `tasnet COMMAND --help` lists the options of a command. Exit status: 0 "
        "success, 2 wrong input, which one line describes, 1 a bug in tasnet.",
    )
    parser.add_argument("--version", action="version", version=f"tasnet {__version__}")
    add_commands(parser, "command", COMMANDS)
    return parser


if __name__ == "__main__":
    main()
