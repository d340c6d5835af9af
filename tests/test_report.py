import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from speechbrain_tasnet.evaluation.evaluator import Evaluator
from speechbrain_tasnet.report.evaluation_page import MAX_SECONDS, PEAK, RAMPS, write_report

RATE = 8000
VOID = {"meta", "img"}
CURVE = [{"epoch": 1, "train": -2.0, "valid": -1.0}, {"epoch": 2, "train": 5.0, "valid": 4.5}]


class Page(HTMLParser):
    """Checks that every element is closed in its turn and collects what the tests look at."""

    def __init__(self, text):
        super().__init__()
        self.text, self.open, self.elements, self.words = text, [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def separated(seed, leak, samples=4000, gain=1.0):
    """A mixture of two noises, and estimates in the wrong order that leak."""
    generator = torch.Generator().manual_seed(seed)
    targets = 0.1 * torch.randn(samples, 2, generator=generator)
    return targets.sum(1), targets, gain * (targets + leak * targets.flip(1)).flip(1)


def report(path, utterances, curve=CURVE, rate=RATE, metrics=(), aligned_sources=True, **words):
    evaluator = Evaluator(rate, metrics, aligned_sources)
    for name, signals in utterances.items():
        evaluator.add(name, *signals)
    words = {"title": "a run", "voices": "new voices", "facts": {"parameters": "5.0 million"}} | words
    write_report(
        path / "report.html",
        **words,
        summary=evaluator.summary(),
        rows=evaluator.rows,
        curve=curve,
        examples=evaluator.examples(utterances.__getitem__),
    )
    return Page((path / "report.html").read_text(encoding="utf-8"))


def decoded(uri, kind):
    header, content = uri.split(",")
    assert header == f"data:{kind};base64"
    return io.BytesIO(base64.b64decode(content, validate=True))


def sounds(page):
    """The players' samples, in page order: mixture, then reference and estimate of each voice."""
    return [soundfile.read(decoded(player["src"], "audio/flac"))[0] for player in page.all("audio")]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    utterances = {f"utt{k}": separated(k, 1 / (k + 2)) for k in range(5)}
    return report(tmp_path_factory.mktemp("report"), utterances)


def test_page_needs_nothing_from_outside(page):
    sources = [value for _, attributes in page.elements for name, value in attributes.items()
               if name in ("src", "href", "srcset", "data", "poster")]  # fmt: skip
    assert len(sources) == 3 * 5 * 2
    assert all(source.startswith("data:") for source in sources)
    assert not page.all("link")
    assert not re.search(r"https?://|@import|url\(", page.text)


def test_page_is_accessible_and_fits_a_phone(page):
    assert page.all("html") == [{"lang": "en"}]
    assert "a run" in page.text.split("<title>")[1].split("</title>")[0]
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    labels = [element.get("aria-label") for element in page.all("svg") + page.all("audio")]
    assert all(labels)
    assert len(set(labels)) == len(labels)


def test_page_states_the_result(page):
    assert re.search(
        r"On 5 mixtures of new voices, the model raises the SI-SNR by \d+\.\d dB \(95\s% interval", page.words
    )
    assert "All 5 mixtures came out better" in page.words
    assert "Learning curve" in page.words
    assert "5.0 million" in page.words
    assert "best at epoch 2: 4.5 dB" in " ".join(page.words.split())
    ranks = re.findall(r"(Best|Median|Worst) mixture: (utt\d)", page.words)
    assert ranks == [("Best", "utt4"), ("Median", "utt2"), ("Worst", "utt0")]


def test_players_hold_the_signals_at_one_level(tmp_path):
    mixture, targets, estimates = signals = separated(1, 0.2, gain=50.0)
    heard = sounds(report(tmp_path, {"loud": signals}))
    wanted = [mixture, targets[:, 0], estimates[:, 1], targets[:, 1], estimates[:, 0]]
    assert max(np.abs(sound).max() for sound in heard) == pytest.approx(PEAK, abs=1e-3)
    for sound, signal in zip(heard, wanted, strict=True):
        assert np.corrcoef(sound, signal)[0, 1] > 0.9999
    # The estimates came 34 dB too loud; by ear they must compare with their references.
    for reference, estimate in ((heard[1], heard[2]), (heard[3], heard[4])):
        assert np.std(estimate) == pytest.approx(np.std(reference), rel=1e-3)


def test_silent_signals_stay_silent(tmp_path):
    mixture, targets, estimates = separated(2, 0.2)
    heard = sounds(report(tmp_path, {"a": (mixture, targets, 0 * estimates)}))
    assert not heard[2].any()
    assert np.abs(heard[0]).max() > 0.5


def test_silent_target_is_shown_without_score(tmp_path):
    _, targets, estimates = separated(2, 0.2)
    targets = torch.cat([targets, torch.zeros(len(targets), 1)], 1)
    estimates = torch.cat([estimates, estimates[:, :1]], 1)
    page = report(tmp_path, {"a": (targets.sum(1), targets, estimates)})
    assert page.words.count("not scored") == 1
    assert len(page.all("audio")) == 7
    assert "Not scored: 1 silent" in page.words


def test_spectrogram_shows_a_tone_where_it_is(tmp_path):
    time = torch.arange(RATE) / RATE
    targets = torch.stack([torch.sin(6.2832 * 1000 * time), torch.sin(6.2832 * 3000 * time)], 1)
    page = report(tmp_path, {"tones": (targets.sum(1), targets, targets)})
    picture = Image.open(decoded(page.all("image")[1]["href"], "image/png"))
    index = np.asarray(picture)
    # Rows are frequencies from 4 kHz at the top down to 0 Hz, columns are frames of 8 ms.
    assert index.shape == (129, 126)
    assert (index[:, 20:-20].argmax(0) == 128 * 3 // 4).all()
    soft, loud = (bytes.fromhex(RAMPS["reference"][k][1:]) for k in (0, -1))
    palette = bytes(picture.getpalette())
    assert (palette[:3], palette[63 * 3 : 64 * 3]) == (soft, loud)


def test_each_role_has_its_colours(page):
    palettes = [Image.open(decoded(image["href"], "image/png")).getpalette() for image in page.all("image")]
    mixture, reference, estimate = palettes[:3]
    assert mixture != reference != estimate != mixture
    assert palettes == 3 * [mixture, reference, estimate, reference, estimate]


def test_hostile_words_are_only_words(tmp_path):
    hostile = "\"><script>alert('x')</script><img src=x onerror=alert(1)>"
    page = report(tmp_path, {hostile: separated(0, 0.1)}, title=hostile, voices=hostile, facts={hostile: hostile})
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert page.words.count(hostile) >= 5


def test_without_learning_curve_there_is_no_such_chart(tmp_path, page):
    diverged = [{"epoch": 1, "train": float("nan"), "valid": float("nan")}]
    for curve in ([], diverged):
        without = report(tmp_path, {"a": separated(0, 0.1)}, curve=curve)
        assert "Learning curve" not in without.words
        assert "nan" not in without.words
        assert len(without.all("path")) == len(page.all("path")) - 2


def test_headline_admits_a_loss_and_names_the_failures(tmp_path):
    utterances = {}
    for seed in range(8):
        mixture, targets, _ = separated(seed, 0)
        utterances[f"bad{seed}"] = (mixture, targets, targets + 5 * torch.rand_like(targets).sub(0.5))
    page = report(tmp_path, utterances)
    words = " ".join(page.words.split())
    assert re.search(r"lowers the SI-SNR by \d+\.\d dB \(95 % interval \d+\.\d to \d+\.\d\)", words)
    assert "8 of 8 mixtures (100.0 %) came out no better" in words
    assert len(re.findall(r"bad\d", words.split(" and 2 more")[0])) == 6


def test_one_mixture_and_none(tmp_path):
    one = report(tmp_path, {"a": separated(0, 0.1)})
    assert "The mixture came out better" in one.words
    assert re.search(r"On 1 mixture of new voices, the model raises the SI-SNR by \d+\.\d dB\.", one.words)
    silence = torch.zeros(800)
    none = report(tmp_path, {"quiet": (silence, silence[:, None], silence[:, None])}, curve=[])
    assert "No mixture of new voices could be scored." in none.words
    assert "Listen" not in none.words


def test_long_utterance_is_cut_and_says_so(tmp_path):
    page = report(tmp_path, {"long": separated(0, 0.1, samples=(MAX_SECONDS + 2) * RATE)})
    assert {len(sound) for sound in sounds(page)} == {MAX_SECONDS * RATE}
    assert "First 10 of 12.0 seconds" in page.words


def test_page_stays_small(tmp_path):
    page = report(tmp_path, {f"u{k}": separated(k, 0.1, samples=6 * RATE) for k in range(3)})
    assert len(page.text) < 4e6


def test_page_says_who_was_found(tmp_path, page):
    assert "Who was found" not in page.words
    assert "Who speaks when" not in page.words
    mixture, targets, estimates = separated(1, 0.01)
    alone = torch.stack([targets[:, 0], 0 * mixture], 1)
    utterances = {
        "both": (mixture, targets, estimates),
        "one": (targets[:, 0], alone, alone + 0.02 * alone.flip(1)),
        "torn": (targets[:, 0], alone, 0.5 * targets[:, [0, 0]]),
    }
    found = report(tmp_path, utterances)
    words = " ".join(found.words.split())
    assert (
        "The right number of voices was found in 66.7 % of the mixtures, too few in 0.0 %, too many in 33.3 %"
        in words
    )
    head, one, two, all_ = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in talk_rows(found.text))
    assert head[:4] == ["0 found", "1 found", "2 found", "SI-SNR, dB"]
    assert one[:4] == ["1 speaks", "0", "1", "1"]
    assert two[:4] == ["2 speak", "0", "0", "1"]
    assert head[5:7] == ["P-SI-SNR, dB", "SA-SDR, dB"]
    assert two[8] == "\N{EN DASH}"  # nobody is silent
    assert all_[:4] == ["all", "0", "1", "2"]
    assert two[6] == "40.0"
    assert re.fullmatch(r"\d+\.\d", all_[6])
    assert "Who speaks when" in words
    assert len(re.findall(r'<rect class="turn (?:reference|estimate)"', found.text)) == 4  # of the one that gained


@pytest.mark.parametrize("metrics", [["der"], []])
def test_without_aligned_sources_the_page_is_about_who_was_found(tmp_path, metrics):
    utterances = {}
    for number in range(3):
        _, targets, _ = separated(number, 0.01, samples=2 * RATE)
        targets[RATE:, 0] = targets[: RATE // 2, 1] = 0
        # What is recorded comes later than what was played, of which a little is in the wrong output.
        estimates = targets.flip(1).roll(80, 0) + 0.05 * targets
        estimates[: RATE // 2 + number * RATE // 3, 0] = 0
        utterances[f"utt{number}"] = estimates.sum(1), targets, estimates
    page = report(tmp_path, utterances, metrics=metrics, aligned_sources=False)
    words = " ".join(page.words.split())
    assert "On 3 mixtures of new voices, the model finds the right number of voices in 100.0 %" in words
    for name in ("SI-SNR, dB", "improvement", "in the right output", "SA-SDR", "SDR", "came out", "not scored"):
        assert name not in words.replace("neither SI-SNR nor any", "")
    head, two = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in talk_rows(page.text))
    assert (head, two) == (["0 found", "1 found", "2 found"], ["2 speak", "0", "0", "3"])
    ranks = re.findall(r"(Best|Median|Worst) mixture: (utt\d)", words)
    if metrics:
        assert "with a diarisation error rate of" in words
        assert ranks == [("Best", "utt0"), ("Median", "utt1"), ("Worst", "utt2")]
        players = sounds(page)
        for reference, estimate in zip(players[1::5], players[2::5], strict=True):  # whatever their samples say
            assert np.corrcoef(reference[:-80], estimate[80:])[0, 1] > 0.9
    else:
        assert ranks == []


def talk_rows(text):
    table = text.split('aria-label="Voices that speak')[1].split("</table>")[0]
    return [row.replace("<td></td>", "") for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)]
