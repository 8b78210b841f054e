"""One look for all figures: palette, font, sizes, axes.

Figures are made without pyplot: importing is cheap and nothing is global, so they could be drawn
in threads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal
from weakref import WeakKeyDictionary

import numpy as np

from isoflop.drawing.faces import FONTS
from isoflop.escape import mathtext
from isoflop.numbers import short

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

PAGE: Final = 6.3
"""Width of a text column on A4 [inch]: figures are shown at this size, so 8 pt stays 8 pt."""
FONT_SIZE: Final = 8.0
SMALL: Final = 7.0
HALO: Final = 2.0
"""Width of the stroke below a direct label [point], half of which is seen on either side."""
LABEL_GAP: Final = 8.5
"""Least distance between two direct labels [point]."""

INK: Final = "#1f2328"
QUIET: Final = "#6a737d"
GROUND: Final = "#ffffff"
FAINT: Final = "#d8dce1"
PUBLISHED: Final = "#57606a"

LOSS: Final = "Loss $L$ (nats per token)"
FLOPS: Final = "Training compute $C$ (FLOPs)"
PARAMS: Final = "Parameters $N$"
TOKENS: Final = "Training tokens $D$"

RC: Final[Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.grid.which": "major",
    "axes.labelcolor": INK,
    "axes.labelpad": 3.0,
    "axes.labelsize": FONT_SIZE,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 6.0,
    "axes.titlesize": FONT_SIZE,
    "axes.titleweight": "semibold",
    "axes.unicode_minus": True,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.03,
    "font.family": "Inter",
    "font.size": FONT_SIZE,
    "grid.color": FAINT,
    "grid.linewidth": 0.4,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.6,
    "mathtext.cal": "Inter",
    "mathtext.bf": "Inter:semibold",
    "mathtext.fallback": "stix",
    "mathtext.fontset": "custom",
    "mathtext.it": "STIXGeneral:italic",
    "mathtext.rm": "Inter",
    "path.simplify": True,
    # outlines in the PDF too: subsetting TrueType took half the time of a figure
    "pdf.fonttype": 3,
    "svg.hashsalt": "isoflop",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": SMALL,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "xtick.minor.size": 1.4,
    "xtick.minor.width": 0.4,
    "ytick.color": INK,
    "ytick.labelsize": SMALL,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
    "ytick.minor.size": 1.4,
    "ytick.minor.width": 0.4,
}


CONTRAST: Final = 4.5
"""Least contrast of small text with its ground (WCAG 2.2, 1.4.3)."""
LUMINANCE: Final = (0.2126, 0.7152, 0.0722)
"""Weights of linear red, green and blue in relative luminance (WCAG 2.2)."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure with the words for those who do not see it."""

    figure: Figure
    alt: str


@dataclass(frozen=True, slots=True)
class NothingToShow:
    """Why a figure is empty for this sweep, in a whole sentence."""

    reason: str


@cache
def register_fonts() -> None:
    """Make the shipped font known to matplotlib."""
    from matplotlib.font_manager import fontManager

    for path in sorted(FONTS.glob("*.ttf")):
        fontManager.addfont(path)


_RUNS: Final[WeakKeyDictionary[Artist, tuple[str, ...]]] = WeakKeyDictionary()
"""Whose runs the marks of an artist are."""


def in_full(value: float) -> str:
    """Write a number into an identifier: as briefly as no other number is written, 3e+11."""
    return next(text for digits in range(1, 18) if float(text := f"{value:.{digits}g}") == value)


def name_runs(artist: Artist, runs: Iterable[str]) -> None:
    """Say which run each mark of an artist shows, or a curve; it needs an identifier in the SVG.

    Parameters
    ----------
    artist : marks, or one curve.
    runs : a run for each mark, in their order; one for a curve.
    """
    _RUNS[artist] = tuple(runs)


def runs_of(artist: Artist) -> tuple[str, ...]:
    """Give the runs of an artist's marks, or the one of a curve; none where none were named."""
    return _RUNS.get(artist, ())


def named_runs(figure: Figure) -> dict[str, tuple[str, ...]]:
    """Give the runs of a figure's marks, by the identifier of their artist."""
    return {str(artist.get_gid()): _RUNS[artist] for artist in figure.findobj() if artist in _RUNS}


def new_figure(*, width: float = PAGE, height: float) -> Figure:
    """Make an empty figure [inch]; call inside ``matplotlib.rc_context(RC)``."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    return figure


def sequential() -> Colormap:
    """Give viridis without its palest end, which would vanish on white."""
    import matplotlib as mpl
    from matplotlib.colors import LinearSegmentedColormap

    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.8, 128))
    return LinearSegmentedColormap.from_list("isoflop", colours)


def legible(colour: Any) -> tuple[float, float, float]:
    """Darken a colour until small text in it can be read on white (WCAG 2.2, 1.4.3)."""
    from matplotlib.colors import to_rgb

    channels = np.array(to_rgb(colour))
    for share in np.linspace(1.0, 0.0, 51):
        rgb = share * channels
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        if 1.05 / (float(linear @ LUMINANCE) + 0.05) >= CONTRAST:
            break
    red, green, blue = rgb.tolist()
    return red, green, blue


def shades(values: ArrayLike) -> list[tuple[float, float, float, float]]:
    """Colour positive values by their logarithm, from dark (small) to bright (large)."""
    logs = np.log(np.asarray(values, dtype=np.float64))
    if logs.size == 0:
        return []
    spread = float(np.ptp(logs)) or 1.0
    return [tuple(colour) for colour in sequential()((logs - logs.min()) / spread)]


def dashed(dashes: Sequence[float]) -> Any:
    """Give a line its dashes as matplotlib wants them; none is a solid line."""
    return (0, tuple(dashes)) if dashes else "-"


def outside(text: str) -> str:
    """Write a text from a log into a figure: no formula, and no character that the font lacks."""
    from matplotlib.ft2font import FT2Font

    known = FT2Font(str(FONTS / "Inter-Regular.ttf")).get_charmap()
    written = mathtext(text)
    _LACKING.update(c for c in written if ord(c) not in known)
    return "".join(c if ord(c) in known else "?" for c in written)


_LACKING: Final[set[str]] = set()
"""Characters for which question marks were written since `stand_ins` was asked."""


def stand_ins() -> bool:
    """Tell whether `outside` has written question marks for characters since it was last asked."""
    some = bool(_LACKING)
    _LACKING.clear()
    return some


def in_words(label: str) -> str:
    r"""Write a label for those who hear it: ``$C_{\rm min} = C$`` becomes C_min = C."""
    without = re.sub(r"\\(?:rm|it|bf)\s*|\\[,;! ]|[{}]", "", re.sub(r"(?<!\\)\$", "", label))
    return " ".join(without.replace("\\", "").split())


def log_axis(axis: Any, *, counts: bool = False) -> None:
    """Scale an axis logarithmically, with decades as 10^x or as 1k, 10k, 1M.

    Call it after plotting: where less than two decades are shown, 2 and 5 get labels too.
    """
    from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, NullFormatter

    axis.axes.set_xscale("log") if axis.axis_name == "x" else axis.axes.set_yscale("log")
    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    if counts:
        subs = (1.0, 2.0, 5.0) if decades < 1.4 else (1.0, 3.0) if decades < 2.3 else (1.0,)
        axis.set_major_locator(LogLocator(subs=subs, numticks=9))
        axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    else:
        axis.set_major_formatter(LogFormatterSciNotation())
    axis.set_minor_formatter(NullFormatter())


def plain_log_axis(axis: Any, low: float, high: float, *, count: int = 5) -> None:
    """Scale an axis that spans less than a decade: round values, evenly chosen, as ticks."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    axis.axes.set_xscale("log") if axis.axis_name == "x" else axis.axes.set_yscale("log")
    ticks = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    axis.set_major_locator(FixedLocator([tick for tick in ticks if tick > 0]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def direct_label(axes: Axes, x: float, y: float, text: str, **style: Any) -> Text:
    """Write beside a line or a point, on a white halo so that grid and lines do not cross it."""
    from matplotlib.patheffects import withStroke

    offset = style.pop("offset", (4, 0))
    style.setdefault("fontsize", SMALL)
    style.setdefault("va", "center")
    if "color" in style:
        style["color"] = legible(style["color"])
    label = axes.annotate(
        text, (x, y), xytext=offset, textcoords="offset points", annotation_clip=False, **style
    )
    label.set_path_effects([withStroke(linewidth=HALO, foreground=GROUND)])
    return label


def label_ends(
    axes: Axes,
    x: float,
    labels: Sequence[tuple[str, Any, float]],
    *,
    side: Literal["left", "right"] = "right",
) -> None:
    """Label lines where they end, moved apart vertically until no two labels touch.

    Parameters
    ----------
    axes : with its scales and limits set.
    x : where the lines end.
    labels : text, colour and y of each line.
    side : on which side of x the labels stand.
    """
    label_points(axes, [(text, colour, x, y) for text, colour, y in labels], side=side)


def label_points(
    axes: Axes,
    labels: Sequence[tuple[str, Any, float, float]],
    *,
    side: Literal["left", "right"] = "right",
) -> None:
    """Label points, given as text, colour, x and y, moved apart vertically."""
    to_points = 72.0 / axes.figure.dpi
    # limits are found when they are asked for, and the transform does not ask
    axes.get_xlim(), axes.get_ylim()
    heights = [float(axes.transData.transform((x, y))[1]) * to_points for _, _, x, y in labels]
    right = side == "right"
    top = float(axes.bbox.y1) * to_points - 2.0
    places = spread_labels(heights, LABEL_GAP, top=top)
    for (text, colour, x, y), height, moved in zip(labels, heights, places, strict=True):
        direct_label(
            axes,
            x,
            y,
            text,
            color=colour,
            ha="left" if right else "right",
            offset=(4 if right else -6, moved - height),
        )


def spread_labels(positions: Sequence[float], gap: float, *, top: float = np.inf) -> list[float]:
    """Move label positions apart until none is nearer than the gap, keeping their order.

    Parameters
    ----------
    positions : wanted positions, in any order.
    gap : least distance, in the same unit.
    top : no label stands higher.
    """
    order = np.argsort(positions, kind="stable")
    wanted = np.asarray(positions, dtype=np.float64)[order]
    # pool neighbours that are too near around their common mean (pool adjacent violators)
    shifted = wanted - gap * np.arange(len(wanted))
    blocks: list[tuple[float, int]] = []
    for value in shifted:
        blocks.append((float(value), 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (low, m), (high, n) = blocks[-2:]
            blocks[-2:] = [((low * m + high * n) / (m + n), m + n)]
    pooled = np.concatenate([np.full(n, value) for value, n in blocks]) if blocks else wanted
    result = np.empty(len(wanted))
    rank = np.arange(len(wanted))
    result[order] = np.minimum(pooled + gap * rank, top - gap * rank[::-1])
    return [float(value) for value in result]
