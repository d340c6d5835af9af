"""One recording into standard output: a file whose channels are the sources."""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from speechbrain_tasnet.separation.batch_report import Report
from speechbrain_tasnet.separation.many_files import separate_files
from speechbrain_tasnet.separation.options import SeparationOptions, Separator
from speechbrain_tasnet.separation.output_files import AudioFormat, Destination
from speechbrain_tasnet.system.termination import Termination


def separate_to_descriptor(
    separator: Separator, mixture: Path, kind: AudioFormat, choices: SeparationOptions, output: int
) -> None:
    """Separate a file as `separate_files` does, and write all its sources as one, one channel each.

    Its header says how long it is, which is known at the end: until then it waits in a temporary folder.

    Parameters
    ----------
    separator : Separator
        The model.
    mixture : Path
        Audio file.
    kind : AudioFormat
        What is written.
    choices : SeparationOptions
        How it is separated.
    output : int
        File descriptor, of a pipe or a file.

    Raises
    ------
    InputError
        The file cannot be read, nobody is heard in it, or such a file cannot hold so many channels.
    BrokenPipeError
        The reader has gone away.
    """
    with Termination(), TemporaryDirectory(prefix="tasnet-") as folder:
        destination = Destination(folder, kind=kind, together=True)
        separate_files(separator, [mixture], destination, choices, Report())
        [path] = destination.sources(mixture, separator.hparams.num_spks)
        with path.open("rb") as file, os.fdopen(output, "wb", closefd=False) as sink:
            shutil.copyfileobj(file, sink)
