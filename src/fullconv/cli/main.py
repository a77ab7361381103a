"""The command line: one verb, one function (``verbs``). Nothing heavy is imported before a verb runs."""

from __future__ import annotations

import sys

from cyclopts import CycloptsError
from pydantic import ValidationError

from fullconv.cli.typed import as_meant
from fullconv.cli.verbs import data, export, models, prediction, training
from fullconv.cli.verbs.shared import app, complain
from fullconv.errors import FullconvError, UsageError
from fullconv.training.config import explain

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # CUDA's and the CPU allocator's
VERBS = (training, prediction, export, data, models)


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns 0 (fine), 1 (failed while running), 2 (usage), 3 (data), 4 (gate), 130 (interrupted)."""
    try:
        code = app(as_meant(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        if isinstance(error.__cause__, ValidationError):
            complain(explain(error.__cause__, "the options"))
            return UsageError.exit_code
        complain(" ".join(str(error).split()) + "; fullconv --help shows the usage")
        return UsageError.exit_code
    except FullconvError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted; nothing was left half-written")
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


if __name__ == "__main__":
    main()
