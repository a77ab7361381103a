"""Reading processes: what a user's script must allow for where the system does not fork, and how they may end."""

from __future__ import annotations

import multiprocessing

from fullconv.errors import FullconvError, UsageError

GUARD = (
    "this script was run again by a reading process that it started; put its calls under "
    "if __name__ == '__main__': (or use workers=0)"
)


def refuse_unguarded() -> None:
    """Leave where a reading process, at its start, runs the user's script from the top.

    Where processes are spawned (macOS, Windows) or come from a fork server, each imports the main script: one without
    ``if __name__ == "__main__":`` would train again in each of them.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(f"fullconv: {GUARD}")  # no traceback: the process that started this one says the same


def raise_if_a_process_is_gone(error: Exception) -> None:
    """Say in one line that a reading process has ended; returns for any other error.

    Raises:
        UsageError: at its start, as it does in a script without a guard.
        FullconvError: later: the system ended it.
    """
    text = str(error).split("\n")[0]
    if isinstance(error, (BrokenPipeError, EOFError)) or ("worker" in text and "exited unexpectedly" in text):
        if multiprocessing.get_start_method() != "fork":
            raise UsageError(
                f"a reading process ended at its start, where it imports the script that was started; unless an error "
                f"is printed above: {GUARD}"
            ) from None
        raise FullconvError(f"a reading process ended ({text}); workers=0 reads in this one and shows why") from error
    if "worker" in text and "killed by signal" in text:
        raise FullconvError(
            f"the system ended a reading process, usually because memory ran out ({text}); use fewer workers"
        ) from error
