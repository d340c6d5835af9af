"""The sweeps of `block` over a GPU's memory, written in Triton.

A row is one frame's channels. Each program walks over tiles of whole rows, channels along the lanes, and all is
done with a row while it is in registers. Rows beyond the end of an item count as zero and are written as zero.
Each program keeps its own sums over rows, which are added at the end, so that results do not depend on who comes
first. Computation is in the type of the parameters.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from speechbrain_tasnet.ops.gpu.arguments import Activation, Taps
from speechbrain_tasnet.ops.norm_statistics import spread, spread_backward

# Programs at most: a few for each multiprocessor of a large card.
CHUNKS = 1024
# Elements of a tile, four to a lane, so that a lane holds the same channels of all that it loads.
TILE = 512

# What differs from batch to batch and from block to block must not have the kernels compiled again.
_loop = triton.jit(do_not_specialize=["rows", "frames", "left", "step"])


@triton.jit
def _locate(first, valid, frames, rows, R: tl.constexpr):
    """Return for each row of a tile its index, whether it exists, its frame, and where its item ends."""
    row = first + tl.arange(0, R)
    exists = row < rows
    end = tl.load(valid + row // frames, mask=exists, other=0)
    return row.to(tl.int64), exists, row % frames, end


@triton.jit
def _channels(x, channels, C: tl.constexpr):
    c = tl.arange(0, C)
    return tl.load(x + c, mask=c < channels, other=0)


@triton.jit
def _taps(weight, channels, P: tl.constexpr, C: tl.constexpr):
    c = tl.arange(0, C)
    w = ()
    for k in tl.static_range(P):
        w += (tl.load(weight + c * P + k, mask=c < channels, other=0),)
    return w


@triton.jit
def _of_rows(x, row, wanted):
    return tl.expand_dims(tl.load(x + row, mask=wanted, other=0), -1)


@triton.jit
def _load(x, row, wanted, dtype: tl.constexpr, channels, C: tl.constexpr):
    c = tl.arange(0, C)
    place, mask = tl.expand_dims(row, -1) * channels + c, tl.expand_dims(wanted, -1) & (c < channels)
    return tl.load(x + place, mask=mask, other=0).to(dtype)


@triton.jit
def _store(x, row, exists, value, channels, C: tl.constexpr):
    c = tl.arange(0, C)
    tl.store(x + row[:, None] * channels + c, value, mask=exists[:, None] & (c < channels))


@triton.jit
def _prelu(a, slope):
    return tl.where(a > 0, a, a * slope)


@triton.jit
def _store_moments(y, mean, variance, row, exists, channels, C: tl.constexpr):
    # Twice over a row: the mean of the squares less the squared mean would lose small variances.
    m = tl.sum(y, axis=1) / channels
    centred = tl.where(tl.arange(0, C) < channels, y - m[:, None], 0)
    tl.store(mean + row, m, mask=exists)
    tl.store(variance + row, tl.sum(centred * centred, axis=1) / channels, mask=exists)


@_loop
def _statistics(x, bias, slope, valid, frames, mean, variance, rows, channels, R: tl.constexpr, C: tl.constexpr):
    b, slope = _channels(bias, channels, C), tl.load(slope)
    for first in range(tl.program_id(0) * R, rows, tl.num_programs(0) * R):
        row, exists, frame, end = _locate(first, valid, frames, rows, R)
        alive = frame < end
        a = _prelu(_load(x, row, alive, b.dtype, channels, C) + b, slope)
        _store_moments(tl.where(alive[:, None], a, 0), mean, variance, row, exists, channels, C)


@triton.jit
def _convolved(
    x, b, slope, mean, rstd, g, s, w, v, left, step, row, frame, end, channels, P: tl.constexpr, C: tl.constexpr
):  # fmt: skip
    """Convolve what the first half of a block makes of ``x``, for the rows of a tile."""
    y = v
    for k in tl.static_range(P):
        t = frame - left + k * step
        source, met = row + (t - frame), (t >= 0) & (t < end) & (frame < end)
        a = _prelu(_load(x, source, met, b.dtype, channels, C) + b, slope)
        r = _of_rows(rstd, source, met)
        n = (a * r - _of_rows(mean, source, met) * r) * g + s
        y += tl.where(met[:, None], n, 0) * w[k]
    return y


@_loop
def _convolve(
    x, bias, slope, mean1, rstd1, gain, shift, weight, taps_bias, slope2, left, step, valid, frames, out, mean2,
    variance2, rows, channels, P: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    b, g, s = _channels(bias, channels, C), _channels(gain, channels, C), _channels(shift, channels, C)
    w, v = _taps(weight, channels, P, C), _channels(taps_bias, channels, C)
    slope, slope2 = tl.load(slope), tl.load(slope2)
    for first in range(tl.program_id(0) * R, rows, tl.num_programs(0) * R):
        row, exists, frame, end = _locate(first, valid, frames, rows, R)
        y = _convolved(x, b, slope, mean1, rstd1, g, s, w, v, left, step, row, frame, end, channels, P, C)
        a = tl.where((frame < end)[:, None], _prelu(y, slope2), 0)
        _store(out, row, exists, a, channels, C)
        _store_moments(a, mean2, variance2, row, exists, channels, C)


@_loop
def _convolve_again(
    x, bias, slope, mean1, rstd1, gain, shift, weight, taps_bias, slope2, left, step, valid, frames, mean2, rstd2,
    v_out, n_out, rows, channels, P: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    b, g, s = _channels(bias, channels, C), _channels(gain, channels, C), _channels(shift, channels, C)
    w, v = _taps(weight, channels, P, C), _channels(taps_bias, channels, C)
    slope, slope2 = tl.load(slope), tl.load(slope2)
    for first in range(tl.program_id(0) * R, rows, tl.num_programs(0) * R):
        row, exists, frame, end = _locate(first, valid, frames, rows, R)
        y = _convolved(x, b, slope, mean1, rstd1, g, s, w, v, left, step, row, frame, end, channels, P, C)
        alive = frame < end
        n = (_prelu(y, slope2) - _of_rows(mean2, row, alive)) * _of_rows(rstd2, row, alive)
        _store(v_out, row, exists, tl.where(alive[:, None], y, 0), channels, C)
        _store(n_out, row, exists, tl.where(alive[:, None], n, 0), channels, C)


@_loop
def _finish(
    y, first_channel, mean, rstd, gain_sum, constant, valid, frames, x, out, width, rows, channels,
    R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    g, b = _channels(gain_sum + first_channel, channels, C), _channels(constant + first_channel, channels, C)
    c = tl.arange(0, C)
    for first in range(tl.program_id(0) * R, rows, tl.num_programs(0) * R):
        row, exists, frame, end = _locate(first, valid, frames, rows, R)
        alive = frame < end
        place, mask = row[:, None] * width + first_channel + c, alive[:, None] & (c < channels)
        z = tl.load(y + place, mask=mask, other=0).to(b.dtype) - _of_rows(mean, row, alive) * g
        z = tl.where(alive[:, None], z * _of_rows(rstd, row, alive) + b, 0)
        _store(out, row, exists, _load(x, row, exists, b.dtype, channels, C) + z, channels, C)


@_loop
def _row_sums(dn, n, valid, frames, total, product, rows, channels, R: tl.constexpr, C: tl.constexpr):
    for first in range(tl.program_id(0) * R, rows, tl.num_programs(0) * R):
        row, exists, frame, end = _locate(first, valid, frames, rows, R)
        d = _load(dn, row, frame < end, total.dtype.element_ty, channels, C)
        tl.store(total + row, tl.sum(d, axis=1), mask=exists)
        d *= _load(n, row, frame < end, total.dtype.element_ty, channels, C)
        tl.store(product + row, tl.sum(d, axis=1), mask=exists)


@_loop
def _activation_backward(
    dn, x, bias, slope, rstd, alpha, gamma, valid, frames, sums, rows, channels, R: tl.constexpr, C: tl.constexpr
):  # fmt: skip
    b, slope = _channels(bias, channels, C), tl.load(slope)
    d_bias, d_slope = tl.zeros([R, C], b.dtype), tl.zeros([R, C], b.dtype)
    for first in range(tl.program_id(0) * R, rows, tl.num_programs(0) * R):
        row, exists, frame, end = _locate(first, valid, frames, rows, R)
        alive = frame < end
        a = _load(x, row, alive, b.dtype, channels, C) + b
        d = _load(dn, row, alive, b.dtype, channels, C) * _of_rows(rstd, row, alive)
        d += _of_rows(alpha, row, alive) + _of_rows(gamma, row, alive) * _prelu(a, slope)
        d_slope += tl.where(a > 0, 0, a * d)
        d = tl.where(a > 0, d, d * slope)
        d_bias += d
        _store(dn, row, exists, d, channels, C)
    c = tl.arange(0, C)
    sums += tl.program_id(0) * (channels + 1)
    tl.store(sums + c, tl.sum(d_bias, axis=0), mask=c < channels)
    tl.store(sums + channels, tl.sum(d_slope))


@_loop
def _convolve_backward(
    dv, x, bias, slope, mean, rstd, gain, shift, weight, left, step, valid, frames, dn, total, product, sums, rows,
    channels, P: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    b, g, s = _channels(bias, channels, C), _channels(gain, channels, C), _channels(shift, channels, C)
    w, slope = _taps(weight, channels, P, C), tl.load(slope)
    d_weight = ()
    for _ in tl.static_range(P):
        d_weight += (tl.zeros([R, C], b.dtype),)
    d_gain, d_shift = tl.zeros([R, C], b.dtype), tl.zeros([R, C], b.dtype)
    for first in range(tl.program_id(0) * R, rows, tl.num_programs(0) * R):
        row, exists, frame, end = _locate(first, valid, frames, rows, R)
        alive = frame < end
        a = _prelu(_load(x, row, alive, b.dtype, channels, C) + b, slope)
        n = (a - _of_rows(mean, row, alive)) * _of_rows(rstd, row, alive)
        y = n * g + s
        d = tl.zeros([R, C], b.dtype)
        d_weight_so_far = d_weight
        d_weight = ()
        for k in tl.static_range(P):
            t = frame + left - k * step
            d_tap = _load(dv, row + (t - frame), (t >= 0) & (t < end) & alive, b.dtype, channels, C)
            d += d_tap * w[k]
            d_weight += (d_weight_so_far[k] + d_tap * y,)
        d_gain += d * n
        d_shift += d
        d *= g
        _store(dn, row, exists, d, channels, C)
        tl.store(total + row, tl.sum(d, axis=1), mask=exists)
        tl.store(product + row, tl.sum(d * n, axis=1), mask=exists)
    c = tl.arange(0, C)
    sums += tl.program_id(0) * (P + 2) * channels
    for k in tl.static_range(P):
        tl.store(sums + k * channels + c, tl.sum(d_weight[k], axis=0), mask=c < channels)
    tl.store(sums + P * channels + c, tl.sum(d_gain, axis=0), mask=c < channels)
    tl.store(sums + (P + 1) * channels + c, tl.sum(d_shift, axis=0), mask=c < channels)


def _tile(x: Tensor) -> tuple[int, int]:
    """Return how many rows, and channels with room to the next power of two, a program takes at once."""
    C = triton.next_power_of_2(x.shape[2])
    return max(1, TILE // C), C


def _chunks(x: Tensor) -> int:
    return min(CHUNKS, triton.cdiv(x.shape[0] * x.shape[1], _tile(x)[0]))


def _run(kernel, x: Tensor, *arguments, **constants) -> None:
    """Run a kernel over the rows of ``x``, by as many programs as `_chunks` returns."""
    if x.numel() == 0:
        return
    R, C = _tile(x)
    arguments = (a.contiguous() if isinstance(a, Tensor) else a for a in arguments)
    rows, warps = x.shape[0] * x.shape[1], min(max(C // 128, 4), 16)
    with torch.cuda.device_of(x):
        kernel[(_chunks(x),)](*arguments, rows, x.shape[2], **constants, R=R, C=C, num_warps=warps)


def _rows(x: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Make two tensors [batch, frames] for what is known of each row of ``x``, in the dtype of ``like``."""
    return like.new_empty(x.shape[:2]), like.new_empty(x.shape[:2])


def statistics(x: Tensor, bias: Tensor, slope: Tensor, norm: str, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Do as `cpu.statistics`."""
    mean, variance = _rows(x, bias)
    _run(_statistics, x, x, bias, slope, valid, x.shape[1], mean, variance)
    return spread(norm, mean, variance, valid)


def convolve(a: Activation, taps: Taps, slope: Tensor, norm: str, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Do as `cpu.convolve`."""
    out = a.x.new_empty(a.x.shape)
    mean, variance = _rows(out, a.bias)
    place = slope, taps.left, taps.dilation, valid, a.x.shape[1]
    _run(_convolve, out, *a, *taps[:2], *place, out, mean, variance, P=taps.weight.shape[2])
    return out, *spread(norm, mean, variance, valid)


def convolve_again(
    a: Activation, taps: Taps, slope: Tensor, mean: Tensor, rstd: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Do as `cpu.convolve_again`."""
    v, n = a.x.new_empty(a.x.shape), a.x.new_empty(a.x.shape)
    place = slope, taps.left, taps.dilation, valid, a.x.shape[1]
    _run(_convolve_again, v, *a, *taps[:2], *place, mean, rstd, v, n, P=taps.weight.shape[2])
    return v, n


def finish(
    y: Tensor,
    mean: Tensor,
    rstd: Tensor,
    gain_sum: Tensor,
    constant: Tensor,
    valid: Tensor,
    x: Tensor,
    skip: Tensor,
) -> tuple[Tensor, Tensor]:
    """Do as `cpu.finish`."""
    first, results = y.shape[2] - skip.shape[2], []
    for start, path in ((0, x[..., :first]), (first, skip)):
        results.append(path.new_empty(path.shape))
        rest = gain_sum, constant, valid, y.shape[1], path
        _run(_finish, path, y, start, mean, rstd, *rest, results[-1], y.shape[2])
    return tuple(results)


def activation_backward(
    dn: Tensor, n: Tensor, v: Tensor, slope: Tensor, norm: str, mean: Tensor, rstd: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Do as `cpu.activation_backward`."""
    dn = dn.contiguous()
    sums = _rows(n, mean)
    _run(_row_sums, n, dn, n, valid, n.shape[1], *sums)
    no_bias = mean.new_zeros(n.shape[2])
    return _through_activation(dn, sums, v, no_bias, slope, norm, mean, rstd, valid)


def convolve_backward(dv: Tensor, a: Activation, taps: Taps, norm: str, valid: Tensor) -> tuple[Tensor, ...]:
    """Do as `cpu.convolve_backward`."""
    channels, _, P = taps.weight.shape
    dn = a.x.new_empty(a.x.shape)
    total, product = _rows(dn, a.bias)
    sums = a.bias.new_empty(_chunks(a.x), P + 2, channels)
    place = taps.left, taps.dilation, valid, a.x.shape[1]
    _run(_convolve_backward, dn, dv, *a, taps.weight, *place, dn, total, product, sums, P=P)
    d_weight, d_gain, d_shift = sums.sum(0).split([P, 1, 1])
    d_activation = _through_activation(dn, (total, product), *a[:3], norm, a.mean, a.rstd, valid)
    return *d_activation, d_gain.squeeze(0), d_shift.squeeze(0), d_weight.T.unsqueeze(1)


def _through_activation(
    dn: Tensor,
    row_sums: tuple[Tensor, Tensor],
    x: Tensor,
    bias: Tensor,
    slope: Tensor,
    norm: str,
    mean: Tensor,
    rstd: Tensor,
    valid: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Propagate back through norm and PReLU; returns derivatives by ``x``, in place of ``dn``, bias and slope."""
    alpha, gamma = spread_backward(norm, *row_sums, mean, rstd, valid, len(bias))
    sums = bias.new_empty(_chunks(x), len(bias) + 1)
    place = valid, x.shape[1]
    _run(_activation_backward, dn, dn, x, bias, slope, rstd, alpha, gamma, *place, sums)
    d_bias, d_slope = sums.sum(0).split([len(bias), 1])
    return dn, d_bias, d_slope
