"""The command that asks estimates: `isoflop allocate`."""

from __future__ import annotations

import gc
from pathlib import Path

import click

from isoflop.command import NUMBER, PATH, SHARE, Questions
from isoflop.limits import UTILISATION
from isoflop.terminal import say


@click.command("allocate", cls=Questions)
@click.argument("flops", type=NUMBER, required=False)
@click.option("--loss", type=NUMBER, help="Instead of FLOPS: a loss to reach [nat/token].")
@click.option("--params", type=NUMBER, help="Instead: a number of parameters N.")
@click.option("--tokens", type=NUMBER, help="Instead: a number of tokens D.")
@click.option(
    "--ratio", "--tokens-per-param", "ratio", type=NUMBER, help="Instead: tokens per parameter D/N."
)
@click.option("--gpu-hours", type=NUMBER, help="Instead: hours of one --gpu.")
@click.option("--gpu", help="Card, such as h100: adds hours; data/reference/accelerators.yaml.")
@click.option("--mfu", type=SHARE, help=f"Share of its peak, or per cent [default: {UTILISATION}].")
@click.option("--price", type=NUMBER, help="Of an hour of it, in any currency: adds the cost.")
@click.option("--inference-tokens", type=NUMBER, help="Tokens served: what is cheapest in all.")
@click.option("--unique-tokens", type=NUMBER, help="Few tokens to repeat: what is best with them.")
@click.option("--sweep", help="Whose laws answer; without it, the published ones.")
@click.option("--estimates", type=PATH, default=Path("data/estimates"), show_default=True)
@click.option("--reference", type=PATH, help="Folder of published facts [default: the project's].")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, with every digit.")
def allocate_command(
    flops: float | None,
    loss: float | None,
    params: float | None,
    tokens: float | None,
    ratio: float | None,
    gpu_hours: float | None,
    gpu: str | None,
    mfu: float | None,
    price: float | None,
    inference_tokens: float | None,
    unique_tokens: float | None,
    sweep: str | None,
    estimates: Path,
    reference: Path | None,
    as_json: bool,  # noqa: FBT001  click passes a flag
) -> None:
    """Say how many parameters and tokens to buy with FLOPS, such as 1e21, and how sure that is.

    Numbers may have suffixes: 7B, 121.4M, 12k, 1T. Hours and cost are of training. Every law of a
    fitted sweep answers with its intervals, and then every published law. Nothing is fitted:
    answers come from the estimates and their draws. Ends with status 1 where no law of the sweep
    has an answer, or, without a sweep, no published one.
    """
    # a process of its own that ends with the answer: what the libraries bring along is walked
    # through for nothing each time that garbage is collected, a sixth of the whole
    gc.disable()
    try:
        from isoflop.estimates.answers import answer, as_text, machine_of, one_target

        machine = machine_of(gpu, mfu, price, reference)
        target = one_target(
            flops=flops,
            loss=loss,
            params=params,
            tokens=tokens,
            tokens_per_param=ratio,
            hours=gpu_hours,
            machine=machine,
        )
        answers = answer(
            target,
            sweep=sweep,
            estimates=estimates,
            reference=reference,
            machine=machine,
            served=inference_tokens,
            unique=unique_tokens,
        )
        say(answers.model_dump_json(indent=2) if as_json else as_text(answers))
        if not answers.has_answer:
            raise click.exceptions.Exit(1)
    finally:
        gc.enable()
