"""``tasnet push``: a separator onto the Hugging Face hub."""

import argparse
from pathlib import Path

from speechbrain_tasnet.errors import InputError


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Upload a separator to the Hugging Face hub in one commit: weights, configuration and the model card, "
        "with a mixture to listen to before and after. The bundle is checked first. Log in with `hf auth login`, "
        "or set HF_TOKEN. Others load it by its name: `tasnet separate --model OWNER/NAME`."
    )
    parser.epilog = "example: tasnet push results/wsj0mix/1234 OWNER/NAME --dry-run"
    parser.add_argument("model", metavar="BUNDLE", help="folder of a training run or of a separator")
    parser.add_argument("repository", metavar="OWNER/NAME", help="on the hub; created if it does not exist")
    parser.add_argument("--private", action="store_true", help="visible to its owner only")
    parser.add_argument(
        "--revision", metavar="BRANCH", help="branch to upload to; created if it does not exist (main)"
    )
    sample = parser.add_mutually_exclusive_group()
    sample.add_argument(
        "--sample",
        type=Path,
        metavar="MIXTURE",
        help="recording of at most 30 s that the card plays, with its sources; it becomes public (synthetic "
        "voices)",
    )
    sample.add_argument("--no-sample", action="store_true", help="no audio on the card")
    parser.add_argument("--dry-run", action="store_true", help="print what would be uploaded, and the card")


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    import tempfile

    from speechbrain_tasnet.bundle.card import CARD
    from speechbrain_tasnet.bundle.hub import HubName
    from speechbrain_tasnet.publish.push import all_files, assemble, upload

    name = HubName.parse(options.repository)
    if name is None or name.revision is not None:
        raise InputError(f"{options.repository!r}: expected OWNER/NAME, such as anna/two-voices")
    name = HubName(name.repository, options.revision)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "bundle"
        assemble(options.model, folder, name, options.sample, options.no_sample)
        if not options.dry_run:
            print(upload(folder, name, options.private))
            return
        for file in all_files(folder):
            print(f"{file.stat().st_size:>12,} bytes  {name}/{file.relative_to(folder).as_posix()}")
        print(f"\n{(folder / CARD).read_text(encoding='utf-8')}", end="")
