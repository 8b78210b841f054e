"""The corpus as a trainer sees it: novels, a split that holds whole novels out, token windows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isoflop.errors import IsoflopError

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.train.recipe import Recipe

NOVEL_END = b"\n\n\n"
"""Two blank lines end a novel; inside a novel white space is folded to at most one."""

Tokens = npt.NDArray[np.unsignedinteger[Any]]


class CorpusError(IsoflopError):
    """The corpus text is absent or is not the text its recipe names."""


@dataclass(frozen=True)
class Split:
    """A corpus split by whole novels.

    Attributes
    ----------
    train, validation : the novels of each part, as bytes, in the recipe's order.
    train_names, validation_names : their names.
    sha256 : digest of the whole text.
    """

    name: str
    sha256: str
    train_names: tuple[str, ...]
    validation_names: tuple[str, ...]
    train: tuple[bytes, ...]
    validation: tuple[bytes, ...]

    @property
    def train_bytes(self) -> int:
        """Size of the training split."""
        return sum(len(novel) for novel in self.train)

    @property
    def validation_bytes(self) -> int:
        """Size of the validation split."""
        return sum(len(novel) for novel in self.validation)


def read_split(recipe: Recipe, text_path: Path, *, holdout_every: int) -> Split:
    """Read a corpus text, check it against its recipe, and split it by whole novels.

    Every `holdout_every`-th novel of the list is held out, starting in the middle of the first
    stride: a choice that depends on the list alone, not on a random number generator.

    Raises
    ------
    CorpusError : the text is absent, has another digest, or another number of novels.
    """
    try:
        text = text_path.read_bytes()
    except OSError as error:
        raise CorpusError(
            f"{text_path}: the corpus text is absent ({error.strerror}); "
            f"run `isoflop fetch-corpus {recipe.name}` first"
        ) from error
    digest = hashlib.sha256(text).hexdigest()
    if digest != recipe.sha256:
        raise CorpusError(
            f"{text_path}: its sha256 is {digest[:12]}..., the recipe {recipe.name} says "
            f"{recipe.sha256[:12]}...; delete it and run `isoflop fetch-corpus {recipe.name}`"
        )
    novels = [part + NOVEL_END for part in text.split(NOVEL_END)[:-1]]
    names = recipe.novels()
    if len(novels) != len(names):
        raise CorpusError(
            f"{text_path}: holds {len(novels)} novels, its recipe lists {len(names)}; "
            f"novels must be separated by two blank lines"
        )
    validating = {i for i in range(len(names)) if i % holdout_every == holdout_every // 2}
    if not validating:
        raise CorpusError(
            f"{recipe.name}: holdout_every {holdout_every} holds none of its {len(names)} novels "
            f"out; lower corpus.holdout_every in the design"
        )
    kept = [i for i in range(len(names)) if i not in validating]
    return Split(
        name=recipe.name,
        sha256=digest,
        train_names=tuple(names[i] for i in kept),
        validation_names=tuple(names[i] for i in sorted(validating)),
        train=tuple(novels[i] for i in kept),
        validation=tuple(novels[i] for i in sorted(validating)),
    )


class TrainingWindows:
    """Windows of seq_len tokens and the token that follows, each drawn once per epoch.

    Windows lie end to end, so every token is predicted once per epoch; their order is a permutation
    seeded by (seed, epoch), so it depends neither on threads nor on where a run was resumed.
    """

    def __init__(self, tokens: Tokens, *, seq_len: int, seed: int) -> None:
        self.count = (len(tokens) - 1) // seq_len
        if self.count < 1:
            raise CorpusError(f"the training split has {len(tokens)} tokens, fewer than one window")
        view = np.lib.stride_tricks.sliding_window_view(tokens, seq_len + 1)
        self._windows = view[::seq_len][: self.count]
        self._seq_len = seq_len
        self._seed = seed
        self._epoch = -1
        self._order: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def starts(self, start: int, size: int) -> npt.NDArray[np.int64]:
        """Where windows number start to start + size of the run begin, in tokens: (size,)."""
        return self._numbers(start, size) * self._seq_len

    def batch(self, start: int, size: int) -> npt.NDArray[np.int64]:
        """Windows number start to start + size of the run, of shape (size, seq_len + 1)."""
        return self._windows[self._numbers(start, size)].astype(np.int64)

    def _numbers(self, start: int, size: int) -> npt.NDArray[np.int64]:
        """Which windows of the text these are, each epoch in an order of its own: (size,)."""
        places = []
        while size > 0:
            epoch, place = divmod(start, self.count)
            if epoch != self._epoch:
                seeds = np.random.SeedSequence([self._seed, epoch])
                self._order = np.random.default_rng(seeds).permutation(self.count)
                self._epoch = epoch
            part = self._order[place : place + size]
            places.append(part)
            start, size = start + len(part), size - len(part)
        return np.concatenate(places)


def validation_windows(tokens: Tokens, *, seq_len: int, windows: int) -> npt.NDArray[np.int64]:
    """Cut fixed windows, evenly spread over the validation split: (windows, seq_len + 1)."""
    last = len(tokens) - seq_len - 1
    if last < 0 or windows > len(tokens) // seq_len:
        raise CorpusError(
            f"the validation split has {len(tokens)} tokens, too few for {windows} windows of "
            f"{seq_len}; lower evaluation.windows or corpus.holdout_every"
        )
    starts = np.linspace(0, last, windows).astype(np.int64)
    view = np.lib.stride_tricks.sliding_window_view(tokens, seq_len + 1)
    return view[starts].astype(np.int64)
