"""Published numbers that follow from constants and tables, without a fit to losses.

Each function's name is what the catalogue says under ``computed.function``; its arguments are the
catalogue's. New functions are found by their name in ``FUNCTIONS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from isoflop.counting import tokens_6nd
from isoflop.errors import ConfigError
from isoflop.laws import ChinchillaLaw, EmbeddingCount, PowerLaw, RepeatedDataLaw
from isoflop.reference import published_laws

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from isoflop.published.catalogue import Computed
    from isoflop.reference import PaperApproach, Reference

    Floats = NDArray[np.float64]

OMEGA: Final = 47_491.0
"""Of N_total = N + omega N**(1/3): Pearce and Song's fit to Hoffmann's Table A9."""
SIZES: Final = (2.9, 9.2, 20)
"""log10 of the smallest and largest N without embeddings, and their number (Kaplan et al.: 768 to
1.5B)."""
BUDGETS: Final = {"nonembedding": (12.95, 20.7, 100), "total": (13.4, 20.7, 100)}
"""log10 of the smallest and largest C, and their number, in Pearce and Song's script."""
TOKENS: Final = (6.0, 25.0, 1000)
"""The same of D: the script reads each curve at the nearest of these."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the functions may read.

    Attributes
    ----------
    reference : published facts.
    folder : data/published, with the files of each sweep.
    """

    reference: Reference
    folder: Path


def compute(asked: Computed, sources: Sources) -> float:
    """Compute one number by the catalogue's words.

    Raises
    ------
    ConfigError : there is no such function, or its arguments do not fit.
    """
    function = FUNCTIONS.get(asked.function)
    if function is None:
        raise ConfigError(
            f"computed.function '{asked.function}' is unknown; there are: {', '.join(FUNCTIONS)}"
        )
    try:
        return float(function(sources, **asked.arguments))
    except TypeError as error:
        raise ConfigError(f"computed.function '{asked.function}': {error}") from error


def law_params_opt(sources: Sources, law: str, flops: float) -> float:
    """Give a published law's optimal N at C."""
    return float(_law(sources, law).params_opt(flops))


def table_exponent(sources: Sources, approach: PaperApproach) -> float:
    """Give the slope of Hoffmann's Tables 3 and A3."""
    return sources.reference.hoffmann.optimal_allocations.params_law(approach).exponent


def kaplan_params_opt(
    sources: Sources, flops: float, convention: Literal["critical_batch", "minimum"]
) -> float:
    """Give Kaplan's optimal N at C, saying what C_min is taken to be."""
    return sources.reference.kaplan.params_opt(flops, convention=convention)


def local_exponent(sources: Sources, law: str, counting: str) -> float:
    """Give the exponent that a frontier over a Kaplan-like range of sizes shows.

    Parameters
    ----------
    sources : published facts.
    law : L(N_total, D).
    counting : nonembedding | total: how N and C are counted.

    Notes
    -----
    At each C the size with the lowest loss wins, each curve read at the nearest of 1,000
    log-spaced D; a line through log N of the winners. The steps of both grids are part of the
    published number: they move it by 0.005.

    References
    ----------
    Pearce and Song 2024, section 3 and the script of its repository.
    """
    body = np.logspace(*SIZES)
    total = EmbeddingCount(OMEGA).total(body)
    params = body if counting == "nonembedding" else total
    low, high, count = BUDGETS[counting]
    flops = np.logspace(low, high, count)
    wanted = tokens_6nd(params, flops[:, None])
    tokens = _nearest(np.logspace(TOKENS[0], TOKENS[1], int(TOKENS[2])), wanted)
    loss = _law(sources, law).loss(total, tokens)
    # a curve begins at the first D
    loss = np.where(wanted < 10.0 ** TOKENS[0], np.inf, loss)
    winners = params[loss.argmin(axis=1)]
    return _line(np.log(flops), np.log(winners)).exponent


def unique_params_per_token(sources: Sources) -> float:  # noqa: ARG001
    """Give U_N / U_D of Muennighoff's law on C4: the optimal size for the unique tokens."""
    from isoflop.config.approaches import DataConstrainedSettings

    fixed = DataConstrainedSettings()
    fresh = ChinchillaLaw(E=fixed.E, A=fixed.A, B=fixed.B, alpha=fixed.alpha, beta=fixed.beta)
    return float(RepeatedDataLaw(fresh, R_D=1.0, R_N=1.0).unique_params(np.inf, 1e9) / 1e9)


def loss_ratio(sources: Sources, sweep: str, run: str, baseline: str, points: int) -> float:
    """Give the mean of a run's last losses over that of another."""
    table = pl.read_csv(_only_file(sources, sweep), glob=False)
    names = pl.concat_str(
        "data", pl.lit(" "), "num_params", pl.lit(" "), "epochs", pl.lit(" epochs")
    )
    last = {}
    for name in (run, baseline):
        curve = table.filter(names == name).sort("token_num")
        if curve.is_empty():
            raise ConfigError(f"sweep '{sweep}' has no run '{name}'")
        last[name] = float(curve["loss"].tail(points).to_numpy().mean())
    return last[run] / last[baseline]


def weighted_exponent(sources: Sources, sweep: str, where: Mapping[str, str]) -> float:
    """Give the exponent of N through given optima, each weighed by its error."""
    return _weighted(sources, sweep, where).exponent


def weighted_params_opt(
    sources: Sources, sweep: str, where: Mapping[str, str], flops: float
) -> float:
    """Give N at C of the same line."""
    return _weighted(sources, sweep, where)(flops)


def _weighted(sources: Sources, sweep: str, where: Mapping[str, str]) -> PowerLaw:
    """Fit log N on log C with weights 1 / sigma**2 (Porian et al. 2024, section 3.1)."""
    rows = pl.read_csv(_only_file(sources, sweep), glob=False).filter(
        *(pl.col(name) == value for name, value in where.items())
    )
    rows = rows.filter(pl.col("n_opt").is_not_null())
    if rows.height < 3:
        raise ConfigError(f"sweep '{sweep}' has {rows.height} optima with {dict(where)}")
    return _line(
        np.log(rows["C"].to_numpy()),
        np.log(rows["n_opt"].to_numpy()),
        1.0 / rows["n_star_std"].to_numpy() ** 2,
    )


def _line(x: Floats, y: Floats, weights: Floats | None = None) -> PowerLaw:
    """Fit a weighted least-squares line to logarithms."""
    w = np.ones_like(x) if weights is None else weights
    x_mean, y_mean = np.average(x, weights=w), np.average(y, weights=w)
    slope = float((w * (x - x_mean) * (y - y_mean)).sum() / (w * (x - x_mean) ** 2).sum())
    return PowerLaw(coefficient=float(np.exp(y_mean - slope * x_mean)), exponent=slope)


def _nearest(grid: Floats, wanted: Floats) -> Floats:
    """Give the nearest value of an ascending grid."""
    right = np.clip(np.searchsorted(grid, wanted), 1, len(grid) - 1)
    lower, upper = grid[right - 1], grid[right]
    return np.where(wanted - lower < upper - wanted, lower, upper)


def _law(sources: Sources, name: str) -> ChinchillaLaw:
    laws = published_laws(sources.reference.hoffmann, sources.reference.besiroglu)
    if name not in laws:
        raise ConfigError(f"law '{name}' is unknown; there are: {', '.join(laws)}")
    return laws[name]


def _only_file(sources: Sources, sweep: str) -> Path:
    files = [path for path in (sources.folder / sweep).iterdir() if path.suffix == ".csv"]
    if len(files) != 1:
        raise ConfigError(f"{sources.folder / sweep} has {len(files)} CSV files, expected one")
    return files[0]


FUNCTIONS: Final[Mapping[str, Callable[..., float]]] = {
    function.__name__: function
    for function in (
        law_params_opt,
        table_exponent,
        kaplan_params_opt,
        local_exponent,
        unique_params_per_token,
        loss_ratio,
        weighted_exponent,
        weighted_params_opt,
    )
}
