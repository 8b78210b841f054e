"""What config.yaml and the side-car files may say.

One model per section, one section per room. Every model is frozen and refuses unknown keys; the
defaults here equal the shipped config.yaml, and workflow/schemas/config.schema.json is generated
from here (a test keeps the three in step).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path  # noqa: TC003  models below may hold paths
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isoflop.errors import ConfigError


class Section(BaseModel):
    """A frozen part of a YAML file in which every key is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path, model: type[Model]) -> Model:
    """Read a YAML file into its model.

    Raises
    ------
    ConfigError : the file is absent or no YAML, or does not fit the model; all complaints at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    return parse(content, model, source=str(path))


def parse(content: Any, model: type[Model], *, source: str) -> Model:
    """Validate parsed YAML against its model, with one message for all complaints.

    Raises
    ------
    ConfigError : naming the source, each key, and the nearest known key for a misspelt one.
    """
    if content is None:
        content = {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{source}: expected keys and values, found {type(content).__name__}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [_complaint(item, model) for item in error.errors()]
        raise ConfigError("\n".join(f"{source}: {line}" for line in lines)) from error


def _complaint(item: Any, model: type[BaseModel]) -> str:
    """Say one validation error the way a colleague would."""
    location = tuple(str(part) for part in item["loc"])
    where = ".".join(location[:-1])
    place = f" in {where}" if where else ""
    if item["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else f"; known keys: {', '.join(known)}"
        return f"unknown key '{location[-1]}'{place}{hint}"
    if item["type"] == "missing":
        return f"key '{location[-1]}'{place} is missing"
    value = item.get("input")
    return f"{'.'.join(location)}: {item['msg']} (found {value!r})"


def _keys_at(model: type[BaseModel], location: tuple[str, ...]) -> list[str]:
    """List the keys a model knows at a place, following nested models and containers of them."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(part)
            current = field.annotation if field is not None else None
        current = _model_inside(current)
        if current is None:
            return []
    return sorted(current.model_fields)


def _model_inside(annotation: Any) -> type[BaseModel] | None:
    """Find the model inside an annotation such as dict[str, Model] or Model | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_inside(argument)
        if found is not None:
            return found
    return None


class SweepCorpus(Section):
    """The text a sweep is trained on."""

    name: str
    """Name of the recipe data/reference/corpora/<name>.yaml and of the text data/corpora/<name>.txt."""
    holdout_every: int = Field(gt=1)
    """Every k-th novel of the recipe's list is held out whole for validation; unit: novels."""


class SweepTokenizer(Section):
    """How text becomes tokens."""

    kind: Literal["bytes", "bpe"]
    """bytes: the 256 bytes; bpe: a byte-level BPE vocabulary trained on the training split."""
    vocab_size: int = Field(ge=256)
    """Rows of the embedding; 256 for bytes."""


class SweepOptimizer(Section):
    """AdamW and what goes with it."""

    beta1: float
    """Decay of the first moment."""
    beta2: float
    """Decay of the second moment; nearer to 1 for small batches (Porian et al. 2024)."""
    eps: float
    """Added to the root of the second moment."""
    weight_decay: float
    """Decoupled, times the learning rate; matrices only, not norm gains."""
    grad_clip: float
    """Largest global norm of a gradient."""


class SweepEvaluation(Section):
    """How the validation loss is measured."""

    windows: int = Field(gt=0)
    """Fixed windows of seq_len tokens, spread evenly over the held-out novels."""
    evaluations: int = Field(gt=1)
    """Evaluations along a run, half log-spaced and half evenly spaced; the last at the last step."""
