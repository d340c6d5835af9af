"""An exported step, run in onnxruntime chunk by chunk, gives what `separate` gives."""

import pytest
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet, separate
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.export import export_streaming_onnx

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def build(norm, edge_padding, **sizes):
    torch.manual_seed(0)
    sizes = {"N": 16, "B": 8, "H": 24, "Sc": 8, "X": 3, "R": 2, "C": 3} | sizes
    N = sizes["N"]
    return (
        Encoder(N, 16, None, edge_padding),
        MaskNet(**sizes, norm=norm, causal=True),
        Decoder(N, 16, edge_padding),
    )


def play(session, mixture, chunk, edge_padding, stride=8):
    """Run the graph over a signal [1, time], as its description says: [1, given, C]."""
    kinds = {"tensor(float)": torch.float32, "tensor(double)": torch.float64}
    state = {i.name: torch.zeros(i.shape, dtype=kinds[i.type]).numpy() for i in session.get_inputs()}
    del state["chunk"]
    if not edge_padding:
        state["encoder"], mixture = mixture[:, :stride].numpy(), mixture[:, stride:]
    names = [output.name for output in session.get_outputs()]
    parts = []
    for part in mixture.split(chunk, dim=1):
        if part.shape[1] == chunk:
            results = dict(zip(names, session.run(names, {"chunk": part.numpy(), **state}), strict=True))
            parts.append(torch.from_numpy(results.pop("sources")))
            state = {name.removeprefix("next."): value for name, value in results.items()}
    given = torch.cat(parts, dim=1)
    return given[:, stride:] if edge_padding else given


@pytest.mark.parametrize("edge_padding", [False, True])
@pytest.mark.parametrize(("norm", "Sc"), [("cumulative", 8), ("channelwise", 8), ("cumulative", 0)])
def test_a_step_in_onnxruntime(norm, Sc, edge_padding, tmp_path):
    model = build(norm, edge_padding, Sc=Sc)
    export_streaming_onnx(*model, tmp_path / "step.onnx", 80, 8000)
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx", providers=["CPUExecutionProvider"])
    told = {"sample_rate": "8000", "num_spks": "3", "mics": "1", "outputs": "reference", "reference": "0"}
    told["edge_padding"] = str(edge_padding)
    assert session.get_modelmeta().custom_metadata_map == told
    mixture = torch.randn(1, 2000)
    got = play(session, mixture, 80, edge_padding)
    with torch.no_grad():
        expected = separate(*model, mixture)
    assert 1900 <= got.shape[1] < 2000
    torch.testing.assert_close(got, expected[:, : got.shape[1]], rtol=0, atol=1e-4)


def test_a_step_of_two_microphones_in_onnxruntime(tmp_path):
    torch.manual_seed(0)
    encoder, decoder = Encoder(16, 16, edge_padding=True, mics=2), Decoder(16, 16, edge_padding=True)
    masknet = MaskNet(16, 8, 24, 8, X=3, R=2, norm="cumulative", causal=True, mics=2)
    export_streaming_onnx(encoder, masknet, decoder, tmp_path / "step.onnx", 80, 8000)
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx", providers=["CPUExecutionProvider"])
    mixture = torch.randn(1, 2000, 2)
    got = play(session, mixture, 80, edge_padding=True)
    with torch.no_grad():
        expected = separate(encoder, masknet, decoder, mixture)
    torch.testing.assert_close(got, expected[:, : got.shape[1]], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("causal", "chunk", "message"),
    [(False, 80, "sees the future"), (True, 81, "multiple of L/2=8"), (True, 0, "chunk_samples=0")],
)
def test_impossible_exports_are_refused(causal, chunk, message, tmp_path):
    encoder, _, decoder = build("cumulative", False)
    masknet = MaskNet(16, 8, 24, 8, X=3, R=2, norm="cumulative", causal=causal)
    with pytest.raises(InputError, match=message):
        export_streaming_onnx(encoder, masknet, decoder, tmp_path / "step.onnx", chunk)
    assert not list(tmp_path.iterdir())
