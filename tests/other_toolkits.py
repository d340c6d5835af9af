"""The Conv-TasNets of toolkits that are not installed with the tests, as small as they can be said.

Tensors have the toolkits' names. What each does otherwise than the paper stands beside the line that does it.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


def small(N=12, L=8, B=6, H=10, P=3, X=3, R=2, C=2, **options):
    return {"N": N, "L": L, "B": B, "H": H, "P": P, "X": X, "R": R, "C": C} | options


def stir(model, seed=0):
    """Draw all weights anew, so that no gain is 1, no bias 0 and no slope 0.25."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.numel() == 1 or name.rsplit(".", 1)[-1] in ("gamma", "gain"):
                parameter.copy_(noise * 0.2 + 0.6)
            else:
                parameter.copy_(noise / parameter[0].numel() ** 0.5 if parameter.ndim > 1 else 0.3 * noise)
    return model


class Norm(nn.Module):
    """Over all frames, over one frame, or over those so far; ``gain`` names its parameters."""

    def __init__(self, kind, channels, gain="gamma", shift="beta", eps=1e-8, flat=False):
        super().__init__()
        self.kind, self.eps, self.names = kind, eps, (gain, shift)
        shape = (channels,) if flat else (1, channels, 1)
        self.register_parameter(gain, nn.Parameter(torch.ones(shape)))
        self.register_parameter(shift, nn.Parameter(torch.zeros(shape)))

    def forward(self, x):  # [batch, channels, frames]
        x = x.double()
        if self.kind == "cumulative":
            count = x.shape[1] * torch.arange(1, x.shape[2] + 1)
            mean = (x.sum(1, keepdim=True).cumsum(2)) / count
            var = x.square().sum(1, keepdim=True).cumsum(2) / count - mean.square()
        else:
            var, mean = torch.var_mean(x, (1, 2) if self.kind == "global" else 1, unbiased=False, keepdim=True)
        gain, shift = (getattr(self, name).reshape(1, -1, 1) for name in self.names)
        return (gain * ((x - mean) / (var + self.eps).sqrt()) + shift).float()


class Cut(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return x[..., : -self.size]


def overlap_add(frames, stride):  # [..., frames, L]
    signal = frames.new_zeros(*frames.shape[:-2], (frames.shape[-2] - 1) * stride + frames.shape[-1])
    for i in range(frames.shape[-2]):
        signal[..., i * stride : i * stride + frames.shape[-1]] += frames[..., i, :]
    return signal


class NaplabBlock(nn.Module):
    def __init__(self, B, H, P, dilation, causal, skip):
        super().__init__()
        self.cut = (P - 1) * dilation if causal else 0
        norm = ("cumulative", H, "gain", "bias") if causal else ("global", H, "weight", "bias", 1e-8, True)
        self.conv1d, self.nonlinearity1, self.reg1 = nn.Conv1d(B, H, 1), nn.PReLU(), Norm(*norm)
        self.dconv1d = nn.Conv1d(H, H, P, padding=self.cut or dilation, dilation=dilation, groups=H)
        self.nonlinearity2, self.reg2, self.res_out = nn.PReLU(), Norm(*norm), nn.Conv1d(H, B, 1)
        self.skip_out = nn.Conv1d(H, B, 1) if skip else None

    def forward(self, x):
        y = self.dconv1d(self.reg1(self.nonlinearity1(self.conv1d(x))))
        y = self.reg2(self.nonlinearity2(y[..., : -self.cut] if self.cut else y))
        return x + self.res_out(y), self.skip_out(y) if self.skip_out else 0


class Naplab(nn.Module):
    def __init__(self, N, L, B, H, P, X, R, C, causal=False, skip=True):
        super().__init__()
        self.sources, self.window = C, L
        self.encoder = nn.Conv1d(1, N, L, stride=L // 2, bias=False)
        self.decoder = nn.ConvTranspose1d(N, 1, L, stride=L // 2, bias=False)
        self.TCN = nn.Module()
        norm = ("cumulative", N, "gain", "bias") if causal else ("global", N, "weight", "bias", 1e-8, True)
        self.TCN.LN, self.TCN.BN = Norm(*norm), nn.Conv1d(N, B, 1)
        self.TCN.TCN = nn.ModuleList(NaplabBlock(B, H, P, 2**x, causal, skip) for _ in range(R) for x in range(X))
        self.TCN.output = nn.Sequential(nn.PReLU(), nn.Conv1d(B, C * N, 1))

    def forward(self, mixture):
        stride, rest = self.window // 2, self.window - (self.window // 2 + mixture.shape[1]) % self.window
        w = self.encoder(F.pad(mixture, (stride, rest + stride)).unsqueeze(1))  # one zero more, or many
        x, total = self.TCN.BN(self.TCN.LN(w)), 0
        for block in self.TCN.TCN:
            x, skip = block(x)
            total = total + skip
        total = total if self.TCN.TCN[0].skip_out else x
        masks = self.TCN.output(total).sigmoid().unflatten(1, (self.sources, -1))
        signal = self.decoder((masks * w.unsqueeze(1)).flatten(0, 1)).unflatten(0, masks.shape[:2]).squeeze(2)
        return signal[..., stride : -(rest + stride)].transpose(1, 2)


class KaituoxuBlock(nn.Module):
    def __init__(self, B, H, P, dilation, norm, causal, eps):
        super().__init__()
        padding = (P - 1) * dilation if causal else (P - 1) * dilation // 2
        conv = nn.Conv1d(H, H, P, padding=padding, dilation=dilation, groups=H, bias=False)
        layers = [conv, *([Cut(padding)] if causal else []), nn.PReLU(), Norm(norm, H, eps=eps)]
        inner = nn.Module()
        inner.net = nn.Sequential(*layers, nn.Conv1d(H, B, 1, bias=False))
        inner.forward = inner.net.forward
        self.net = nn.Sequential(nn.Conv1d(B, H, 1, bias=False), nn.PReLU(), Norm(norm, H, eps=eps), inner)

    def forward(self, x):
        return x + self.net(x)


MASKS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "softmax": lambda x: x.softmax(1)}


class KaituoxuSeparator(nn.Module):
    def __init__(self, N, B, H, P, X, R, C, norm, causal, mask, eps=1e-8, prelu=False):
        super().__init__()
        self.sources, self.mask = C, MASKS[mask]
        repeats = nn.Sequential(
            *(
                nn.Sequential(*(KaituoxuBlock(B, H, P, 2**x, norm, causal, eps) for x in range(X)))
                for _ in range(R)
            )
        )
        first = Norm("channelwise", N, eps=eps), nn.Conv1d(N, B, 1, bias=False)  # whatever the blocks' norm
        last = [nn.PReLU()] if prelu else []
        self.network = nn.Sequential(*first, repeats, *last, nn.Conv1d(B, C * N, 1, bias=False))

    def forward(self, w):
        return self.mask(self.network(w).unflatten(1, (self.sources, -1)))


class Kaituoxu(nn.Module):
    def __init__(self, N, L, B, H, P, X, R, C, norm="global", causal=False, mask="relu"):
        super().__init__()
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.conv1d_U = nn.Conv1d(1, N, L, stride=L // 2, bias=False)
        self.separator = KaituoxuSeparator(N, B, H, P, X, R, C, norm, causal, mask)
        self.decoder.basis_signals = nn.Linear(N, L, bias=False)

    def forward(self, mixture):
        w = self.encoder.conv1d_U(mixture.unsqueeze(1)).relu()
        frames = self.decoder.basis_signals((self.separator(w) * w.unsqueeze(1)).transpose(2, 3))
        signal = overlap_add(frames, frames.shape[-1] // 2)
        return F.pad(signal, (0, mixture.shape[1] - signal.shape[2])).transpose(1, 2)


class ESPnet(nn.Module):
    def __init__(self, N, L, B, H, P, X, R, C, norm="global", causal=False, mask="relu", prelu=False):
        super().__init__()
        self.encoder, self.separator, self.decoder = nn.Module(), nn.Module(), nn.Module()
        self.encoder.conv1d = nn.Conv1d(1, N, L, stride=L // 2, bias=False)
        eps = torch.finfo(torch.float32).eps  # instead of 1e-8
        self.separator.tcn = KaituoxuSeparator(N, B, H, P, X, R, C, norm, causal, mask, eps, prelu)
        self.decoder.convtrans1d = nn.ConvTranspose1d(N, 1, L, stride=L // 2, bias=False)

    def forward(self, mixture):
        w = self.encoder.conv1d(mixture.unsqueeze(1)).relu()
        masked = self.separator.tcn(w) * w.unsqueeze(1)
        signal = self.decoder.convtrans1d(masked.flatten(0, 1)).unflatten(0, masked.shape[:2]).squeeze(2)
        return F.pad(signal, (0, mixture.shape[1] - signal.shape[2])).transpose(1, 2)


class AsteroidBlock(nn.Module):
    def __init__(self, B, H, Sc, P, dilation, norm, causal):
        super().__init__()
        padding = (P - 1) * dilation if causal else (P - 1) * dilation // 2
        conv = nn.Conv1d(H, H, P, padding=padding, dilation=dilation, groups=H)
        conv = nn.Sequential(conv, Cut(padding)) if causal else conv
        first, second = Norm(norm, H, flat=True), Norm(norm, H, flat=True)
        self.shared_block = nn.Sequential(nn.Conv1d(B, H, 1), nn.PReLU(), first, conv, nn.PReLU(), second)
        self.res_conv = nn.Conv1d(H, B, 1)
        if Sc:
            self.skip_conv = nn.Conv1d(H, Sc, 1)


class Asteroid(nn.Module):
    NORMS = {"gLN": "global", "cgLN": "cumulative", "cLN": "channelwise"}  # noqa: RUF012

    def __init__(self, N, L, B, H, P, X, R, C, Sc=5, norm="gLN", causal=False, mask="sigmoid", activation=None):
        super().__init__()
        kind = "channelwise" if causal and norm == "gLN" else self.NORMS[norm]  # swapped without being asked
        self.model_args = {
            "fb_name": "FreeFB", "n_filters": N, "kernel_size": L, "stride": L // 2, "sample_rate": 8000.0,
            "in_chan": N, "out_chan": N, "bn_chan": B, "hid_chan": H, "skip_chan": Sc, "conv_kernel_size": P,
            "n_blocks": X, "n_repeats": R, "n_src": C, "norm_type": norm, "mask_act": mask, "causal": causal,
            "encoder_activation": activation,
        }  # fmt: skip
        self.encoder, self.masker, self.decoder = nn.Module(), nn.Module(), nn.Module()
        for part in (self.encoder, self.decoder):
            part.filterbank = nn.Module()
            part.filterbank._filters = nn.Parameter(torch.empty(N, 1, L))
        self.masker.bottleneck = nn.Sequential(Norm(kind, N, flat=True), nn.Conv1d(N, B, 1))
        blocks = (AsteroidBlock(B, H, Sc, P, 2**x, kind, causal) for _ in range(R) for x in range(X))
        self.masker.TCN = nn.ModuleList(blocks)
        self.masker.mask_net = nn.Sequential(nn.PReLU(), nn.Conv1d(Sc or B, C * N, 1))

    def get_model_args(self):
        return self.model_args

    def serialize(self):
        return {"model_name": "ConvTasNet", "state_dict": self.state_dict(), "model_args": self.model_args}

    def forward(self, mixture):
        args, stride = self.model_args, self.model_args["stride"]
        w = F.conv1d(mixture.unsqueeze(1), self.encoder.filterbank._filters, stride=stride)
        w = w.relu() if args["encoder_activation"] else w
        x, skip = self.masker.bottleneck(w), 0
        for block in self.masker.TCN:
            y = block.shared_block(x)
            x = x + block.res_conv(y)
            skip = skip + block.skip_conv(y) if args["skip_chan"] else x
        masks = MASKS[args["mask_act"]](self.masker.mask_net(skip).unflatten(1, (args["n_src"], -1)))
        masked = (masks * w.unsqueeze(1)).flatten(0, 1)
        signal = F.conv_transpose1d(masked, self.decoder.filterbank._filters, stride=stride)
        signal = signal.unflatten(0, masks.shape[:2]).squeeze(2)
        return F.pad(signal, (0, mixture.shape[1] - signal.shape[2])).transpose(1, 2)
