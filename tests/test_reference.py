"""Published numbers come out of the project's own code."""

from pathlib import Path

import pytest

from isoflop.accelerators import Machine, read_accelerators
from isoflop.estimates.estimate import GOPHER_BUDGET
from isoflop.reference import Reference, read_reference

FOLDER = Path(__file__).parents[1] / "data" / "reference"


@pytest.fixture(scope="module")
def reference() -> Reference:
    return read_reference(FOLDER)


@pytest.mark.parametrize(
    ("approach", "a", "b", "params"),
    [
        ("envelope", 0.498, 0.502, 67.8e9),
        ("profiles", 0.490, 0.510, 63.4e9),
        ("parametric", 0.459, 0.541, 42.2e9),
    ],
)
def test_slopes_of_tables_3_and_a3(reference, approach, a, b, params):
    table = reference.hoffmann.optimal_allocations
    assert table.params_law(approach).exponent == pytest.approx(a, abs=5e-4)
    assert table.tokens_law(approach).exponent == pytest.approx(b, abs=5e-4)
    assert table.params_law(approach)(GOPHER_BUDGET) == pytest.approx(params, abs=0.05e9)


def test_the_misprinted_row_is_not_used(reference):
    misprinted = [
        row for row in reference.hoffmann.optimal_allocations.rows if row.parametric.misprinted
    ]
    assert [row.params for row in misprinted] == [175e9]
    assert misprinted[0].parametric.flops == pytest.approx(6 * 175e9 * 12e12, rel=1e-9)


def test_unrounded_constants_give_the_40_billion_of_the_text(reference):
    law = reference.hoffmann.law
    assert law.params_opt(GOPHER_BUDGET) == pytest.approx(40.4e9, abs=0.05e9)
    assert law.tokens_opt(GOPHER_BUDGET) == pytest.approx(2.38e12, abs=0.005e12)


def test_rounded_constants_do_not(reference):
    law = reference.hoffmann.printed_law
    assert law.params_opt(GOPHER_BUDGET) == pytest.approx(32.2e9, abs=0.05e9)
    assert law.tokens_opt(GOPHER_BUDGET) == pytest.approx(2.98e12, abs=0.005e12)


def test_besiroglu(reference):
    law = reference.besiroglu.law
    assert law.a == pytest.approx(reference.besiroglu.a.value, abs=5e-4)
    # 72.25 from the printed constants, which have few digits
    assert law.params_opt(GOPHER_BUDGET) == pytest.approx(72.3e9, abs=0.06e9)
    assert law.tokens_opt(GOPHER_BUDGET) == pytest.approx(1.33e12, abs=0.005e12)
    ratio = law.tokens_opt(GOPHER_BUDGET) / law.params_opt(GOPHER_BUDGET)
    assert ratio == pytest.approx(18.4, abs=0.05)


@pytest.mark.parametrize(
    ("flops", "convention", "params"),
    [
        (GOPHER_BUDGET, "minimum", 804e9),
        (GOPHER_BUDGET, "critical_batch", 485e9),
        (1e21, "minimum", 7.77e9),
        (1e21, "critical_batch", 4.683e9),
    ],
)
def test_kaplan_needs_to_say_what_c_min_is(reference, flops, convention, params):
    found = reference.kaplan.params_opt(flops, convention=convention)
    assert found == pytest.approx(params, rel=7e-4)


def test_approach_3_lies_outside_its_own_interval(reference):
    rows = {row.approach: row for row in reference.hoffmann.exponents.rows}
    outside = [
        name for name, row in rows.items() if not row.a_interval[0] <= row.a <= row.a_interval[1]
    ]
    assert outside == ["parametric"]


def test_table_a4_without_embeddings_and_logits(reference):
    table = reference.hoffmann.flop_ratios
    shapes = {(m.layers, m.d_model): m for m in reference.hoffmann.models.rows}
    computed = []
    for row in table.rows:
        params = reference.hoffmann.models.computed(shapes[row.layers, row.d_model])
        computed.append(table.computed(row, params))
    assert computed == pytest.approx([1.025, 1.101, 1.083, 1.044, 1.033, 0.994], abs=5e-4)
    assert computed == pytest.approx([row.ratio for row in table.rows], abs=0.006)


def test_table_a9_counts(reference):
    table = reference.hoffmann.models
    assert len(table.rows) == 50
    for row in table.rows:
        # the table prints whole millions, some rounded and some cut
        assert table.computed(row) == pytest.approx(row.params, rel=2e-4, abs=1e6)


def test_downstream_averages_and_their_mismatches(reference):
    facts = reference.gopher_chinchilla
    printed = {row.task: row for row in facts.headline.rows}
    assert facts.mmlu.mean("gopher") == pytest.approx(60.6, abs=0.05)
    assert facts.mmlu.mean("chinchilla") == pytest.approx(67.6, abs=0.05)
    assert printed["MMLU 5-shot avg"].gopher == 60.0
    assert facts.bigbench.mean("chinchilla") == pytest.approx(64.5, abs=0.05)
    assert facts.bigbench.mean("gopher") == pytest.approx(54.4, abs=0.05)
    assert printed["BIG-bench avg (62)"].chinchilla == 65.1
    assert (len(facts.mmlu.rows), len(facts.bigbench.rows), len(facts.pile.rows)) == (57, 62, 19)
    assert (facts.mmlu.wins(), facts.mmlu.ties()) == (51, 2)
    assert facts.bigbench.wins() == 58
    assert facts.pile.wins() == len(facts.pile.rows)


def test_large_models_hold_the_two_that_are_compared(reference):
    facts = reference.gopher_chinchilla
    large = {row.name: row for row in facts.large_models.rows}
    for model in facts.models.rows:
        assert (large[model.name].params, large[model.name].tokens) == (model.params, model.tokens)


def test_effects_name_a_choice(reference):
    assert all(0 < row.a_before < 1 and 0 < row.a_after < 1 for row in reference.effects.rows)
    assert {row.a_after for row in reference.effects.of("params")} == {0.7805}


def test_the_budget_of_optima_is_gophers_compute_as_its_paper_has_it(reference: Reference) -> None:
    assert reference.gopher_budget == GOPHER_BUDGET


def test_a_training_takes_its_flops_over_what_a_card_does_in_an_hour() -> None:
    """Half of 312e12 FLOP/s, at 2 an hour."""
    card = next(card for card in read_accelerators(FOLDER).rows if card.key == "a100")
    machine = Machine(card, 0.5, 2.0)
    hours = 1e21 / (312e12 * 0.5 * 3600.0)
    assert machine.hours(1e21) == pytest.approx(hours)
    assert machine.cost(1e21) == pytest.approx(2.0 * hours)
    assert Machine(card, 0.5).cost(1e21) is None
