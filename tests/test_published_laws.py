"""Published optima and exponents, against the papers' printed numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from isoflop.published_laws import published_exponents, published_optima
from isoflop.reference import Reference, read_reference

GOPHER = 5.76e23


@pytest.fixture(scope="module")
def reference() -> Reference:
    return read_reference(Path(__file__).parents[1] / "data" / "reference")


def test_optima_at_gophers_budget(reference: Reference) -> None:
    found = {law.plain: law for law in published_optima(reference, GOPHER)}
    # Hoffmann et al. 2022: 67B, 63B by Table 3 at its own budget, 40B by approach 3
    assert found["Hoffmann 1 Envelope"].params == pytest.approx(67.8e9, rel=2e-3)
    assert found["Hoffmann 2 Profiles"].params == pytest.approx(63.4e9, rel=2e-3)
    assert found["Hoffmann L(N, D)"].params == pytest.approx(40.36e9, rel=1e-3)
    assert found["Hoffmann L(N, D)"].tokens == pytest.approx(2.379e12, rel=1e-3)
    assert found["Hoffmann L(N, D), rounded"].params == pytest.approx(32.19e9, rel=1e-3)
    assert found["Besiroglu L(N, D)"].params == pytest.approx(72.25e9, rel=1e-3)
    assert found["Kaplan, Cmin = C"].params == pytest.approx(803.6e9, rel=1e-3)
    assert found["Kaplan, Cmin = C/2"].params == pytest.approx(484.5e9, rel=1e-3)
    assert [law.plain for law in found.values() if law.rounded] == ["Hoffmann L(N, D), rounded"]


def test_laws_spend_the_budget(reference: Reference) -> None:
    for law in published_optima(reference, 1e21):
        if law.name.startswith(("Kaplan", "Besiroglu")) or "*L*" in law.name:
            assert 6.0 * law.params * law.tokens == pytest.approx(1e21)


def test_names_for_figures_are_formulas(reference: Reference) -> None:
    names = [law.mathtext for law in published_optima(reference, 1e21)]
    assert r"Kaplan, $C_{\rm min} = C/2$" in names
    assert "Hoffmann $L(N, D)$" in names
    assert not [name for name in names if "*" in name or "~" in name]


def test_exponents_are_those_printed(reference: Reference) -> None:
    rows = published_exponents(*reference.papers)
    assert [row.label for row in rows] == [
        "Hoffmann 1 Envelope", "Hoffmann 2 Profiles", "Hoffmann 3 Parametric",
        "Besiroglu 3 Parametric", "Kaplan 2020",
    ]  # fmt: skip
    assert [row.a for row in rows[:3]] == [0.50, 0.49, 0.46]
    assert rows[1].a80 == (0.462, 0.534)
    assert (rows[4].a, rows[4].b) == (0.73, 0.27)
    besiroglu = rows[3]
    assert besiroglu.a95 is not None
    printed = reference.besiroglu.a
    half = 0.5 * (besiroglu.a95[1] - besiroglu.a95[0])
    assert half / printed.standard_error == pytest.approx(1.959964, rel=1e-6)
    assert besiroglu.b95 is not None
    assert besiroglu.a95[0] + besiroglu.b95[1] == pytest.approx(1.0)
