"""Streams of random numbers of a bootstrap's seed, one a purpose: no two ever share a number."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are for; a value is part of the outputs and is never reused."""

    RESAMPLES = 0
    """Which runs a resample of the sweep picks; key: draw."""
    MEASUREMENTS = 1
    """Noise of runs and minima that are predicted; key: draw."""
    SIMULATED_SWEEPS = 2
    """Errors of a simulated sweep; key: sweep."""
    SIMULATED_RESAMPLES = 3
    """Which runs a resample of a simulated sweep picks; key: sweep, draw."""
    SECOND_SWEEPS = 4
    """Errors of a sweep simulated from the law of a simulated one; key: sweep."""
    SECOND_RESAMPLES = 5
    """Which runs a resample of such a sweep picks; key: sweep, draw."""
    MIXTURE = 6
    """Which law a draw of the mixture is taken from; no key."""


def rng(seed: int, stream: Stream, *key: int) -> np.random.Generator:
    """Give the generator of one draw of one stream.

    The spawn key stands apart from the seed: ``SeedSequence`` pads lists of seeds with zeros, so
    that ``[seed, 1, 0]`` and ``[seed, 1]`` are the same numbers.

    Parameters
    ----------
    seed : of the whole.
    stream : the purpose.
    key : number of the draw, and of what it belongs to.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(int(stream), *key))
    return np.random.Generator(np.random.PCG64(sequence))


def beside_the_streams(seed: int, *key: int) -> np.random.Generator:
    """Give a generator without a stream: what it drew stands in tables that are published.

    The simulated sizes of the nesting tests are drawn so, by a seed of their own, and the peer of
    the backtest. Streams have spawn keys and these have none, so they share no number with one.

    Parameters
    ----------
    seed : of the whole.
    key : number of what it belongs to.
    """
    return np.random.default_rng([seed, *key])
