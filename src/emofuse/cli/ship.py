"""``emofuse ship``: build the recognizer that comes with emofuse. For maintainers of the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from emofuse.cli import options
from emofuse.cli.printing import corpus_line
from emofuse.cli.progress import stages


def ship(
    corpus: Annotated[
        list[Path],
        typer.Argument(
            metavar="RAVDESS…",
            help="The corpus: audio of all speakers, and video of one. Others may follow, for their voices.",
        ),
    ],
    *,
    out: options.BundleOut,
    expression: Annotated[
        Path | None,
        typer.Option(
            metavar="WEIGHTS", help="weights.safetensors of emofuse faces train --architecture compact."
        ),
    ] = None,
    fer2013: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of FER2013: train.npz and public_test.npz.")
    ] = None,
    face_from: Annotated[
        Path | None,
        typer.Option(
            metavar="BUNDLE",
            help="Instead of the weights: take the face of an earlier bundle as it is. With --fer2013, how "
            "likely its outputs are is measured again.",
        ),
    ] = None,
    voice_from: Annotated[
        Path | None,
        typer.Option(metavar="BUNDLE", help="Train no voice: take that of an earlier bundle as it is."),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option("--recipe", "-r", metavar="R", help="A recipe with a face network of kind expression."),
    ] = "out-of-the-box",
    check_speaker: Annotated[
        str,
        typer.Option(metavar="S", help="Speaker whose videos check the result, and fit nothing."),
    ] = "01",
    check_faces: Annotated[
        Path | None,
        typer.Option(metavar="NPZ", help="More faces of that speaker: arrays codes and frames (grayscale)."),
    ] = None,
    labels: options.LabelSets = None,
    weight: options.Weights = None,
    license_: options.Licenses = None,
    measure: options.MeasureOn = None,
    jobs: options.Jobs = 0,
    device: options.TrainingDevice = options.DeviceChoice.CPU,
    precision: options.TrainingPrecision = options.Precision.FLOAT32,
    cache: options.CacheFolder = None,
    _quiet: options.Quiet = False,
) -> None:
    """Build the recognizer that comes with emofuse. For maintainers; users need `emofuse train`.

    The voice network is fitted on the corpus; the face network is an expression CNN trained on FER2013; the
    fusion weight of each is determined separately. Fails if the bundle exceeds 12 MB. The check uses a second
    voice network, trained without the speaker of the check. To change only the voice, `--face-from` names the
    bundle that the face comes from; to change only the face or the fusion, `--voice-from` that of the voice.

    Other corpora after RAVDESS join the voice; `--measure` names corpora that are only read, at the end.

    Example: `emofuse ship ravdess --expression compact/weights.safetensors --fer2013 fer2013 --out bundle`
    """
    options.check_training()
    face_source: Path | tuple[Path, Path]
    if face_from is not None and expression is None:
        face_source = face_from
    elif face_from is None and expression is not None and fer2013 is not None:
        face_source = expression, fer2013
    else:
        raise typer.BadParameter(
            "the face comes from --expression and --fer2013, or from --face-from without --expression"
        )
    from emofuse.core.recipes.load import load_recipe
    from emofuse.training.resources import Resources
    from emofuse.training.ship.build import ship as build

    compute = options.compute(device, precision)
    with stages() as on_progress:
        resources = Resources(options.executor(jobs), options.feature_store(cache), on_progress, compute)
        bundle = build(
            options.load_corpora(corpus, labels, weight, license_),
            load_recipe(recipe),
            face_source,
            out,
            check_speaker=check_speaker,
            check_faces=check_faces,
            measure_on=[options.load_corpora([path], None) for path in measure or ()],
            voice_from=voice_from,
            fer2013=fer2013,
            resources=resources,
        )
    provenance = bundle.provenance
    size = sum(int(facts["bytes"]) for facts in bundle.files.values())
    typer.echo(f"bundle: {bundle.folder}, {size / 1e6:.1f} MB, license: {bundle.licence}")
    typer.echo(f"voice, on held-out speakers: {_accuracy(provenance['voice'])}")
    for found in (*provenance["voice"].get("corpora", ()), *provenance.get("measured", ())):
        typer.echo(corpus_line(found))
    face = provenance["face"]
    typer.echo(f"face: temperature {face['temperature']:.2f} on {face['n_faces']} faces of public_test")
    weights = provenance["weights"]
    typer.echo("fusion weights: " + ", ".join(f"{name} {value:.2f}" for name, value in weights.items()))
    for name, largest in provenance["float16_largest_difference"].items():
        typer.echo(f"float16 changes no probability of the {name} network by more than {largest:.1g}")
    changed = provenance["float16_changed_answers"]["voice"]
    typer.echo(f"float16 changes {changed['changed']} of {changed['n']} answers of the voice network")
    check = provenance.get("check")
    if check is None:
        typer.echo(f"the corpus has no speaker {check_speaker} besides others: nothing was checked")
        return
    typer.echo(
        f"check on speaker {check['speaker']}, unseen by the voice network ({_accuracy(check['voice'])}):"
    )
    typer.echo(f"  videos: {check['films']['right']} of {check['films']['n']}")
    for name, counts in check.get("face_sequences", {}).items():
        typer.echo(f"  face sequences, {name}: {counts['right']} of {counts['n']}")


def _accuracy(voice: dict[str, Any]) -> str:
    low, high = voice["interval_over_speakers"]
    return f"{voice['accuracy_on_held_out_speakers']:.1%} [{low:.1%}, {high:.1%}], n = {voice['takes']}"
