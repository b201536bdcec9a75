"""``emofuse faces``: networks that read the expression of one face, trained and measured on FER2013."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from emofuse.cli import options
from emofuse.cli.progress import stages

LICENCE = (
    "FER2013's pictures are for research use (the votes of FER+ are MIT): "
    "weights trained on them are for research too"
)
"""Said wherever such weights are made or measured."""

app = typer.Typer(
    name="faces",
    help="Train the networks that read one face's expression on FER2013, and measure them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


class Architecture(enum.StrEnum):
    """Which network is trained."""

    EMOTION = "emotion"
    COMPACT = "compact"


class Precision(enum.StrEnum):
    """What a network multiplies in while it is trained."""

    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"


Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", help="Where train.npz and public_test.npz of FER2013 lie, with the votes of FER+."
    ),
]


@app.command()
def train(
    folder: Folder,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of weights and results.")],
    architecture: Annotated[
        Architecture,
        typer.Option(
            "--architecture", "-a",
            help="emotion: DeepFace's network, which a recipe's LRCN can start from; "
            "compact: a stronger one of our own.",
        ),
    ],
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="WEIGHTS", help="A compact network: its answers are learnt beside the labels."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Passes over the faces.")] = 40,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, metavar="S", help="The same seed gives the same weights.")
    ] = 0,
    threads: Annotated[
        int, typer.Option(min=1, metavar="N", help="More are faster; the weights then differ by rounding.")
    ] = 1,
    precision: Annotated[
        Precision,
        typer.Option(help="bfloat16: twice as fast where the processor knows it; float32 otherwise."),
    ] = Precision.BFLOAT16,
) -> None:  # fmt: skip
    """Train a network on FER2013's labels and FER+'s votes, and look at public_test after every epoch.

    The number of epochs stands beforehand and the last one's weights are kept: nothing is chosen by
    public_test. Blank faces, doubles, and faces that are also in public_test are left out of the training.
    DIR gets weights.safetensors and results.json. A run that was broken off goes on after its last epoch
    when the same command is given again, to the same weights. FER2013 is for research use.

    Example: `emofuse faces train fer2013 --architecture compact --out runs/compact`
    """
    options.check_training()
    from emofuse.corpus.fer2013 import read_fer2013
    from emofuse.training.expression import DEFAULTS, train_expression

    name: Literal["emotion", "compact"] = architecture.value
    settings = replace(
        DEFAULTS[name], epochs=epochs, seed=seed, threads=threads, bfloat16=precision is Precision.BFLOAT16
    )
    faces, held_out = (read_fer2013(folder, split) for split in ("train", "public_test"))
    with stages() as on_progress:
        figures = train_expression(
            faces, held_out, settings, out, teacher=teacher,
            on_epoch=_EpochsTold(on_progress, architecture.value),
        )  # fmt: skip
    typer.echo(f"{architecture.value} network on public_test, one look at each face:")
    for labels, share, n in (
        ("FER2013", figures.fer2013_accuracy, figures.fer2013_n),
        ("FER+ majority", figures.fer_plus_majority_accuracy, figures.fer_plus_majority_n),
        ("FER+ most voted", figures.fer_plus_most_voted_accuracy, figures.fer_plus_most_voted_n),
    ):
        typer.echo(f"  {labels:16}{share:6.1%}  n = {n}")
    if architecture is Architecture.EMOTION:
        typer.echo("  (the answers for FER+ help in training and are not in the weights)")
    typer.echo(f"note: {LICENCE}")
    typer.echo(f"weights: {out / 'weights.safetensors'}")
    typer.echo(f"measure them: emofuse faces test {out / 'weights.safetensors'} {folder}")


class _EpochsTold:
    """Shows epochs as they pass, and says once where a run that was broken off goes on."""

    def __init__(self, on_progress: Any, label: str) -> None:
        self.on_progress, self.label, self.begun = on_progress, f"{label}: epochs", False

    def __call__(self, done: int, total: int) -> None:
        if not self.begun and done:
            further = "nothing is left to train" if done == total else f"going on with epoch {done + 1}"
            typer.echo(f"{done} of {total} epochs were done before: {further}", err=True)
        self.begun = True
        self.on_progress(self.label, done, total)


@app.command()
def test(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="A weights.safetensors of emofuse faces train.")
    ],
    folder: Folder,
) -> None:
    """Measure a trained network on public_test: accuracy with its 95 % interval, and its confusions.

    Figures on FER2013's labels, and for the compact network also on FER+'s majority labels (more than half
    of the counted votes name one emotion) and on the emotion with the most votes. The two label sets agree
    on under two thirds of the faces, so their figures cannot be compared. Intervals draw pictures anew.

    Example: `emofuse faces test runs/compact/weights.safetensors fer2013`
    """
    options.check_training()
    from emofuse.corpus.fer2013 import read_fer2013
    from emofuse.training.expression import assess, load_expression

    network = load_expression(weights)
    results = assess(network, read_fer2013(folder, "public_test"))
    typer.echo(f"{weights} on public_test, one look at each face:")
    for one in results:
        low, high = one.interval
        typer.echo(f"  {one.labels:16}{one.accuracy:6.1%}  [{low:.1%}, {high:.1%}]  n = {one.n}")
    for one in results[:2]:
        typer.echo(f"\nconfusion on {one.labels}, faces; rows: labels, columns: answers")
        typer.echo(_table(one.classes, one.confusion.tolist()))
    typer.echo(f"\nnote: {LICENCE}")


def _table(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A confusion matrix as lines of text, a column as wide as its name."""
    side = max(map(len, classes))
    widths = [max(len(name), *(len(str(row[i])) for row in counts)) for i, name in enumerate(classes)]
    lines = [" " * side + "".join(f"  {name:>{w}}" for name, w in zip(classes, widths, strict=True))]
    for name, row in zip(classes, counts, strict=True):
        lines.append(f"{name:{side}}" + "".join(f"  {n:>{w}}" for n, w in zip(row, widths, strict=True)))
    return "\n".join(lines)
