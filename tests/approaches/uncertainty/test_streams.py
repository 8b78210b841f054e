"""Random numbers by purpose: no two share a number."""

from __future__ import annotations

from itertools import product

from isoflop.approaches.uncertainty.streams import Stream, beside_the_streams, rng


def test_no_two_streams_or_draws_share_a_number() -> None:
    keys = ((), (0,), (1,), (0, 0), (0, 1), (1, 0))
    first = {
        (seed, stream, key): rng(seed, stream, *key).random()
        for seed, stream, key in product((0, 1, 8), Stream, keys)
    }
    beside = {
        (seed, key): beside_the_streams(seed, *key).random() for seed in (0, 8) for key in keys
    }
    # as a list of seeds has it: noughts at its end are none
    assert beside[8, ()] == beside[8, (0,)] == beside[8, (0, 0)]
    apart = {beside[seed, key] for seed in (0, 8) for key in ((), (1,), (0, 1))}
    assert len(apart) == 6
    assert len({*first.values(), *apart}) == len(first) + 6
    # and each is the same every time
    assert rng(8, Stream.MIXTURE, 1).random() == first[8, Stream.MIXTURE, (1,)]
