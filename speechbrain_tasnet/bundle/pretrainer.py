"""SpeechBrain's `Pretrainer` for bundles: one file of weights in place of a pickle for each module."""

from pathlib import Path

from speechbrain.utils.fetching import FetchConfig, FetchFrom, LocalStrategy, fetch, guess_source
from speechbrain.utils.parameter_transfer import Pretrainer

from speechbrain_tasnet.bundle import read_bundle
from speechbrain_tasnet.bundle.config import CONFIG
from speechbrain_tasnet.bundle.weights_file import WEIGHTS
from speechbrain_tasnet.errors import InputError


class BundlePretrainer(Pretrainer):
    """Named in ``hyperparams.yaml``, it makes SpeechBrain's own ``from_hparams`` read ``model.safetensors``.

    What is on this machine already is read where it lies: no link and no copy is made.

    The weights run no code, but ``from_hparams`` itself runs the ``hyperparams.yaml`` that names this class:
    whatever a YAML file names is imported and called. `TasNetSeparation.from_bundle` runs nothing from the folder.
    """

    def collect_files(
        self,
        default_source: str | None = None,
        local_strategy: LocalStrategy = LocalStrategy.SYMLINK,
        fetch_config: FetchConfig = FetchConfig(),  # noqa: B008 - SpeechBrain's signature
    ) -> dict[str, Path]:
        """Fetch configuration and weights from a folder, or from the hub as SpeechBrain does."""
        if default_source is None:
            raise InputError("no source given: expected the folder of a bundle, or its name on the hub")
        here = guess_source(default_source)[0] is FetchFrom.LOCAL
        self.files = {
            name: fetch(
                name,
                default_source,
                savedir=None if here else self.collect_in,
                local_strategy=local_strategy,
                fetch_config=fetch_config,
            )
            for name in (CONFIG, WEIGHTS)
        }
        return self.files

    def load_collected(self) -> None:
        """Copy the weights into the modules."""
        bundle = read_bundle(self.files[CONFIG], self.files[WEIGHTS])
        for name, module in self.loadables.items():
            if module.config != bundle.model[name].config:
                raise InputError(
                    f"{self.files[CONFIG]}: {name} is not the one in hyperparams.yaml; take both from one bundle"
                )
            module.load_state_dict(bundle.model[name].state_dict())
