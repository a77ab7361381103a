"""``train``, ``recipes``, ``sweep``."""

from __future__ import annotations

from pathlib import Path

from fullconv.bars import Bar
from fullconv.cli.help import Help, TrainingHelp
from fullconv.cli.typed import LATEST
from fullconv.cli.verbs.arguments import Config, Data, Options, Over, Recipe, Resumed, refuse_wrong_options
from fullconv.cli.verbs.shared import app, command, say, starting
from fullconv.errors import Interrupted, UsageError
from fullconv.there import NO_DATA, refuse_existing_run
from fullconv.training.config import TrainConfig
from fullconv.training.over import parse_over, with_value
from fullconv.training.trackers import as_here, refuse_missing

TRAIN = (
    "fullconv train my_data",
    "fullconv train my_data --minutes 10 --encoder-weights imagenet",
    "fullconv train my_data --epochs 60 --rate 5e-4 --out runs/longer",
    "fullconv train camvid --recipe camvid_fcn8s_lite0",
    "fullconv train --resume runs/longer",
    "fullconv train --config runs/longer/config.yaml --out runs/again",
)
SWEEP = (
    "fullconv sweep my_data --over rate=0.002,0.001,0.0005 --out study",
    "fullconv sweep my_data --over encoder=resnet18,mobilenetv2_100 --out study",
)


@app.command(help_formatter=TrainingHelp(*TRAIN), usage="Usage: fullconv train DATA [OPTIONS]")
def train(
    data: Data = "",
    /,
    *,
    out: Path | None = None,
    recipe: Recipe = None,
    config: Config = None,
    resume: Resumed = None,
    options: Options = None,
) -> int:
    """Train a network on DATA.

    With neither --epochs nor --recipe what is not given is chosen from the data and this machine, for --minutes; the
    defaults below are those of other runs.

    Parameters
    ----------
    data
        A folder of images and masks, an archive of one, several joined as A+B, an address of shards, or shapes. A run
        that is resumed knows its own.
    out
        The run folder; by default runs/DATA-MODEL-N. It is never overwritten.
    recipe
        A YAML file of the options below, or the name of one that fullconv recipes lists; flags override it.
    config
        The config.yaml of a run: repeat it, with its own data; on the same machine's CPU the same to the last bit.
    resume
        Continue this run where it stopped, with its own data and options; alone: the run --out, by default runs/latest.
    options
        Training options.
    """
    if not (data or config or resume):
        raise UsageError(NO_DATA)
    given = options.model_dump(exclude_unset=True) if options else {}
    if not resume:
        if out is not None:
            refuse_existing_run(out)
        file = config / "config.yaml" if config is not None and config.is_dir() else config
        chosen = TrainConfig.load(recipe or file, given)
        if file is not None and "track" not in given:
            chosen, _ = as_here(chosen)
        _refuse_wrong(chosen)
    run = True if resume == Path(LATEST) else resume or False
    try:
        with starting():
            from fullconv.training.start import train as begin

        begin(data or None, out, recipe=recipe, config=config, resume=run, **given)
    except KeyboardInterrupt as error:  # once there is something to go on from, it is an Interrupted
        left = "the run is as it was; go on" if resume else "nothing is trained or kept yet; start again"
        raise Interrupted(f"interrupted; {left} with: {command()}") from error
    return 0


def _refuse_wrong(config: TrainConfig) -> None:
    """What a recipe and flags say together, before PyTorch is loaded."""
    refuse_wrong_options(config.model_dump(exclude_unset=True))
    refuse_missing(config.tracked)


@app.command(help_formatter=Help("fullconv recipes", "fullconv recipes camvid_fcn8s_lite0"))
def recipes(name: str = "", /) -> int:
    """List the recipes that come with fullconv, or print the one called NAME with its command, time and score.

    Parameters
    ----------
    name
        One of the list; train takes it as --recipe NAME.
    """
    import fullconv
    from fullconv.cli.tables import recipes_table
    from fullconv.training.recipes import subject

    found = fullconv.recipes(name)
    if name:
        print(found[name].rstrip("\n"))  # as it is in the file, also at a terminal: it may be copied
    else:
        recipes_table({title: subject(text) for title, text in found.items()})
    return 0


@app.command(help_formatter=TrainingHelp(*SWEEP), usage="Usage: fullconv sweep DATA --over OVER --out OUT [OPTIONS]")
def sweep(
    data: Data,
    /,
    *,
    over: Over,
    out: Path,
    recipe: Recipe = None,
    jobs: int = 1,
    config: Options = None,
) -> int:
    """Train once for each value of one option: one table, one picture of the same samples.

    Called again with the same --out, finished runs are kept and interrupted ones go on.

    Parameters
    ----------
    data
        A folder of images and masks, an archive of one, several joined as A+B, an address of shards, or shapes.
    over
        OPTION=VALUE,VALUE,..., for example rate=0.001,0.0003, 'crop=[256,256],[384,384]' or (VGG16)
        encoder-args.dropout=0.5,0.25.
    out
        The folder for the runs, sweep.csv and sweep.png.
    recipe
        A YAML file of the options below, or the name of one that fullconv recipes lists; flags override it.
    jobs
        Runs at a time; they share the cores.
    config
        Training options.
    """
    given = config.model_dump(exclude_unset=True) if config else {}
    base = TrainConfig.load(recipe, given).model_dump(exclude_unset=True)
    option, values = parse_over(over)
    for value in values:
        _refuse_wrong(TrainConfig.load(None, with_value(base, option, value)))
    with starting():
        from fullconv.cli.tables import sweep_table
        from fullconv.training.sweep import sweep as train_each

    with Bar("sweep", "epochs") as bar:
        begun: list[int] = []

        def done(some: int, every: int, where: str, left: float) -> None:
            if not begun:  # a study that goes on
                begun.append(some)
                bar.begin(some)
            bar(some, every, words=f"sweep: {where}" if where else "", left=left)

        try:
            found = train_each(data, over, out, recipe=recipe, jobs=jobs, progress=say, done=done, **given)
        except Interrupted as error:
            what = str(error).partition(";")[0]
            raise Interrupted(f"{what}; go on with: {command()}") from error
        except KeyboardInterrupt as error:
            raise Interrupted(f"interrupted; runs that have ended are kept; go on with: {command()}") from error
    sweep_table(found)
    return 0
