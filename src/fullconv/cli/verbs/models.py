"""``info``, ``models``, ``synsets``, ``import``, ``demo``."""

from __future__ import annotations

from pathlib import Path

from fullconv.bars import Bar
from fullconv.cli.help import Help
from fullconv.cli.verbs.arguments import Foreign, Model
from fullconv.cli.verbs.shared import app, say, starting
from fullconv.errors import UsageError
from fullconv.there import refuse_existing

MOST_SIZES = 20
"""Encoders newer than the recorded ones whose size is found out, a fraction of a second each; of more none is shown."""

IMPORT = (
    "fullconv import smp_folder model.safetensors --classes background,road",
    "fullconv import resnet50.h5 resnet50.safetensors",
)


@app.command(help_formatter=Help("fullconv info runs/mine", "fullconv info model.onnx"))
def info(model: Model, /) -> int:
    """Say what MODEL is: network, classes, preprocessing, where it comes from.

    Parameters
    ----------
    model
        A model file, a run folder, or torchvision/NAME (downloaded once).
    """
    import fullconv
    from fullconv.cli.tables import info_table

    with starting():
        said = fullconv.info(model)
    info_table(Path(said["file"]), said)
    say(f"sees {said['sees']}\ncomputed on this machine by {said['runner']}")
    return 0


@app.command(help_formatter=Help("fullconv models", "fullconv models mobilenetv2", "fullconv models 'convnext*'"))
def models(pattern: str = "", /) -> int:
    """List networks with their size, speed and score, and trained weights with their size and licence.

    Parameters
    ----------
    pattern
        Part of a name of a network or encoder, or a glob such as 'convnext*'; without it a short list is shown.
    """
    from fullconv.cli.tables import models_table
    from fullconv.training.recipes import recipes_on

    with starting():
        from fullconv.models.catalogue import known_weights, measured, networks, parameters_of

        found, called = known_weights(pattern), networks(pattern)
        sizes = parameters_of([row.name for row in found], MOST_SIZES)
    if not found and not called:
        raise UsageError(f"no network or encoder is called like {pattern!r}; fullconv models shows some names")
    models_table(called, found, measured(pattern), sizes, recipes_on([row.name for row in found]))
    return 0


@app.command(help_formatter=Help("fullconv synsets dog", "fullconv synsets n02084071"))
def synsets(name: str, /) -> int:
    """List the ImageNet classes that a synset covers: what heatmap --synset looks for.

    Parameters
    ----------
    name
        A WordNet id (n02084071) or a word (dog).
    """
    from fullconv.models.synsets import called, classes_of, id_to_words

    chosen, *others = called(name)
    indices = classes_of([chosen])
    say(f"{chosen.id} {chosen.words}, classes: {len(indices)}")
    for index in indices:
        say(f"{index:4} {id_to_words(index)}")
    for other in others:
        say(f"also called {name}: {other.id} {other.words}, classes: {len(classes_of([other]))}")
    return 0


@app.command(name="import", help_formatter=Help(*IMPORT))
def import_model(
    model: Foreign, out: Path, /, *, classes: str = "", mean: str = "", std: str = "", head_weights: str = ""
) -> int:
    """Make a model file of a network that another library saved.

    Parameters
    ----------
    model
        A folder that save_pretrained of segmentation_models.pytorch wrote (config.json and model.safetensors), the
        checkpoint (.ckpt) of MindSpore's FCN-8s, or Keras's ResNet-50 (.h5), which gives weights for heatmap. For other
        kinds it says what to do.
    out
        The model file to write, ending in .safetensors.
    classes
        Names of the output channels, separated by commas; not for Keras's ResNet-50.
    mean
        What the training images were normalised with, of 1: 0.485,0.456,0.406 by default (ImageNet's), for the files
        do not say.
    std
        The standard deviations of the same, by default 0.229,0.224,0.225.
    head_weights
        An HDF5 file with datasets w and b: the last layer of a Keras network that was saved without it.
    """
    refuse_existing(out)
    import fullconv

    given = {option: _numbers(f"--{option}", text) if text else None for option, text in (("mean", mean), ("std", std))}
    names = [name.strip() for name in classes.split(",")] if classes else []
    with Bar("import", ""):
        lines = fullconv.import_model(model, out, classes=names, head_weights=head_weights, **given)
    for line in lines:
        say(line)
    return 0


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"{option} must be numbers separated by commas, found {text!r}") from error


@app.command(help_formatter=Help("fullconv demo", "fullconv demo --out runs/shown", "fullconv demo --resume"))
def demo(*, out: Path = Path("runs/demo"), workers: int | None = None, resume: bool = False) -> int:
    """Train FCN-8s on the built-in shapes data, evaluate it, predict new scenes.

    Parameters
    ----------
    out
        Where everything goes; what an earlier demo left there is replaced.
    workers
        Reading processes; by default by the number of cores.
    resume
        Go on with the demo in --out where it stopped.
    """
    with starting():
        from fullconv.cli.demo import demo as show

    show(out, workers, resume)
    return 0
