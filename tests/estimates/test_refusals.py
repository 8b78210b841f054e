"""A reason that refuses several laws is told once."""

from __future__ import annotations

from isoflop.estimates.refusals import pointing, refusal_lines, told_once

OPEN = "approach 'nested' does not determine the best size in sweep s: 12 where 9 is shown. Add."
WITHIN = (
    "approach '{}' of sweep s answers by the law’s form, not from the runs: it is a special case "
    f"of the nested law, and {OPEN}"
)
REFUSED = {
    "profiles": "profiles needs 3 budgets.",
    "nested": OPEN,
    "root": WITHIN.format("root"),
    "kaplan_law": WITHIN.format("kaplan_law"),
    "product": "",
}


def test_each_reason_is_told_once_by_the_laws_that_have_it() -> None:
    lines = refusal_lines(REFUSED)
    assert lines == [
        "2 Profiles was not fitted: profiles needs 3 budgets.",
        f"Nested law was not fitted: {OPEN}",
        "Root law and Kaplan’s L(N, D) were not fitted: such a law of sweep s answers by the "
        "law’s form, not from the runs: it is a special case of the nested law, and the nested law "
        "was not fitted, for the reason given with its name.",
    ]
    assert "\n".join(lines).count("does not determine") == 1
    assert list(told_once(REFUSED)) == [
        ("profiles",), ("nested",), ("root", "kaplan_law")
    ]  # fmt: skip


def test_a_law_that_stands_alone_keeps_its_own_words() -> None:
    alone = {"root": WITHIN.format("root")}
    assert list(told_once(alone).values()) == [WITHIN.format("root")]
    # what a law is left out for points to the refusal that stands elsewhere
    left_out = f"The numbers come from the law’s form: {OPEN}"
    told = pointing(left_out, REFUSED)
    assert told == (
        "The numbers come from the law’s form: the nested law was not fitted, for the reason "
        "given with its name."
    )
    assert pointing(left_out, {}) == left_out
