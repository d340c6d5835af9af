"""The columns of a study's results: one list for page, CSV and LaTeX."""

from collections.abc import Callable
from dataclasses import dataclass

from speechbrain_tasnet.study.outcomes import Outcome


@dataclass(frozen=True)
class Column:
    """One figure.

    Parameters
    ----------
    key : str
        In the CSV file.
    group, title, unit : str
        At the head of the page's table.
    digits : int
        Decimal places, for people.
    value : callable
        Takes an `Outcome` without error; None where there is no such figure.
    meaning : str
        One sentence.
    """

    key: str
    group: str
    title: str
    unit: str
    digits: int
    value: Callable[[Outcome], float | None]
    meaning: str

    def of(self, outcome: Outcome) -> float | None:
        """Return the figure of a contestant."""
        return None if outcome.error else self.value(outcome)


def mean(metric: str) -> Callable[[Outcome], float | None]:
    """Make the function that gives the mean of a score."""
    return lambda outcome: outcome.metrics.get(metric, {}).get("mean")


def _spent(name: str, unit: float = 1.0) -> Callable[[Outcome], float | None]:
    return lambda outcome: None if outcome.ledger[name] is None else outcome.ledger[name] / unit


def _cost(name: str, unit: float = 1.0) -> Callable[[Outcome], float | None]:
    return lambda outcome: None if outcome.costs[name] is None else outcome.costs[name] / unit


def _ratio(dividend: str, divisor: str) -> Callable[[Outcome], float]:
    return lambda outcome: outcome.ledger[dividend] / outcome.ledger[divisor]


GAIN, SDR = "si_snr_i_db", "sdr_i_db"
METRICS = {GAIN: "si-snr_i", SDR: "sdr_i"}  # as `Evaluator.summary` calls them

COLUMNS = {
    column.key: column
    for column in (
        Column(GAIN, "quality", "SI-SNRi", "dB", 2, mean("si-snr_i"), "Mean improvement over the mixture."),
        Column(SDR, "quality", "SDRi", "dB", 2, mean("sdr_i"), "The same by BSS eval 3."),
        Column(
            "parameters_millions", "network", "parameters", "M", 2, _cost("parameters", 1e6), "Weights and biases."
        ),
        Column(
            *("gmacs_per_second", "network", "MACs", "G/s", 2, _cost("macs_per_second", 1e9)),
            "Multiply-accumulates to separate a second of audio.",
        ),
        Column(
            *("real_time_factor", "network", "real-time factor", "", 3, _cost("real_time_factor")),
            "Time one thread takes for a mixture, divided by its duration.",
        ),
        Column(
            *("latency_ms", "network", "latency", "ms", 0, _cost("latency_ms")),
            "Signal that is needed before a sample comes out; none: the whole mixture.",
        ),
        Column(
            *("audio_per_second", "training", "throughput", "s/s", 1, _ratio("audio", "seconds")),
            "Seconds of audio per second of training steps.",
        ),
        Column(
            *("training_memory_mb", "training", "memory", "MB", 0, _cost("training_memory", 1e6)),
            "Increase of the peak by a training step.",
        ),
        Column("steps", "training", "steps", "", 0, _spent("steps"), "Steps of the optimizer."),
        Column(
            "audio_hours", "training", "audio", "h", 2, _spent("audio", 3600), "Audio trained on, mixed or cut."
        ),
        Column(
            "training_hours",
            "training",
            "time",
            "h",
            2,
            _spent("seconds", 3600),
            "Wall-clock time within the training steps.",
        ),
        Column(
            *("cores_used", "training", "cores", "", 2, _ratio("cpu_seconds", "seconds")),
            "Processor time per wall-clock time: below the number of threads if other programs were running.",
        ),
        Column(
            *("energy_wh", "training", "energy", "Wh", 1, _spent("joules", 3600)),
            "Energy of the whole machine's processors and the GPU within the steps.",
        ),
    )
}


def non_empty_columns(outcomes: list[Outcome]) -> list[Column]:
    """Return the columns that say something about any contestant."""
    return [c for c in COLUMNS.values() if any(c.of(outcome) is not None for outcome in outcomes)]
