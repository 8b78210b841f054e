from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tiers import times

from isoflop.train.schedule import ScheduleKind, learning_rate


def cosine(step: int, *, steps: int, warmup_steps: int, peak: float) -> float:
    return learning_rate(
        step,
        kind="cosine",
        steps=steps,
        warmup_steps=warmup_steps,
        decay_steps=0,
        peak=peak,
        end=peak / 10,
    )


@settings(max_examples=times(40))
@given(steps=st.integers(2, 600), share=st.floats(0, 0.2), peak=st.floats(1e-6, 1e2))
def test_warms_up_to_the_peak_and_falls_to_a_tenth(steps: int, share: float, peak: float) -> None:
    warmup = min(steps - 1, max(1, round(share * steps)))
    rates = [
        cosine(step, steps=steps, warmup_steps=warmup, peak=peak) for step in range(1, steps + 1)
    ]
    assert rates[warmup - 1] == max(rates) == pytest.approx(peak)
    assert rates[-1] == pytest.approx(peak / 10)
    assert rates[:warmup] == pytest.approx([peak * (i + 1) / warmup for i in range(warmup)])
    assert all(a >= b for a, b in zip(rates[warmup - 1 :], rates[warmup:], strict=False))


def test_cosine_is_halfway_at_half_of_the_horizon() -> None:
    rate = cosine(600, steps=1100, warmup_steps=100, peak=1.0)
    assert rate == pytest.approx(0.55)


@pytest.mark.parametrize("kind", ["wsd", "cooldown"])
def test_decay_is_one_minus_the_root_over_the_last_fifth(kind: ScheduleKind) -> None:
    rates = [
        learning_rate(
            step, kind=kind, steps=500, warmup_steps=10, decay_steps=100, peak=2.0, end=0.0
        )
        for step in range(1, 501)
    ]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10:400] == [2.0] * 390
    # Hägele et al. 2024, equation 2: 1 - sqrt((n - (N - N_decay)) / N_decay)
    assert rates[424] == pytest.approx(2.0 * (1 - 0.5))
    assert rates[480] == pytest.approx(2.0 * (1 - 0.9))
    assert rates[499] == 0.0
