"""``emofuse faces``: train and evaluate networks for the expression of one face on FER2013."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from emofuse.cli import clusters, options
from emofuse.cli.printing import print_line
from emofuse.cli.progress import stages
from emofuse.cli.quiet import is_quiet
from emofuse.core.progress import OnProgress

LICENSE_NOTE = (
    "FER2013's images are for research use (the votes of FER+ are MIT): "
    "weights trained on them are for research use, too"
)
"""Printed wherever such weights are trained or evaluated."""

app = typer.Typer(
    name="faces",
    help="Train networks for the expression of one face on FER2013, and evaluate them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


class Architecture(enum.StrEnum):
    """The network to train."""

    EMOTION = "emotion"
    COMPACT = "compact"


Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", help="Folder of FER2013: train.npz and public_test.npz, with the votes of FER+."
    ),
]


@app.command()
def train(
    folder: Folder,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for weights and results.")],
    architecture: Annotated[
        Architecture,
        typer.Option(
            "--architecture", "-a",
            help="emotion: DeepFace's network, from which a recipe's LRCN can start; "
            "compact: a stronger one of our own.",
        ),
    ],
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="WEIGHTS", help="A compact network, whose predictions are learned, too."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Passes over the training faces.")] = 40,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, metavar="S", help="The same seed gives the same weights.")
    ] = 0,
    threads: Annotated[
        int, typer.Option(min=1, metavar="N", help="More are faster, and change the weights by rounding.")
    ] = 1,
    device: options.TrainingDevice = options.DeviceChoice.CPU,
    precision: Annotated[
        options.Precision,
        typer.Option(help="bfloat16 is twice as fast where the processor supports it; float32 otherwise."),
    ] = options.Precision.BFLOAT16,
    cluster: options.ClusterAddress = None,
    _quiet: options.Quiet = False,
) -> None:  # fmt: skip
    """Train a network on FER2013's labels and FER+'s votes, and evaluate it on public_test after every epoch.

    The number of epochs is fixed in advance and the last epoch's weights are kept: public_test selects
    nothing. Blank faces, duplicates, and faces that are also in public_test are left out of training. Writes
    weights.safetensors and results.json to DIR. Repeat the command to resume an interrupted run after its
    last epoch; it ends with the same weights. FER2013 is for research use.

    Example: `emofuse faces train fer2013 --architecture compact --out runs/compact`
    """
    options.check_training()
    from emofuse.corpus.fer2013 import read_fer2013
    from emofuse.system.file_lock import locked_folder
    from emofuse.training.compute import computing
    from emofuse.training.expression import DEFAULTS, train_expression, train_from_files
    from emofuse.training.resources import Resources

    compute = options.compute(device)
    clusters.check_training(cluster, 0, compute)
    name: Literal["emotion", "compact"] = architecture.value
    bfloat16 = precision is options.Precision.BFLOAT16
    settings = replace(DEFAULTS[name], epochs=epochs, seed=seed, threads=threads, bfloat16=bfloat16)
    faces, held_out = (read_fer2013(folder, split) for split in ("train", "public_test"))
    with stages() as on_progress, computing(compute):
        if cluster is None:
            result = train_expression(
                faces, held_out, settings, out, teacher=teacher,
                on_epoch=_EpochProgress(on_progress, architecture.value),
            )  # fmt: skip
        else:
            read = [folder / "train.npz", *([] if teacher is None else [teacher])]
            with locked_folder(out), clusters.executor(cluster, 0, [out], read) as executor:
                task = (folder, settings, out, teacher)
                (result,) = Resources(executor, None, on_progress).map(
                    f"{architecture.value} network", train_from_files, [task]
                )
    typer.echo(f"{architecture.value} network on public_test, one prediction per face:")
    for labels, share, n in (
        ("FER2013", result.fer2013_accuracy, result.fer2013_n),
        ("FER+ majority", result.fer_plus_majority_accuracy, result.fer_plus_majority_n),
        ("FER+ most voted", result.fer_plus_most_voted_accuracy, result.fer_plus_most_voted_n),
    ):
        typer.echo(f"  {labels:16}{share:6.1%}  n = {n}")
    if architecture is Architecture.EMOTION:
        print_line("  (the FER+ outputs are used in training only and are not in the weights)")
    print_line(f"note: {LICENSE_NOTE}")
    print_line(f"weights: {out / 'weights.safetensors'}")
    print_line(f"evaluate them: emofuse faces test {out / 'weights.safetensors'} {folder}")


class _EpochProgress:
    """Shows the epochs, and prints where an interrupted run resumes."""

    def __init__(self, on_progress: OnProgress, label: str) -> None:
        self.on_progress, self.label, self.started = on_progress, f"{label}: epochs", False

    def __call__(self, done: int, total: int) -> None:
        if not self.started and done:
            next_step = "nothing is left to train" if done == total else f"resuming with epoch {done + 1}"
            if not is_quiet():
                typer.echo(f"{done} of {total} epochs are already done: {next_step}", err=True)
        self.started = True
        self.on_progress(self.label, done, total)


@app.command()
def test(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="A weights.safetensors of emofuse faces train.")
    ],
    folder: Folder,
    *,
    _quiet: options.Quiet = False,
) -> None:
    """Evaluate a trained network on public_test: accuracy with its 95 % interval, and confusion matrices.

    Results are on FER2013's labels and, for the compact network, also on FER+'s majority labels (more than
    half of the counted votes name one emotion) and on the emotion with the most votes. The two label sets
    agree on under two thirds of the faces, so their results cannot be compared. Intervals resample images.

    Example: `emofuse faces test runs/compact/weights.safetensors fer2013`
    """
    options.check_training()
    from emofuse.corpus.fer2013 import read_fer2013
    from emofuse.training.expression import assess, load_expression

    network = load_expression(weights)
    results = assess(network, read_fer2013(folder, "public_test"))
    typer.echo(f"{weights} on public_test, one prediction per face:")
    for one in results:
        low, high = one.interval
        typer.echo(f"  {one.labels:16}{one.accuracy:6.1%}  [{low:.1%}, {high:.1%}]  n = {one.n}")
    for one in results[:2]:
        typer.echo(f"\nconfusion on {one.labels}, number of faces; rows: labels, columns: predictions")
        typer.echo(_table(one.classes, one.confusion.tolist()))
    print_line(f"\nnote: {LICENSE_NOTE}")


def _table(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A confusion matrix as text, each column as wide as its widest entry."""
    side = max(map(len, classes))
    widths = [max(len(name), *(len(str(row[i])) for row in counts)) for i, name in enumerate(classes)]
    lines = [" " * side + "".join(f"  {name:>{w}}" for name, w in zip(classes, widths, strict=True))]
    for name, row in zip(classes, counts, strict=True):
        lines.append(f"{name:{side}}" + "".join(f"  {n:>{w}}" for n, w in zip(row, widths, strict=True)))
    return "\n".join(lines)
