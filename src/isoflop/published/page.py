"""How the room's pages are written from their templates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from isoflop.files import write_text
from isoflop.numbers import NBSP
from isoflop.page import stylesheet

if TYPE_CHECKING:
    from pathlib import Path


def write_page(template: str, out: Path, **values: object) -> None:
    """Write a page that loads nothing.

    Parameters
    ----------
    template : of ``templates/``.
    out : page to write.
    values : what the template asks for, besides the style; a missing one is an error.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("isoflop.published"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    style = Markup(stylesheet())  # noqa: S704  our own file
    page = environment.get_template(template).render(style=style, **values)
    # a number stays on the line of its percent sign, as in the reports
    write_text(out, re.sub(r"(?<=\d)\s+(?=%)", NBSP, page))
