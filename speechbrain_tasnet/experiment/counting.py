"""Whether what a training makes will be able to count voices, which is easily lost without noticing."""

from speechbrain_tasnet.bundle import find_bundle, load_bundle
from speechbrain_tasnet.configuration.schema import Settings


def doubts(hparams: Settings, begins: bool) -> list[str]:
    """Return what speaks against a separator that counts voices where one is, or may be, expected.

    Parameters
    ----------
    hparams : Settings
        Of the recipe.
    begins : bool
        Whether the training begins, with the separator of ``pretrained`` if there is one, or is resumed.

    Returns
    -------
    list of str
        A line for each.
    """
    found = []
    if hparams.loss_silence == "power" and hparams.loss == "si-snr" and hparams.loss_level is None:
        found.append(
            "loss_silence=power without loss_level: si-snr knows no levels, so an output that always whispers "
            "passes for silence, and voices cannot be counted; add --loss_level 1"
        )
    if begins and hparams.pretrained is not None and hparams.loss_silence != "power":
        folder = find_bundle(hparams.pretrained)
        if load_bundle(folder).config.counts_voices:
            found.append(
                f"loss_silence={hparams.loss_silence or 'null'}: the separator in {folder} counts voices, what "
                "comes of this training will not; to keep that, add "
                "--loss_silence power --loss_cap 30 --loss_level 0.3"
            )
    return found
