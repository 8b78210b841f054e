"""The one list of approaches and laws: what is fitted, how it is called and how it is drawn.

Whatever lists approaches (the command line, the rules, tables, figures, reports, tests) reads it
here, so a new estimator is a row of ``ROWS`` and no edit of theirs; CONTRIBUTING.md names the files
that it does cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class Row:
    """One approach.

    Attributes
    ----------
    key : its word in config.yaml, commands, files and tables.
    number : the paper's number (Hoffmann et al. 2022, section 3); None where it has none.
    name : for labels, legends and the heads of tables; without the number.
    in_prose : for sentences, such as "Approach 1 (envelope)".
    colour : of its lines and marks. Okabe and Ito's colours, darkened where thin lines on white
        need it: told apart by the colour-blind.
    marker : of its marks, as matplotlib has them; each approach its own, for readers without
        colours.
    dashes : of its lines where they stand beside those of other approaches: lengths of strokes and
        gaps in line widths, none for a solid line. Each its own, since all colours are about
        as dark, so that each can be read on white.
    every_sweep : whether every sweep is fitted with it and every report shows it, or only a sweep
        for which it is asked.
    in_set : whether it is one of the laws of the loss that every sweep is fitted with, whose
        forecasts are scored and whose draws are mixed.
    within : key of the law of the set whose special case it is.
    """

    key: str
    number: int | None
    name: str
    in_prose: str
    colour: str
    marker: str
    dashes: tuple[float, ...]
    every_sweep: bool = True
    in_set: bool = False
    within: str | None = None

    @property
    def label(self) -> str:
        """Name with the number, as in "1 Envelope"."""
        return self.name if self.number is None else f"{self.number} {self.name}"


ROWS: Final[tuple[Row, ...]] = (
    Row("envelope", 1, "Envelope", "Approach 1 (envelope)", "#0072b2", "o", (4, 1.5)),
    Row(
        "profiles", 2, "Profiles", "Approach 2 (IsoFLOP profiles)", "#c04e00", "s", (4, 1.2, 1, 1.2)
    ),
    Row(
        "parametric",
        3,
        "Parametric",
        "Approach 3 (parametric loss)",
        "#00805f",
        "^",
        (2, 1),
        in_set=True,
        within="nested",
    ),
    Row(
        "kaplan",
        None,
        "Kaplan’s fit",
        "Kaplan’s law fitted to this sweep",
        "#b0508c",
        "D",
        (6, 1.2, 1, 1.2, 1, 1.2),
    ),
    Row(
        "overtraining",
        None,
        "Over-training law",
        "the over-training law",
        "#8a6d00",
        "v",
        (3, 3),
        every_sweep=False,
    ),
    Row(
        "data_constrained",
        None,
        "Data-constrained law",
        "the data-constrained law",
        "#4f5bd5",
        "P",
        (1, 3),
        every_sweep=False,
    ),
    Row(
        "nested",
        None,
        "Nested law",
        "the nested law",
        "#a33b20",
        "X",
        (12, 2),
        every_sweep=False,
        in_set=True,
    ),
    Row(
        "root",
        None,
        "Root law",
        "the root law",
        "#2f6f9f",
        "p",
        (7, 2),
        every_sweep=False,
        in_set=True,
        within="nested",
    ),
    Row(
        "kaplan_law",
        None,
        "Kaplan’s L(N, D)",
        "Kaplan’s law of the final losses",
        "#7b5ea7",
        "d",
        (5, 1.2, 1, 1.2),
        every_sweep=False,
        in_set=True,
        within="nested",
    ),
    Row(
        "no_floor",
        None,
        "No floor",
        "the nested law with E = 0",
        "#4a7c85",
        "<",
        (10, 3),
        every_sweep=False,
        within="nested",
    ),
    Row(
        "product",
        None,
        "Product term",
        "the law with a product term",
        "#6b6b00",
        ">",
        (3, 1, 1, 1, 1, 1),
        every_sweep=False,
        in_set=True,
    ),
)
"""Every approach, in the order in which readers meet them."""

MIXTURE: Final = Row(
    "mixture",
    None,
    "Mixture of laws",
    "the mixture of the laws",
    "#1a1a1a",
    "*",
    (),
    every_sweep=False,
)
"""What the laws of the set say together: no approach, since nothing is fitted, but an answer like
theirs, with a file, a name and a colour."""

BY_KEY: Final[Mapping[str, Row]] = MappingProxyType({row.key: row for row in ROWS})
ANSWERS: Final[Mapping[str, Row]] = MappingProxyType({row.key: row for row in (*ROWS, MIXTURE)})
"""Everything that can answer for a sweep: every approach, and the mixture."""
APPROACHES: Final[tuple[str, ...]] = tuple(row.key for row in ROWS if row.every_sweep)
"""What every sweep is fitted with, and every report shows."""
LAWS: Final[tuple[str, ...]] = tuple(row.key for row in ROWS if row.in_set)
"""The set of laws of the loss that are scored by forecast and mixed. ``no_floor`` is not among
them: it is the nested law with E = 0, which the nested law reaches by itself where E = 0 fits."""
FITTED: Final[tuple[str, ...]] = (*APPROACHES, *(key for key in LAWS if key not in APPROACHES))
"""What every sweep is fitted with: what its report compares, and the laws that are mixed."""
ON_REQUEST: Final[tuple[str, ...]] = tuple(row.key for row in ROWS if row.key not in FITTED)
"""Laws for sweeps with a design of their own; fitted where they are asked for."""

NAMES: Final[Mapping[str, str]] = MappingProxyType({row.key: row.label for row in ROWS})
WITHIN: Final[Mapping[str, str]] = MappingProxyType(
    {row.key: row.within for row in ROWS if row.within is not None}
)
"""Special cases to the law that has them."""
IN_PROSE: Final[Mapping[str, str]] = MappingProxyType({row.key: row.in_prose for row in ROWS})
COLOURS: Final[Mapping[str, str]] = MappingProxyType({row.key: row.colour for row in ROWS})
MARKERS: Final[Mapping[str, str]] = MappingProxyType({row.key: row.marker for row in ROWS})
DASHES: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {row.key: row.dashes for row in ROWS}
)


class _Known:
    """Tells pydantic to refuse a key that no row has; imports it only when a model is built."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(known, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        return {**handler(schema), "enum": list(BY_KEY)}


def known(key: str) -> str:
    """Give a key back if it is an approach's.

    Raises
    ------
    ValueError : naming the approaches there are.
    """
    if key not in BY_KEY:
        raise ValueError(f"'{key}' is no approach; there are {', '.join(BY_KEY)}")
    return key


Approach = Annotated[str, _Known()]
"""Key of an approach; models refuse an unknown one."""
