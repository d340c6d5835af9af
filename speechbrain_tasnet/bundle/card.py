"""``README.md`` of a bundle: the model card, for people and, by its front matter, for the Hugging Face hub."""

from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from speechbrain_tasnet.bundle.config import Config

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
        front_matter=_front_matter(config),
        title=_title(config),
        config=config,
        about={name: _cell(value) if isinstance(value, str) else value for name, value in about.items()},
        network=_network(modules["encoder"] | modules["masknet"]),
        parameters=f"{sum(p.numel() for module in config.build().values() for p in module.parameters()):,}",
        scores=_in_order(about.get("scores", {})),
        conditions=[
            (_cell(condition), _cell(group), score)
            for condition, groups in about.get("conditions", {}).items()
            for group, score in groups.items()
        ],
        elsewhere=[
            (_cell(test_set), scores.get("si-snr_i"), scores.get("sdr_i"))
            for test_set, scores in about.get("elsewhere", {}).items()
        ],
    )


def _network(arguments: dict[str, Any]) -> dict[str, Any]:
    """Call the arguments as a recipe does."""
    return {"encoder_activation" if name == "activation" else name: value for name, value in arguments.items()}


def _in_order(scores: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Return name, unit and value of each score."""
    rows = sorted(scores.items(), key=_order)
    return [(*METRICS.get(metric, (_cell(metric), "")), score) for metric, score in rows]


def _order(item: tuple[str, Any]) -> int:
    """Bring the scores into the order of `METRICS`, what is not there last."""
    return [*METRICS, item[0]].index(item[0])


def _title(config: Config) -> str:
    return _cell(config.about.get("name", f"Conv-TasNet for {config.num_spks} sources"))


def _cell(text: str) -> str:
    """Keep a text from ending its cell of a table."""
    return text.replace("|", "\\|")


def _front_matter(config: Config) -> str:
    """Say it in the words of the hub, https://huggingface.co/docs/hub/model-cards."""
    about = config.about
    corpus = about.get("corpus", "unknown")
    scores = [
        EvalResult(
            task_type="audio-to-audio",
            task_name="Speech separation",
            dataset_type=corpus,
            dataset_name=f"{corpus}, test set",
            metric_type=metric,
            metric_name=" ".join(METRICS.get(metric, (metric, ""))).strip(),
            metric_value=round(score["mean"], 4),
        )
        for metric, score in sorted(about.get("scores", {}).items(), key=_order)
    ]
    return ModelCardData(
        license=about.get("licence"),
        language=about.get("language"),
        library_name="speechbrain",
        pipeline_tag="audio-to-audio",
        tags=["speech-separation", "source-separation", "Conv-TasNet", "SpeechBrain", "speechbrain_tasnet"],
        datasets=about.get("datasets"),
        model_name=about.get("name", "Conv-TasNet"),
        eval_results=scores or None,
    ).to_yaml()
