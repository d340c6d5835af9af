"""``README.md`` of a bundle: the model card, for people and, by its front matter, for the Hugging Face hub."""

import re
from pathlib import Path
from typing import Any

import jinja2
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from speechbrain_tasnet.bundle.config import Config
from speechbrain_tasnet.errors import InputError

CARD = "README.md"
TEMPLATE = Path(__file__).with_name("model_card.md.j2")

# The metrics of an evaluation by the names that people use, and their units.
METRICS = {
    "si-snr_i": ("SI-SNRi", "dB"),
    "si-snr": ("SI-SNR", "dB"),
    "sdr_i": ("SDRi", "dB"),
    "sdr": ("SDR", "dB"),
    "pesq": ("PESQ", ""),
    "stoi": ("STOI", ""),
}

TASK = "audio-to-audio"
TAGS = (
    "audio-source-separation", TASK, "speech-separation", "source-separation", "Conv-TasNet", "SpeechBrain",
    "speechbrain_tasnet",
)  # fmt: skip

# What a card says before it is known where on the hub it will be.
FOLDER, REPOSITORY = '"this folder"', '"owner/name"'
LISTEN = re.compile(r"^## Listen\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SCORES = "## Scores\n"


def write_card(config: Config) -> str:
    """Write the text of the card; it says what is known and leaves out what is not.

    Parameters
    ----------
    config : Config
        Of the bundle.

    Returns
    -------
    str
        Markdown, with YAML front matter that the hub indexes.
    """
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    modules, about = config.modules, config.about
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        front_matter=card_data(config).to_yaml(),
        title=_title(config),
        config=config,
        what=_what(config),
        about={name: _cell(value) if isinstance(value, str) else value for name, value in about.items()},
        network=_network(modules["encoder"] | modules["masknet"]),
        parameters=f"{sum(p.numel() for module in config.build().values() for p in module.parameters()):,}",
        scores=_in_order(about.get("scores", {})),
        conditions=[
            (_cell(condition), _cell(group), score)
            for condition, groups in about.get("conditions", {}).items()
            for group, score in groups.items()
        ],
        speakers=[_of_speakers(*of) for of in about.get("speakers", {}).items()],
        elsewhere=[
            (_cell(test_set), scores.get("si-snr_i"), scores.get("sdr_i"))
            for test_set, scores in about.get("elsewhere", {}).items()
        ],
    )


def complete_card(text: str, config: Config, repository: str, listen: str = "") -> str:
    """Complete a card for its repository on the hub; what somebody has written into it stays.

    Parameters
    ----------
    text : str
        The card of the bundle.
    config : Config
        Of the bundle; gives what the front matter lacks.
    repository : str
        Its name on the hub, ``owner/name``.
    listen : str
        Markdown with recordings to listen to, which comes before the scores.

    Returns
    -------
    str
        Markdown, with YAML front matter that huggingface_hub reads.

    Raises
    ------
    InputError
        The front matter of the text cannot be read.
    """
    try:
        card = ModelCard(text)
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{CARD}: its front matter cannot be read ({reason}); correct or remove it") from None
    known, written = card_data(config).to_dict(), card.data.to_dict()
    tags = dict.fromkeys([*(written.get("tags") or ()), *known["tags"]])
    card.data = ModelCardData(**{**known, **written, "tags": list(tags)})
    card.text = card.text.replace(FOLDER, f'"{repository}"').replace(REPOSITORY, f'"{repository}"')
    if listen:
        body = LISTEN.sub("", card.text)
        before, scores, after = body.partition(SCORES)
        card.text = f"{before.rstrip()}\n\n## Listen\n\n{listen}\n\n{scores}{after}"
    return str(card)


def card_data(config: Config) -> ModelCardData:
    """Describe a bundle in the words of the hub, https://huggingface.co/docs/hub/model-cards."""
    about = config.about
    corpus = about.get("corpus", "unknown")
    scores = sorted(about.get("scores", {}).items(), key=_order)
    results = [
        EvalResult(
            task_type=TASK,
            task_name="Speech separation",
            dataset_type=corpus,
            dataset_name=f"{corpus}, test set",
            dataset_split="test",
            metric_type=metric,
            metric_name=" ".join(METRICS.get(metric, (metric, ""))).strip(),
            metric_value=round(score["mean"], 4),
        )
        for metric, score in scores
    ]
    return ModelCardData(
        license=about.get("licence"),
        language=about.get("language"),
        library_name="speechbrain",
        pipeline_tag=TASK,
        tags=list(TAGS),
        datasets=about.get("datasets"),
        metrics=[METRICS.get(metric, (metric,))[0] for metric, _ in scores] or None,
        model_name=about.get("name", "Conv-TasNet"),
        eval_results=results or None,
    )


def _network(arguments: dict[str, Any]) -> dict[str, Any]:
    """Call the arguments as a recipe does."""
    return {"encoder_activation" if name == "activation" else name: value for name, value in arguments.items()}


def _in_order(scores: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Return name, unit and value of each score."""
    rows = sorted(scores.items(), key=_order)
    return [(*METRICS.get(metric, (_cell(metric), "")), score) for metric, score in rows]


def _what(config: Config) -> str:
    if config.counts_voices:
        return f"up to {config.num_spks} voices"
    return "1 source" if config.num_spks == 1 else f"{config.num_spks} sources"


def _of_speakers(speakers: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Describe how often this many speakers were counted correctly, and how well they were separated."""
    mixtures = sum(facts["found"].values())
    return {
        "speakers": speakers,
        "mixtures": mixtures,
        "right": facts["found"].get(speakers, 0) / mixtures,
        "scores": [facts.get(name) for name in ("si-snr", "si-snr_i", "silence")],
    }


def _order(item: tuple[str, Any]) -> int:
    """Sort the scores in the order of `METRICS`, unknown ones last."""
    return [*METRICS, item[0]].index(item[0])


def _title(config: Config) -> str:
    return _cell(config.about.get("name", f"Conv-TasNet for {config.num_spks} sources"))


def _cell(text: str) -> str:
    """Keep a text from ending its cell of a table."""
    return text.replace("|", "\\|")
