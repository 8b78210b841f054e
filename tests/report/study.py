"""Numbers of a published study, as results.json of compare-published has them."""

from __future__ import annotations

from typing import Any

from isoflop.estimates.published_numbers import PublishedNumber


def number(outcome: str, **more: Any) -> PublishedNumber:
    """Give a number of study one."""
    return PublishedNumber.model_validate({
        "study": "one", "title": "Of *one*", "quantity": f"a | {outcome}", "source": "Table 2",
        "recomputed": False, "published": 0.513, "reproduced": 0.51362, "difference": 0.00062,
        "rounding": 5e-4, "tolerance": 0.01, "outcome": outcome, "note": "n", "refused": None,
        "sweep": "first", "reports": ("first", "second"), "exponent": None, **more,
    })  # fmt: skip
