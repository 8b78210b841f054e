"""Variable projection: the parametric law by another road, as a cross-check.

For given alpha and beta the law is linear in E, A and B, so least squares needs a search over two
numbers only, and a grid that zooms in finds the lowest point without a start or a gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STEPS: Final = 31
ZOOMS: Final = 9
RANGE: Final = (0.01, 3.0)


def variable_projection(params: Floats, tokens: Floats, loss: Floats) -> dict[str, float]:
    """Fit E + A / N**alpha + B / D**beta by least squares on relative errors.

    Parameters
    ----------
    params, tokens, loss : (points,) N, D and L.

    Returns
    -------
    E, A, B, alpha, beta, a and the root mean square relative error. E, A and B may be negative:
    the projection knows no bounds, and a negative one says that the data do not bear the term.

    References
    ----------
    Golub and Pereyra 1973, SIAM J. Numer. Anal. 10(2).
    """
    x, y = np.log(params), np.log(tokens)
    centre = np.array([x.mean(), y.mean()])
    x, y = x - centre[0], y - centre[1]
    low, high = np.full(2, RANGE[0]), np.full(2, RANGE[1])
    best = 0.5 * (low + high)
    for _ in range(ZOOMS):
        alphas, betas = (np.linspace(low[i], high[i], STEPS) for i in range(2))
        squares = _squares(np.exp(-np.outer(alphas, x)), np.exp(-np.outer(betas, y)), loss)
        i, j = np.unravel_index(squares.argmin(), squares.shape)
        best = np.array([alphas[i], betas[j]])
        reach = 3.0 * (high - low) / (STEPS - 1)
        low, high = np.maximum(best - reach, 1e-4), best + reach
    alpha, beta = best
    design = np.stack([np.ones_like(x), np.exp(-alpha * x), np.exp(-beta * y)], axis=1)
    design /= loss[:, None]
    coefficients, *_ = np.linalg.lstsq(design, np.ones_like(loss))
    return {
        "E": float(coefficients[0]),
        "A": float(coefficients[1] * np.exp(alpha * centre[0])),
        "B": float(coefficients[2] * np.exp(beta * centre[1])),
        "alpha": float(alpha),
        "beta": float(beta),
        "a": float(beta / (alpha + beta)),
        "rms": float(np.sqrt(np.mean((design @ coefficients - 1.0) ** 2))),
    }


def one_term_squares(values: Floats, loss: Floats) -> float:
    """Fit E + A / x**alpha by least squares on relative errors; give the sum of squares.

    Parameters
    ----------
    values : (points,) x, that is N or D.
    loss : (points,) L.
    """
    x = np.log(values)
    x = x - x.mean()
    low, high = RANGE
    least = np.inf
    for _ in range(ZOOMS):
        exponents = np.linspace(low, high, STEPS)
        squares = _one_term(np.exp(-np.outer(exponents, x)), loss)
        best = int(squares.argmin())
        least = min(least, float(squares[best]))
        reach = 3.0 * (high - low) / (STEPS - 1)
        low, high = max(exponents[best] - reach, 1e-4), exponents[best] + reach
    return max(least, 0.0)


def _one_term(powers: Floats, loss: Floats) -> Floats:
    """Give the least sum of squared relative errors for each exponent, (exponents,)."""
    inverse = 1.0 / loss
    u = powers / loss
    # the power made orthogonal to the constant; a power that is constant adds nothing
    share = (u @ inverse) / (inverse @ inverse)
    rest = u - share[:, None] * inverse
    length = np.vecdot(rest, rest)
    by_constant = inverse.sum() ** 2 / (inverse @ inverse)
    gain = rest.sum(axis=1) ** 2 / np.where(length > 0.0, length, 1.0)
    return np.asarray(len(loss) - by_constant - np.where(length > 0.0, gain, 0.0))


def _squares(by_size: Floats, by_tokens: Floats, loss: Floats) -> Floats:
    """Give the least sum of squared relative errors for each alpha and beta, (alphas, betas)."""
    inverse = 1.0 / loss
    u, v = by_size / loss, by_tokens / loss
    n_u, n_v = len(u), len(v)
    normal = np.empty((n_u, n_v, 3, 3))
    normal[..., 0, 0] = inverse @ inverse
    normal[..., 0, 1] = normal[..., 1, 0] = (u @ inverse)[:, None]
    normal[..., 0, 2] = normal[..., 2, 0] = (v @ inverse)[None, :]
    normal[..., 1, 1] = np.vecdot(u, u)[:, None]
    normal[..., 1, 2] = normal[..., 2, 1] = u @ v.T
    normal[..., 2, 2] = np.vecdot(v, v)[None, :]
    right = np.empty((n_u, n_v, 3))
    right[..., 0] = inverse.sum()
    right[..., 1] = u.sum(axis=1)[:, None]
    right[..., 2] = v.sum(axis=1)[None, :]
    # a ridge far below the noise keeps alpha = beta solvable where N and D move together
    normal += 1e-12 * np.eye(3) * normal.trace(axis1=-2, axis2=-1)[..., None, None]
    coefficients = np.linalg.solve(normal, right[..., None])[..., 0]
    return np.asarray(len(loss) - np.vecdot(coefficients, right))
