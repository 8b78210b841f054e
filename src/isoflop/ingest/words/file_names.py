"""What files are called: their kinds, and those that lie beside logs and are none."""

from __future__ import annotations

import re
from typing import Final


def stem(name: str) -> str:
    """Give a path without its endings, by which settings and a log beside them are told one."""
    return re.sub(r"(?<=[^/])(?:\.[A-Za-z]\w{0,9})+$", "", name)


_SIDE_FILES: Final = re.compile(
    r"readme(?:\.\w+)?|licen[cs]e(?:\.\w+)?|\.git(?:ignore|attributes|keep)|\.ds_store"
    r"|vocab\.(?:json|txt|bpe)|merges\.txt|tokenizer\w*\.(?:json|model)|spiece\.model|encoder\.json"
    r"|(?:special_tokens_map|added_tokens|generation_config|preprocessor_config)\.json"
    r"|chat_template\.\w+|(?:model|adapter_model|pytorch_model)[\w-]*\.(?:safetensors|bin)"
    r"|(?:model|pytorch_model)[\w-]*\.(?:safetensors|bin)\.index\.json"
    r"|(?:training_args|optimizer|scheduler|scaler)\.(?:bin|pt|pth)|rng_state\w*\.pth"
    r"|requirements\.txt|latest|latest_checkpointed_iteration\.txt|zero_to_fp32\.py"
)
"""What the HF Trainer, tokenisers, DeepSpeed and people put into a run's folder."""
SIDE_FILE: Final = "what trainers and tokenisers write beside logs, and no log"
"""Why a file so called that says nothing of a run is left alone."""


def is_side_file(name: str) -> bool:
    """Tell whether a file is called as what lies beside logs.

    Examples
    --------
    >>> [is_side_file(name) for name in ("a/README.md", "vocab.json", "b/train_log.txt")]
    [True, True, False]
    """
    return _SIDE_FILES.fullmatch(name.rpartition("/")[2].lower()) is not None
