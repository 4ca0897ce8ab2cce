"""The golden model against references that share nothing with it: torch in float64, Fractions, loops over pixels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hls import isa
from hls.golden import requantize, run
from hls.program import decode, encode
from hls.record import decode as decode_records
from hls.shapes import conv_row, filter_bytes, inner_rows, output_size, row_bytes
from hls.stress.builder import PRIMES, scale_word
from hls.stress.random_programs import random_program
from tests.hls.instruction import clamp, exact, one_instruction, random_map

SEEDS = range(40)


@given(st.integers(-(2**40), 2**40), st.integers(-(2**31), 2**31 - 1))
def test_requantize_rounds_half_up(value, scale):
    assert requantize(value, scale) == exact(value, scale)


@given(st.floats(1e-6, 1e4), st.booleans())
def test_scale_words_multiply_by_their_factor(factor, negative):
    expected = -factor if negative else factor
    assert requantize(1 << 32, scale_word(factor, negative)) / 2**32 == pytest.approx(expected, rel=1e-4, abs=1e-9)


def halo(rng, fields):
    """Flags of a random band of a map with these fields."""
    flags = isa.FLAG_HALO_TOP * int(rng.integers(2)) | isa.FLAG_HALO_BOTTOM * int(rng.integers(2))
    return flags if inner_rows({**fields, "flags": flags}) > 0 else 0


def inner_outputs(values, flags, height, stride):
    """Of an operation's outputs (…, height, width) at stride 1 in rows, those that a band has."""
    top = 8 if flags & isa.FLAG_HALO_TOP else 0
    end = (height - 1) // 8 * 8 if flags & isa.FLAG_HALO_BOTTOM else height
    return values[..., top:end:stride, :]


@pytest.mark.parametrize("seed", range(80))
def test_conv_is_torchs_convolution_of_active_channels(seed):
    rng = np.random.default_rng(seed)
    ins, outs, height, width = (int(rng.choice(PRIMES[:10])) for _ in range(4))
    kernel, stride, flags = int(rng.choice((1, 3, 5, 7))), int(rng.choice((1, 2))), int(rng.integers(16))
    fields = {"in_channels": ins, "out_channels": outs, "height": height, "width": width, "kernel": kernel}
    fields |= {"in_mask": int(rng.integers(2)), "out_mask": 2, "stride": stride, "pool": int(rng.choice((-1, 5)))}
    flags |= halo(rng, fields)
    words = encode(isa.CONV, flags=flags, input=0, output=3000, identity=5000, weights=16, table=2, **fields)
    row, size = conv_row(fields), filter_bytes(fields)
    weights = rng.integers(-128, 128, 16 + outs * row, dtype=np.int8)
    scale = scale_word(1 / (40 * kernel * math.sqrt(ins)))
    rows = [(rng.integers(-5000, 5000), scale)] * outs
    tables = np.array([0, 0, scale_word(0.07), scale_word(0.6), *np.ravel(rows)], np.int32)
    engine, decoded = one_instruction(words, weights, tables)
    out = output_size(decoded)
    x, identity = random_map(rng, (ins, height, width), flags & 1), random_map(rng, (outs, *out), flags & 8)
    old = random_map(rng, (outs, *out), True)
    for base, content in ((0, x), (3000, old), (5000, identity)):
        engine.store(base, content)
    active_in, active_out = (rng.random(ins) < 0.7) | (fields["in_mask"] == 0), rng.random(outs) < 0.7
    engine.masks[1], engine.masks[2] = np.flatnonzero(active_in), np.flatnonzero(active_out)
    engine.vector[:] = 7777
    engine.methods[isa.CONV](decoded)

    kernels = weights[16:].reshape(outs, row)[:, : ins * size].reshape(outs, ins, size)[:, :, : kernel**2]
    kernels = np.maximum(kernels, -127).reshape(outs, ins, kernel, kernel)  # a weight byte of -128 counts as -127
    kernels = torch.tensor(kernels, dtype=torch.float64)
    masked = torch.tensor(x * active_in[:, None, None], dtype=torch.float64)[None]
    sums = torch.nn.functional.conv2d(masked, kernels, None, (1, stride), kernel // 2)[0]
    sums = inner_outputs(sums, flags, height, stride)
    assert sums.shape == old.shape
    expected = old.copy()
    for o, y, z in np.ndindex(expected.shape):
        if active_out[o]:
            value = exact(int(sums[o, y, z]) + int(tables[4 + 2 * o]), scale)
            value += exact(identity[o, y, z], int(tables[3])) if flags & isa.FLAG_ADD else 0
            expected[o, y, z] = clamp(value, flags)
    stored = engine.load(3000, outs, *out, signed=True)
    assert np.array_equal(stored[active_out] & 255, expected[active_out] & 255)
    assert np.array_equal(stored[~active_out], old[~active_out])
    for o in range(outs):
        pooled = min(max(exact(expected[o].sum(), int(tables[2])), -(2**15)), 2**15 - 1)
        assert engine.vector[5 + o] == (pooled if active_out[o] and fields["pool"] >= 0 else 7777)


@pytest.mark.parametrize("seed", range(20))
def test_a_pooled_convolution_is_that_and_a_global_pool(seed):
    rng, outs = np.random.default_rng(seed), 11
    fields = {"in_channels": 5, "out_channels": outs, "height": 13, "width": 9, "kernel": 3, "stride": 1, "in_mask": 0}
    fields |= {"flags": int(rng.integers(4)), "input": 0, "output": 100, "identity": 0, "weights": 0, "table": 0}
    weights = rng.integers(-128, 128, outs * 48, dtype=np.int8)
    tables = np.array([scale_word(0.2), 0, *[50, scale_word(0.01)] * outs], np.int32)
    engine, conv = one_instruction(encode(isa.CONV, **fields, out_mask=0, pool=30), weights, tables)
    engine.store(0, random_map(rng, (5, 13, 9), fields["flags"] & 1))
    engine.methods[isa.CONV](conv)
    pool = {"height": 13, "width": 9, "channels": outs, "scale": scale_word(0.2)}
    signed = isa.FLAG_IN_SIGNED * (not fields["flags"] & isa.FLAG_RELU)
    engine.methods[isa.GLOBAL_POOL](decode(encode(isa.GLOBAL_POOL, flags=signed, input=100, output=60, **pool)))
    assert np.array_equal(engine.vector[30 : 30 + outs], engine.vector[60 : 60 + outs])
    assert len(set(engine.vector[30 : 30 + outs])) > 5


@pytest.mark.parametrize("kernel", (1, 3, 5, 7))
def test_padded_filters_under_a_mask_of_every_channel_are_dense_ones(kernel):
    rng, ins, outs = np.random.default_rng(kernel), 5, 7
    fields = {"in_channels": ins, "out_channels": outs, "height": 9, "width": 11, "kernel": kernel, "stride": 1}
    fields |= {"input": 0, "identity": 0, "table": 0, "out_mask": 0, "pool": -1}
    filters = rng.integers(-128, 128, (outs, ins, kernel**2), dtype=np.int8)
    dense, padded = (np.full((outs, conv_row({**fields, "in_mask": mask})), 99, np.int8) for mask in (0, 1))
    dense[:, : ins * kernel**2] = filters.reshape(outs, -1)
    padded.reshape(outs, ins, -1)[:, :, : kernel**2] = filters
    tables = np.array([0, 0, *[50, scale_word(0.01)] * outs], np.int32)
    plain = encode(isa.CONV, **fields, in_mask=0, weights=0, output=100)
    under_mask = encode(isa.CONV, **fields, in_mask=1, weights=dense.size, output=200)
    engine, conv = one_instruction(plain, np.concatenate([dense.ravel(), padded.ravel()]), tables)
    engine.store(0, random_map(rng, (ins, 9, 11), False))
    engine.masks[1] = np.arange(ins)
    engine.methods[isa.CONV](conv)
    engine.methods[isa.CONV](decode(under_mask))
    results = [engine.load(base, outs, 9, 11, signed=True) for base in (100, 200)]
    assert np.array_equal(*results) and results[0].std() > 20


@pytest.mark.parametrize("seed", SEEDS)
def test_affine_shifts_channels_and_rounds(seed):
    rng = np.random.default_rng(seed)
    ins, outs, offset = int(rng.choice(PRIMES)), int(rng.choice(PRIMES)), int(rng.integers(0, 8))
    height, width, stride, flags = (
        int(rng.choice(PRIMES)),
        int(rng.choice(PRIMES)),
        int(rng.choice((1, 2))),
        int(rng.integers(4)),
    )
    pool, pool_scale = int(rng.choice((-1, 5))), scale_word(float(rng.uniform(0.1, 3)), bool(rng.integers(2)))
    words = encode(isa.AFFINE, flags=flags, input=0, output=3000, in_channels=ins, out_channels=outs, height=height,
                   width=width, stride=stride, channel_offset=offset, table=0, pool=pool,
                   pool_scale=pool_scale)  # fmt: skip
    scales = [scale_word(2.0 ** rng.uniform(-9, -7), bool(rng.integers(2))) for _ in range(outs)]
    tables = np.ravel(np.stack([rng.integers(-9999, 9999, outs), scales], 1)).astype(np.int32)
    engine, decoded = one_instruction(words, np.zeros(0, np.int8), tables)
    x = random_map(rng, (ins, height, width), flags & 1)
    engine.store(0, x)
    engine.vector[:] = 7777
    engine.methods[isa.AFFINE](decoded)
    size = output_size(decoded)
    stored = engine.load(3000, outs, *size, signed=not flags & isa.FLAG_RELU)
    for c, y, z in np.ndindex(stored.shape):
        inside = 0 <= c - offset < ins
        pixel = int(x[c - offset, y * stride, z * stride]) if inside else 0
        assert stored[c, y, z] == clamp(exact(pixel * 256 + int(tables[2 * c]), scales[c]), flags)
    means = [min(max(exact(channel.sum(), pool_scale), -(2**15)), 2**15 - 1) for channel in stored]
    found = engine.vector[:100].tolist()
    assert found == [7777] * 5 + (means if pool >= 0 else [7777] * outs) + [7777] * (95 - outs)


@pytest.mark.parametrize("seed", SEEDS)
def test_pool_leaves_out_what_lies_outside(seed):
    rng = np.random.default_rng(seed)
    average, kernel = bool(rng.integers(2)), int(rng.integers(1, 8))
    height, width = (int(rng.integers(kernel, 30)) for _ in range(2))
    stride, padding = int(rng.integers(1, min(kernel, 2) + 1)), 0 if average else int(rng.integers(kernel // 2 + 1))
    flags, scale = int(rng.integers(4)) | isa.FLAG_AVERAGE * average, scale_word(1 / kernel**2)
    words = encode(isa.POOL, flags=flags, input=0, output=3000, channels=5, height=height, width=width, kernel=kernel,
                   stride=stride, padding=padding, scale=scale)  # fmt: skip
    engine, decoded = one_instruction(words, np.zeros(0, np.int8), np.zeros(0, np.int32))
    x = random_map(rng, (5, height, width), flags & 1)
    engine.store(0, x)
    engine.methods[isa.POOL](decoded)
    stored = engine.load(3000, 5, *output_size(decoded), signed=not flags & isa.FLAG_RELU)
    for c, y, z in np.ndindex(stored.shape):
        rows = [row for row in range(y * stride - padding, y * stride - padding + kernel) if 0 <= row < height]
        columns = [at for at in range(z * stride - padding, z * stride - padding + kernel) if 0 <= at < width]
        window = [int(x[c, row, column]) for row in rows for column in columns]
        assert stored[c, y, z] == clamp(exact(sum(window), scale) if average else max(window), flags)


@pytest.mark.parametrize("seed", SEEDS)
def test_global_pool_and_fc(seed):
    rng = np.random.default_rng(seed)
    channels, outputs, flags = int(rng.choice(PRIMES)), int(rng.choice(PRIMES)), int(rng.choice((0, 2, 16, 18)))
    words = encode(
        isa.GLOBAL_POOL, flags=1, input=4, output=9, channels=channels, height=7, width=17, scale=scale_word(0.3)
    )
    row = row_bytes(channels)
    weights = rng.integers(-128, 128, outputs * row, dtype=np.int8)  # here -128 is what it is
    tables = np.ravel([(int(rng.integers(-99999, 99999)), scale_word(0.01)) for _ in range(outputs)]).astype(np.int32)
    engine, decoded = one_instruction(words, weights, tables)
    x = random_map(rng, (channels, 7, 17), True)
    engine.store(4, x)
    engine.methods[isa.GLOBAL_POOL](decoded)
    means = [exact(int(channel.sum()), scale_word(0.3)) for channel in x]
    assert engine.vector[9 : 9 + channels].tolist() == [min(max(mean, -32768), 32767) for mean in means]
    fc = encode(isa.FC, flags=flags, input=9, output=100, inputs=channels, outputs=outputs, weights=0, table=0)
    engine.methods[isa.FC](decode(fc))
    for o in range(outputs):
        total = sum(int(weights[o * row + i]) * means[i] for i in range(channels)) + int(tables[2 * o])
        value = total if flags & isa.FLAG_RAW else min(max(exact(total, scale_word(0.01)), -32768), 32767)
        assert engine.vector[100 + o] == (max(value, 0) if flags == isa.FLAG_RELU else value)


def test_lstm_follows_the_float_cell():
    rng, inputs, hidden = np.random.default_rng(5), 11, 10
    row = row_bytes(inputs + hidden)
    weights = rng.integers(-128, 128, 4 * hidden * row, dtype=np.int8)
    matrix = weights.reshape(-1, row)[:, : inputs + hidden] / 4096
    bias = rng.normal(0, 0.5, 4 * hidden)
    # acc: weights · 2^12 times x · 2^10 and hidden · 2^15: here x is given · 2^15 too, so acc is · 2^27, pre · 2^10
    tables = np.stack([np.round(bias * 2**27), np.full(4 * hidden, scale_word(2**-17))], 1).astype(np.int32).ravel()
    words = encode(isa.LSTM, input=0, output=50, inputs=inputs, hidden=hidden, weights=0, table=0)
    engine, decoded = one_instruction(words, weights, tables)
    engine.hidden, engine.cell = np.zeros(isa.MAX_HIDDEN, np.int64), np.zeros(isa.MAX_HIDDEN, np.int64)
    cell, state = torch.nn.LSTMCell(inputs, hidden, dtype=torch.float64), None
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor(matrix[:, :inputs]))
        cell.weight_hh.copy_(torch.tensor(matrix[:, inputs:]))
        cell.bias_ih.copy_(torch.tensor(bias))
        cell.bias_hh.zero_()
        for _ in range(20):
            x = rng.uniform(-1, 1, inputs)
            engine.vector[:inputs] = np.round(x * 2**15).clip(-32768, 32767)
            engine.methods[isa.LSTM](decoded)
            state = cell(torch.tensor(x)[None], state)
            assert np.abs(engine.vector[50 : 50 + hidden] / 2**15 - state[0][0].numpy()).max() < 0.01


@given(st.lists(st.integers(-60000, 60000), min_size=2, max_size=40), st.floats(1e-5, 1e-3))
def test_exit_follows_the_float_softmax(logits, nats):
    words = encode(isa.EXIT, exit=3, input=5, classes=len(logits), scale=scale_word(nats * 256))
    engine, decoded = one_instruction(words, np.zeros(0, np.int8), np.zeros(0, np.int32), len(logits))
    engine.vector[5 : 5 + len(logits)] = logits
    engine.methods[isa.EXIT](decoded)
    p = torch.softmax(torch.tensor(logits, dtype=torch.float64) * nats, 0).numpy()
    assert engine.result["label"] == logits.index(max(logits)) and engine.result["exit"] == 3
    assert engine.result["confidence"] / 65536 == pytest.approx(p.max(), abs=0.01)
    assert engine.result["entropy"] / 65536 == pytest.approx(-(p * np.log(np.maximum(p, 1e-300))).sum(), abs=0.05)


def test_random_programs_are_neither_dead_nor_saturated():
    """The generator's promise: without it, agreement would say little."""
    lively = classified = 0
    for seed in range(200):
        program, weights, tables, images, start = random_program(np.random.default_rng(seed))
        results = decode_records(run(program, weights, tables, images, start), start)
        spread = results.logits[results.status == isa.STATUS_OK].std(axis=1)
        classified, lively = classified + len(spread), lively + int((spread > 50).sum())
    assert classified > 150 and lively > 0.9 * classified
