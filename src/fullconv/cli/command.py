"""One command: one verb, one function (``verbs``). Nothing heavy is imported before a verb runs."""

from __future__ import annotations

from cyclopts import CycloptsError
from cyclopts.exceptions import (
    CoercionError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)
from pydantic import ValidationError

from fullconv.bars import one_clock
from fullconv.cli.choices import wrong_value
from fullconv.cli.synonyms import unknown_option
from fullconv.cli.typed import as_meant
from fullconv.cli.verbs import data, evaluation, export, heat_maps, models, prediction, review, serving, training
from fullconv.cli.verbs.shared import TYPED, app, command, complain
from fullconv.errors import MOST_NAMED, FullconvError, UsageError, first_few
from fullconv.training.config import TrainConfig
from fullconv.training.option_names import explain, near_options

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # CUDA's and the CPU allocator's
OTHER_VERBS = {
    "version": "--version", "val": "evaluate", "test": "evaluate", "eval": "evaluate", "infer": "predict",
    "inference": "predict", "segment": "predict", "detect": "predict", "fit": "train", "resume": "train --resume",
    "validate": "check", "ls": "models", "list": "models",
}  # fmt: skip
"""What other programs call them."""
VERBS = (training, prediction, heat_maps, evaluation, review, export, serving, data, models)


def run(arguments: list[str]) -> int:
    """Run one command; returns 0 (fine), 1 (failed while running), 2 (usage), 3 (data), 4 (gate), 130 (interrupted)."""
    TYPED[:] = arguments
    if arguments == ["--install-completion"] and not _shell_is_known():
        complain("which shell is it? fullconv --install-completion --shell bash, or zsh, or fish")
        return UsageError.exit_code
    try:
        with one_clock():
            code = app(as_meant(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        cause = error.__cause__
        if isinstance(cause, FullconvError):  # an argument is not what it must be (verbs/arguments.py)
            complain(str(cause))
            return cause.exit_code
        if isinstance(cause, ValidationError):
            complain(explain(cause, "the options", TrainConfig.model_fields, flags=True))
            return UsageError.exit_code
        complain(_explained(error, arguments))
        return UsageError.exit_code
    except FullconvError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain(f"interrupted; nothing was left half-written; start again with: {command()}")
        return 130
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in OUT_OF_MEMORY):
            raise
        complain("out of memory; use a smaller --crop, --batch-size, --resize or --tile")
        return FullconvError.exit_code
    except OSError as error:
        complain(f"{error.filename or 'system'}: {error.strerror or error}")
        return FullconvError.exit_code
    return code if isinstance(code, int) else 0


def _shell_is_known() -> bool:
    from cyclopts.completion.detect import ShellDetectionError, detect_shell

    try:
        detect_shell()
    except ShellDetectionError:
        return False
    return True


def _explained(error: CycloptsError, arguments: list[str]) -> str:
    """What is wrong with the command line, in one line that says what was meant."""
    verb = arguments[0] if arguments and not arguments[0].startswith("-") and arguments[0] in app else ""
    word = next((word for word in arguments if word.startswith("-")), "")
    if isinstance(error, UnknownOptionError):
        found = app[verb].assemble_argument_collection()
        flags = [name for argument in found for name in argument.names if name.startswith("--")]
        places = [argument.name for argument in found if argument.name.isalpha()]
        return unknown_option(verb, error.token.keyword or error.token.value or word, flags, places)
    if isinstance(error, UnknownCommandError) and not verb and arguments[0] == word:
        return unknown_option("", word, ("--help", "--version"), ())
    if isinstance(error, UnknownCommandError) and not verb:
        verbs = [name for name in app if not name.startswith("-")]
        near = [OTHER_VERBS[arguments[0]]] if arguments[0] in OTHER_VERBS else near_options(arguments[0], verbs)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(verbs))};"
        return f"there is no command {arguments[0]}; {meant} fullconv --help describes them"
    if isinstance(error, UnusedCliTokensError):
        more = error.unused_tokens or ()
        verbal = "is" if len(more) == 1 else "are"
        return (
            f"{verb}: {first_few(more, MOST_NAMED)} {verbal} more than it takes; fullconv {verb} --help shows the usage"
        )
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.argument.name
        value = "" if name.isupper() else f" {name.lstrip('-').upper()}"
        count, _ = error.argument.token_count()
        if count > 1:
            some = " ".join(error.tokens_so_far) or "none"
            return f"{verb}: {name} takes {count} values, found {some}; fullconv {verb} --help shows the usage"
        if verb == "export" and name == "--out" and (file := _written(arguments)):
            return f"{verb}: {name}{value} is missing; did you mean {name} {file}?"
        return f"{verb}: {name}{value} is missing; fullconv {verb} --help shows the usage"
    if isinstance(error, CoercionError) and (line := wrong_value(error)):
        return line
    message = " ".join(str(error).split()).rstrip(".")
    return f"{message}; fullconv {verb} --help shows the usage".replace("  ", " ")


def _written(arguments: list[str]) -> str:
    """Which word behind a verb and its model is a file that ``export`` writes; empty: none."""
    from fullconv.exporting.targets import SUFFIXES

    endings = tuple(SUFFIXES.values())
    return next((word for word in arguments[2:] if word.endswith(endings) and not word.startswith("-")), "")
