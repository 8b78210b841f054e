# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---
# %% [markdown]
# # From a table of runs to an allocation
#
# A notebook as plain text: Jupyter opens it with jupytext, editors run it cell by cell, and
# `python3 run.py docs` runs it and writes `site/tutorial.ipynb` and `site/tutorial.html`.
#
# Your own logs come in by `isoflop.read("data/raw/my-sweep")`. Here the runs are made up, from a
# law that is known, so that one sees what comes back.

# %%
import numpy as np
import polars as pl

import isoflop
from isoflop.laws import ChinchillaLaw

truth = ChinchillaLaw(E=1.7, A=400.0, B=410.0, alpha=0.34, beta=0.28)
rng = np.random.default_rng(0)
rows = []
for budget in (1e17, 3e17, 1e18, 3e18):
    best = float(truth.params_opt(budget))
    for factor in (0.3, 0.5, 0.8, 1.25, 2.0, 3.3):
        params = best * factor
        tokens = budget / (6 * params)
        loss = float(truth.loss(params, tokens)) * float(np.exp(rng.normal(0, 5e-4)))
        rows.append({"params": params, "tokens": tokens, "loss": loss, "budget": budget})
runs = pl.DataFrame(rows)
sweep = isoflop.read(runs, name="made up")
sweep

# %% [markdown]
# ## Fit
#
# Two of Hoffmann's approaches, few draws and plain percentiles: seconds instead of minutes. Without
# arguments, `sweep.fit()` fits everything that a report does, with calibrated intervals, forecasts
# and the mixture of laws.

# %%
fit = sweep.fit(["profiles", "parametric"], draws=60, interval="percentile", forecasts=False)
fit

# %% [markdown]
# ## Ask
#
# One question at a time: compute, or instead `loss=`, `params=`, `tokens=` or `tokens_per_param=`.

# %%
answers = fit.allocate(1e19)
answers

# %% [markdown]
# The law that made the runs would have said this:

# %%
print(f"N = {float(truth.params_opt(1e19)):.3g}")

# %% [markdown]
# Everything printed is also a frozen value with all its digits.

# %%
profiles = next(one for one in answers.laws if one.law == "profiles")
profiles.allocation.params

# %% [markdown]
# ## Draw

# %%
fit.plot()
