from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.train.schedule import learning_rate


@settings(max_examples=40)
@given(steps=st.integers(2, 600), share=st.floats(0, 0.2), peak=st.floats(1e-6, 1e2))
def test_warms_up_to_the_peak_and_falls_to_a_tenth(steps: int, share: float, peak: float) -> None:
    warmup = min(steps - 1, max(1, round(share * steps)))
    rates = [
        learning_rate(step, steps=steps, warmup_steps=warmup, peak=peak, end=peak / 10)
        for step in range(1, steps + 1)
    ]
    assert rates[warmup - 1] == max(rates) == pytest.approx(peak)
    assert rates[-1] == pytest.approx(peak / 10)
    assert rates[:warmup] == pytest.approx([peak * (i + 1) / warmup for i in range(warmup)])
    assert all(a >= b for a, b in zip(rates[warmup - 1 :], rates[warmup:], strict=False))


def test_cosine_is_halfway_at_half_of_the_horizon() -> None:
    rate = learning_rate(600, steps=1100, warmup_steps=100, peak=1.0, end=0.1)
    assert rate == pytest.approx(0.55)
