"""Parameters that Megatron prints of its tensor and pipeline ranks: whether they add up.

A log of one node or one rank has some of these lines only, and their sum is no N. So it is taken
where the ranks are as many as the sizes of both say; where it is not, the facts say why.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.words.numbers import number

if TYPE_CHECKING:
    from collections.abc import Mapping

RANK_WORDS: Final = (
    "number of parameters on ", "model-parallel size: ", "model_parallel_size",
    "model parallel group ranks: ",
)  # fmt: skip
"""Texts of the lines that are looked at here."""
_PRINTED: Final = re.compile(
    r"number of parameters on (?:\(tensor, pipeline\) )?model parallel rank "
    r"\(?([0-9]+)(?:, *([0-9]+))?\)?: *([0-9]+)"
)
_LAUNCHED: Final = re.compile(r"using world size: ")
_IN_WORDS: Final = re.compile(r"(?<![\w-])(?:tensor-|(pipeline)-)?model-parallel size: *([0-9]+)")
_IN_SETTINGS: Final = re.compile(r"\b(?:tensor|(pipeline))_model_parallel_size[\"']?[:=] ?([0-9]+)")
_IN_GROUPS: Final = re.compile(
    r"All (?:tensor|(pipeline)) model parallel group ranks: \[\[([0-9, ]+)\]"
)
_ARGUMENTS: Final = (
    ("tensor_model_parallel_size", "model_parallel_size"),
    ("pipeline_model_parallel_size", "pipe_parallel_size"),
)
"""What the dump of arguments calls both sizes, Megatron's name and those of 2019 and of NeoX."""
_LEARNED: Final = ("learned_absolute", "PositionEmbeddingType.absolute")
"""What Megatron-LM and BigScience's fork call learned positions."""
_NAMED: Final = 4
"""Ranks that a sentence names."""


class ModelRanks:
    """What a log prints of its ranks' parameters, and of how many ranks there are."""

    def __init__(self) -> None:
        self._printed: dict[tuple[int, int | None], float] = {}
        self._sizes: dict[bool, int] = {}

    def takes(self, line: str) -> bool:
        """Take in a line that is about ranks; False: it is not."""
        if match := _PRINTED.search(line):
            stage = None if match[2] is None else int(match[2])
            self._printed[int(match[1]), stage] = number(match[3]) or 0.0
            return True
        if _LAUNCHED.search(line):
            # a later launch may spread the model over other ranks
            self._printed, self._sizes = {}, {}
        seen = False
        for pattern in (_IN_WORDS, _IN_SETTINGS, _IN_GROUPS):
            for match in pattern.finditer(line):
                is_group = pattern is _IN_GROUPS
                size = len(match[2].split(",")) if is_group else int(match[2])
                self._sizes[match[1] is not None] = size
                seen = True
        return seen

    def facts(self, given: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
        """Give the number of parameters, or what their lines come to and why that is not it.

        Parameters
        ----------
        given : the arguments, by their own names.
        values : what is known of the run, by the names of facts.
        """
        if not self._printed:
            return {}
        total = sum(self._printed.values())
        tensor, stages = (self._size(given, pipeline=pipeline) for pipeline in (False, True))
        why = self._unsummed(given, tensor, stages)
        if why is None and stages is not None and stages > 1:
            tied = values.get("architecture.tied", True if "hidden_size" in given else None)
            width = values.get("architecture.d_model")
            words = values.get("architecture.vocab_size")
            if tied is None or (tied and (width is None or words is None)):
                why = (
                    "its last pipeline stage may have a second copy of the embedding, whose size "
                    "its log does not tell"
                )
            elif tied:
                total -= (width or 0.0) * (words or 0.0)
        if why is None:
            return {"params.total": total - ((tensor or 1) - 1) * _positions(given)}
        return {"params.of_ranks": total, "params.unsummed": why}

    def _size(self, given: Mapping[str, str], *, pipeline: bool) -> int | None:
        """Give the number of tensor ranks or of pipeline stages; None: unknown."""
        printed = (number(given.get(name)) for name in _ARGUMENTS[pipeline])
        size = next((int(each) for each in printed if each is not None), None)
        if size is None:
            size = self._sizes.get(pipeline)
        if size is None and pipeline and all(stage is None for _, stage in self._printed):
            return 1  # so until 2020, when no stages were printed
        return None if size is None else max(size, 1)

    def _unsummed(
        self, given: Mapping[str, str], tensor: int | None, stages: int | None
    ) -> str | None:
        """Say why the sum is not all parameters; None: it is, but for a copy of the embedding."""
        names = _names(self._printed)
        if tensor is None or stages is None:
            return (
                f"its log has the parameters of {names}, {sum(self._printed.values()):.10g}, and "
                "not how many ranks there are"
            )
        if experts := _spread(given, tensor):
            return experts
        if stages > 1 and any(stage is None for _, stage in self._printed):
            return (
                f"its log has the parameters of {names}, and not of which of the {stages} pipeline "
                "stages"
            )
        printed = {(rank, stage or 0) for rank, stage in self._printed}
        wanted = {(rank, stage) for stage in range(stages) for rank in range(tensor)}
        if printed - wanted:
            return f"its log has the parameters of {names}, and only {tensor} x {stages} ranks"
        if missing := sorted(wanted - printed, key=lambda pair: pair[::-1]):
            return (
                f"of its {tensor} x {stages} (tensor, pipeline) ranks its log has the parameters "
                f"of {names}, and not of {_names(missing)}"
            )
        return None


def _names(ranks: Any) -> str:
    """Name some ranks."""
    labels = [f"({rank}, {stage})" if stage is not None else str(rank) for rank, stage in ranks]
    more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
    return f"rank{'s' if len(labels) > 1 else ''} {', '.join(labels[:_NAMED])}{more}"


def _positions(given: Mapping[str, str]) -> float:
    """Give the parameters of learned positions, of which each tensor rank has a copy."""
    if given.get("position_embedding_type") not in _LEARNED:
        return 0.0
    if "deepspeed" in given and given.get("sequence_parallel") == "True":
        return 0.0  # Megatron-DeepSpeed has them cut among the ranks then
    rows, width = (number(given.get(name)) for name in ("max_position_embeddings", "hidden_size"))
    return (rows or 0.0) * (width or 0.0)


def _spread(given: Mapping[str, str], tensor: int) -> str | None:
    """Say that experts are spread over other ranks than the lines are of; None: they are not."""
    if number(given.get("num_experts")) is None:
        return None
    spread = number(given.get("expert_model_parallel_size")) or 1
    if spread > 1:
        return (
            f"its experts are spread over {spread:g} ranks (expert_model_parallel_size), and its "
            "log has the parameters of one of these"
        )
    cut = number(given.get("expert_tensor_parallel_size"))
    if cut is not None and cut != tensor:
        return (
            f"its experts are cut in {cut:g} (expert_tensor_parallel_size) and all else in "
            f"{tensor}, so its ranks' parameters do not add up"
        )
    return None
