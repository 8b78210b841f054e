"""What matplotlib does again and again while it lays a figure out and draws it, done once."""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from matplotlib.axis import Axis
from matplotlib.font_manager import FontManager, fontManager
from matplotlib.mathtext import MathTextParser

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

LOCK: Final = RLock()
"""One figure at a time: what is replaced is replaced for all threads."""
MOST_FORMULAS: Final = 2_000
"""More are not kept: a figure has dozens, nearly all of them labels of ticks."""
_FORMULAS: Final[dict[Hashable, Any]] = {}
"""Formulas that were set, by all that they depend on but the settings of ``style.RC``."""


@contextmanager
def once() -> Iterator[None]:
    """Find ticks, fonts and the places of a formula's characters once, while this lasts.

    Matplotlib sets formulas anew for every layout and file, finds the same font for every text, and
    asks every axis nine times for its ticks: together half the time of a figure. Inside, nothing
    may change that these depend on but the sizes and places of axes. Other threads see nothing of
    it.
    """
    with (
        LOCK,
        _in_this_thread(Axis, "_update_ticks", _ticks_once),
        _in_this_thread(FontManager, "findfont", _fonts_once),
        _in_this_thread(MathTextParser, "parse", _formulas_once),
    ):
        yield


def _in_this_thread(owner: Any, name: str, make: Callable[[Any], Any]) -> Any:
    """Give a method another body for this thread, made of the one that other threads go on with."""
    thread, theirs = get_ident(), getattr(owner, name)
    ours = make(theirs)

    def chosen(*arguments: Any, **options: Any) -> Any:
        return (ours if get_ident() == thread else theirs)(*arguments, **options)

    return patch.object(owner, name, chosen)


def _ticks_once(update: Any) -> Any:
    ticks: dict[Any, tuple[Hashable, Any]] = {}

    def ours(axis: Any) -> Any:
        box = axis.axes.bbox.get_points().tobytes()
        key = (*axis.get_view_interval(), axis.axes.figure.dpi, box)
        # the last ones alone: the same objects stand elsewhere once the axes have another size
        if axis not in ticks or ticks[axis][0] != key:
            ticks[axis] = (key, update(axis))
        return ticks[axis][1]

    return ours


def _fonts_once(find: Any) -> Any:
    fonts: dict[Hashable, Any] = {}

    def ours(manager: Any, prop: Any, *arguments: Any, **options: Any) -> Any:
        # matplotlib takes two of one hash for equal, too
        key = (id(manager), hash(prop), arguments, *options.items())
        if key not in fonts:
            fonts[key] = find(manager, prop, *arguments, **options)
        return fonts[key]

    return ours


def _formulas_once(parse: Any) -> Any:
    def ours(parser: Any, s: str, dpi: float = 72, prop: Any = None, **options: Any) -> Any:
        # matplotlib's fonts are each thread's own; more may have been added
        known = (get_ident(), len(fontManager.ttflist), parser._output_type)  # noqa: SLF001
        key = (*known, s, dpi, hash(prop), *options.items())
        if key not in _FORMULAS:
            if len(_FORMULAS) >= MOST_FORMULAS:
                _FORMULAS.clear()
            _FORMULAS[key] = parse(parser, s, dpi, prop, **options)
        return _FORMULAS[key]

    return ours
