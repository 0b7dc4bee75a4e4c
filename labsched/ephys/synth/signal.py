"""The samples of a synthetic block, chunk by chunk: what each channel sees at the very moment that it is sampled."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .faults import Faults
from .recipe import PHASES, Array, Cell, Plan, stream

CHUNK = 1 << 15
BEFORE_MS, AFTER_MS = 0.8, 1.8
TAPS = 17
FACTORS = (1.0, 0.3, 0.55, 0.12, 0.25)
"""The mains and its harmonics, relative to the fundamental (``Recipe.mains``)."""
SATURATED_UV = 20_000.0
"""What a saturation adds: far more than the converter can tell."""


def chunks(plan: Plan) -> Iterator[tuple[int, Array]]:
    """Yield (first sample, data): data is (channels, samples) in µV, channels in the order of the labels.

    Memory is bounded by the chunk, whatever the length of the block; the data does not depend on anything but the
    plan. Channel ``k`` is sampled ``plan.delays[k]`` of a sample after the tick.
    """
    from scipy.signal import lfilter

    recipe, n = plan.recipe, plan.recipe.channels
    draw = [stream(recipe, 100 + k) for k in range(n)]
    shared = stream(recipe, 1)
    colour, loudness = _colour(recipe.rate)
    band = _band(recipe.rate)
    shifts = [_shift(delay) for delay in plan.delays]
    own_state = [np.zeros(max(len(colour[0]), len(colour[1])) - 1) for _ in range(n)]
    band_state = np.zeros(4)
    shift_state = [np.zeros(TAPS - 1) for _ in range(n)]
    slow_state = np.zeros(1)
    events, shut = _events(plan), _saturations(plan)
    waves, faults = _Waves(plan), Faults(plan)
    for start in range(0, recipe.samples, CHUNK):
        size = min(CHUNK, recipe.samples - start)
        t = (start + np.arange(size)) / recipe.rate
        jolt, tremor = _movement(events, t)
        common, band_state = lfilter(*band, _white(shared, size), zi=band_state)
        common *= recipe.common * (1.0 + 2.0 * tremor)
        # a first-order low-pass at 20 Hz: the slow field that all sites share
        a = math.exp(-2 * math.pi * 20.0 / recipe.rate)
        slow, slow_state = lfilter([math.sqrt(1 - a * a)], [1.0, -a], _white(shared, size), zi=slow_state)
        hums = [_turn(t, recipe.mains * k) for k in range(1, len(FACTORS) + 1)]
        data = np.empty((n, size))
        for k in range(n):
            own, own_state[k] = lfilter(*colour, _white(draw[k], size), zi=own_state[k])
            mine, shift_state[k] = lfilter(shifts[k], [1.0], common, zi=shift_state[k])
            row = data[k]
            label, gain = plan.labels[k], plan.gains[k]
            if label in plan.dead:
                row[:] = 0.1 * own / loudness
                continue
            row[:] = own * (recipe.noise / loudness * (14.0 if label in plan.noisy else 1.0))
            row += gain * mine
            row += slow * (recipe.lfp * (0.9 + 0.2 * gain) * faults.field(k))
            row += jolt * (recipe.movement * gain)
            for harmonic, (sine, cosine) in enumerate(hums):
                turn = 2 * math.pi * recipe.mains * (harmonic + 1) * plan.delays[k] / recipe.rate
                size_uv = recipe.hum * gain * FACTORS[harmonic]
                row += sine * (size_uv * math.cos(turn)) + cosine * (size_uv * math.sin(turn))
        waves.add(data, start)
        for begin, end, sign in shut:
            inside = (t >= begin) & (t < end)
            if inside.any():
                data[:, inside] += sign * SATURATED_UV
        faults.spoil(data)
        yield start, data


class _Waves:
    """Every cell's waveforms, ready to be added wherever it fires."""

    def __init__(self, plan: Plan) -> None:
        self.lead, self.length = _window(plan.recipe.rate)
        self.tables = [(cell, *table(plan, cell)) for cell in (*plan.units, *plan.crowd)]

    def add(self, data: Array, start: int) -> None:
        """Add every spike that touches the chunk to ``data``, which begins with sample ``start``."""
        size = data.shape[1]
        for cell, rows, waves in self.tables:
            if not rows:
                continue
            low, high = (start - self.length) * PHASES, (start + size + self.length) * PHASES
            first, last = np.searchsorted(cell.ticks, [low, high])
            part = np.zeros((len(rows), size + 2 * self.length))
            for tick, scale in zip(cell.ticks[first:last].tolist(), cell.scales[first:last].tolist(), strict=True):
                sample, phase = divmod(tick, PHASES)
                begin = sample - self.lead - start + self.length
                if 0 <= begin <= size + self.length:
                    part[:, begin : begin + self.length] += waves[phase] * scale
            data[list(rows)] += part[:, self.length : self.length + size]


def table(plan: Plan, cell: Cell) -> tuple[tuple[int, ...], Array]:
    """The channels of the cell's shank that are alive, and its waveform on them, (PHASES, channels, samples) µV.

    Phase ``p`` is for a spike that lies p / 64 of a sample after the tick; the window starts 0.8 ms before the tick.
    """
    lead, length = _window(plan.recipe.rate)
    rows = tuple(
        k
        for k, at in enumerate(plan.place)
        if at // plan.recipe.sites == cell.shank and plan.labels[k] not in plan.deaf
    )
    at = np.arange(-lead, length - lead)[None, :] - (np.arange(PHASES) / PHASES)[:, None]
    result = np.zeros((PHASES, len(rows), length))
    for row, k in enumerate(rows):
        distance, part = cell.seen(*plan.sites[plan.place[k]])
        ms = (at + plan.delays[k]) / plan.recipe.rate * 1e3
        result[:, row] = cell.amplitude * part * cell.wave(ms, distance)
    return rows, result


def _window(rate: float) -> tuple[int, int]:
    lead = math.ceil(BEFORE_MS * 1e-3 * rate)
    return lead, lead + math.ceil(AFTER_MS * 1e-3 * rate)


def _white(draw: np.random.Generator, size: int) -> Array:
    """Nearly normal noise of unit variance: sums of four uniform numbers (the filters after it do the rest)."""
    total: NDArray[np.float32] = draw.random(size, dtype=np.float32)
    for _ in range(3):
        total += draw.random(size, dtype=np.float32)
    result: Array = (total - np.float32(2.0)).astype(np.float64) * math.sqrt(3.0)
    return result


def _colour(rate: float) -> tuple[tuple[Array, Array], float]:
    """A filter that makes white noise fall with frequency as tissue does, and its loudness above 500 Hz."""
    from scipy.signal import freqz

    pole = math.exp(-2 * math.pi * 300.0 / rate)
    numerator, denominator = np.array([1.0, -0.8 * pole]), np.array([1.0, -pole])
    numerator = np.convolve(numerator, [0.75, 0.25])
    frequency, answer = freqz(numerator, denominator, worN=2048, fs=rate)
    loudness = math.sqrt(float(np.mean(np.where(frequency > 500.0, np.abs(answer) ** 2, 0.0))))
    return (numerator, denominator), loudness


def _band(rate: float) -> tuple[Array, Array]:
    """A band-pass (200 to 3000 Hz, or to 0.4 of a slow rate) for the common noise, with unit variance at its output."""
    from scipy.signal import butter, lfilter

    b, a = butter(2, [200.0, min(3000.0, 0.4 * rate)], "bandpass", fs=rate)
    impulse = np.zeros(4096)
    impulse[0] = 1.0
    return b / math.sqrt(float(np.sum(lfilter(b, a, impulse) ** 2))), a


def _shift(delay: float) -> Array:
    """A windowed sinc that reads a signal ``delay`` of a sample later (and all channels 8 samples earlier)."""
    at = np.arange(TAPS) - (TAPS // 2) + delay
    window = np.cos(math.pi * at / (TAPS + 1)) ** 2
    taps = np.sinc(at) * window
    result: Array = taps / taps.sum()
    return result


def _turn(t: Array, hz: float) -> tuple[Array, Array]:
    return np.sin(2 * math.pi * hz * t), np.cos(2 * math.pi * hz * t)


def _events(plan: Plan) -> list[tuple[float, float, Array]]:
    """Movements: (start s, length s, [frequency Hz, phase] of four swings), ``movements`` a minute."""
    recipe = plan.recipe
    draw = stream(recipe, 2)
    count = round(recipe.seconds * recipe.movements / 60.0)
    result = []
    for _ in range(count):
        begin, length = draw.random() * recipe.seconds, 0.25 + 0.5 * draw.random()
        swings = np.stack([4.0 + 60.0 * draw.random(4) ** 2, 2 * math.pi * draw.random(4)], axis=1)
        result.append((begin, length, swings))
    return result


def _saturations(plan: Plan) -> list[tuple[float, float, float]]:
    """Saturations: (start s, end s, sign), ``saturations`` a minute, of 20 to 120 ms each."""
    recipe = plan.recipe
    draw = stream(recipe, 3)
    result = []
    for _ in range(round(recipe.seconds * recipe.saturations / 60.0)):
        begin, length = draw.random() * recipe.seconds, 0.02 + 0.1 * draw.random()
        result.append((begin, begin + length, 1.0 if draw.random() < 0.5 else -1.0))
    return result


def _movement(events: list[tuple[float, float, Array]], t: Array) -> tuple[Array, Array]:
    """The swing (in −1 … 1, roughly) and the envelope (0 … 1) of the movements at the times ``t``."""
    swing, envelope = np.zeros_like(t), np.zeros_like(t)
    for begin, length, swings in events:
        inside = (t >= begin) & (t < begin + length)
        if inside.any():
            here = t[inside]
            hann = np.sin(math.pi * (here - begin) / length) ** 2
            envelope[inside] += hann
            for hz, phase in swings:
                swing[inside] += 0.25 * hann * np.sin(2 * math.pi * hz * here + phase)
    return swing, envelope
