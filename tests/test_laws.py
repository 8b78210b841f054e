"""The laws: closed forms against searches, and the published constants against their papers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.laws import ChinchillaLaw, KaplanLaw, kaplan_params_opt

BESIROGLU = ChinchillaLaw(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)
HOFFMANN_PRINTED = ChinchillaLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
HOFFMANN_TEX = ChinchillaLaw(
    E=np.exp(0.5267228),
    A=np.exp(6.0073404),
    B=np.exp(6.0179186),
    alpha=0.33917084,
    beta=0.2849083,
)
KAPLAN = KaplanLaw(N_c=6.4e13, D_c=1.8e13, alpha_N=0.076, alpha_D=0.103)
GOPHER = 5.76e23

exponents = st.floats(0.05, 1.5)
sizes = st.floats(0.1, 1e5)
chinchilla = st.builds(
    ChinchillaLaw,
    E=st.floats(0, 3, allow_subnormal=False),
    A=sizes,
    B=sizes,
    alpha=exponents,
    beta=exponents,
)


@given(law=chinchilla, log_c=st.floats(15, 26), shift=st.floats(-2, 2, allow_subnormal=False))
def test_no_other_split_of_the_budget_is_better(
    law: ChinchillaLaw, log_c: float, shift: float
) -> None:
    c = 10**log_c
    n, d = law.params_opt(c), law.tokens_opt(c)
    assert float(6 * n * d) == pytest.approx(c, rel=1e-9)
    assert law.loss(n, d) <= law.loss(n * np.exp(shift), d * np.exp(-shift)) * (1 + 1e-12)
    assert float(law.loss_opt(c)) == float(law.loss(n, d))


@given(law=chinchilla)
def test_exponents_sum_to_one_and_are_slopes(law: ChinchillaLaw) -> None:
    assert law.a + law.b == pytest.approx(1.0)
    n = law.params_opt(np.array([1e20, 1e21]))
    assert np.log10(n[1] / n[0]) == pytest.approx(law.a, abs=1e-9)


def test_besiroglu_at_gophers_budget() -> None:
    assert BESIROGLU.a == pytest.approx(0.513, abs=5e-4)
    n, d = float(BESIROGLU.params_opt(GOPHER)), float(BESIROGLU.tokens_opt(GOPHER))
    # published from unrounded constants
    assert n == pytest.approx(72.3e9, abs=1e8)
    assert d == pytest.approx(1.33e12, abs=5e9)
    assert d / n == pytest.approx(18.4, abs=0.05)


def test_rounded_constants_are_a_trap() -> None:
    """Hoffmann's printed constants give 32B where the paper's text and unrounded ones give 40B."""
    assert float(HOFFMANN_PRINTED.params_opt(GOPHER)) == pytest.approx(32.2e9, abs=5e7)
    assert float(HOFFMANN_PRINTED.tokens_opt(GOPHER)) == pytest.approx(2.98e12, abs=5e9)
    assert float(HOFFMANN_TEX.params_opt(GOPHER)) == pytest.approx(40.4e9, abs=5e7)
    assert float(HOFFMANN_TEX.tokens_opt(GOPHER)) == pytest.approx(2.38e12, abs=5e9)


def test_kaplans_law_has_its_minimum_in_closed_form() -> None:
    c = 1e21
    sizes = np.geomspace(1e7, 1e12, 400_001)
    best = sizes[KAPLAN.loss(sizes, c / 6 / sizes).argmin()]
    assert float(KAPLAN.params_opt(c)) == pytest.approx(best, rel=1e-4)
    n = KAPLAN.params_opt(np.array([1e20, 1e21]))
    assert np.log10(n[1] / n[0]) == pytest.approx(KAPLAN.a)
    # the law's own exponent is not the 0.73 of the paper's frontier
    assert pytest.approx(0.575, abs=5e-4) == KAPLAN.a


def test_kaplans_law_ends_in_its_single_variable_laws() -> None:
    n, d = 1e8, 1e9
    assert float(KAPLAN.loss(n, 1e30)) == pytest.approx((6.4e13 / n) ** 0.076, rel=1e-6)
    assert float(KAPLAN.loss(1e30, d)) == pytest.approx((1.8e13 / d) ** 0.103, rel=1e-6)


@pytest.mark.parametrize(
    ("flops", "c_min_per_c", "expected"), [(1e21, 0.5, 4.683e9), (1e21, 1.0, 7.77e9)]
)
def test_kaplans_table_needs_half_the_compute(
    flops: float, c_min_per_c: float, expected: float
) -> None:
    """Training at the critical batch size spends twice C_min (equation 5.5)."""
    n = kaplan_params_opt(flops, coefficient=1.3e9, exponent=0.73, c_min_per_c=c_min_per_c)
    assert float(n) == pytest.approx(expected, rel=1e-3)


def test_gophers_budget_by_kaplan() -> None:
    whole = float(kaplan_params_opt(GOPHER, coefficient=1.3e9, exponent=0.73, c_min_per_c=1.0))
    half = float(kaplan_params_opt(GOPHER, coefficient=1.3e9, exponent=0.73, c_min_per_c=0.5))
    assert whole == pytest.approx(804e9, rel=1e-3)
    assert half == pytest.approx(485e9, rel=1e-3)
