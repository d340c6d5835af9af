"""``tasnet download``: speech and noise that are openly available."""

import argparse
from pathlib import Path


class _List(argparse.Action):
    """Print the table of archives and exit, as ``--help`` does."""

    def __call__(self, parser, *_):
        from speechbrain_tasnet.generate.download_table import table

        print(table())
        parser.exit()


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Download an archive of speech or noise, check it, and unpack it in OUT. After an interruption, the same "
        "command continues. Mind the licences."
    )
    parser.epilog = "example: tasnet download dev-clean --out data"
    parser.add_argument("name", metavar="NAME", help="what to download; --list shows the names")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to unpack in")
    parser.add_argument(
        "--mirror", metavar="URL", help="address of a folder with the archive, in place of the publisher's"
    )
    parser.add_argument("--keep", action="store_true", help="keep the archive, in OUT")
    parser.add_argument("--list", action=_List, nargs=0, help="list names, sizes, licences and addresses")


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.generate.download import download
    from speechbrain_tasnet.generate.download_table import find_source

    folder = download(options.name, options.out, options.mirror, options.keep)
    source = find_source(options.name)
    checked = "checksum verified" if source.checksum else "no published checksum to verify it by"
    print(f"{folder}: licence {source.licence}; {checked}")
