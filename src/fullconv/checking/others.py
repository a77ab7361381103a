"""Data that cannot be opened as they are: the first problem, and how many more there are."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from fullconv.checking.check import check
from fullconv.checking.report import check_command
from fullconv.data.dataset import DatasetSpec
from fullconv.errors import DataError
from fullconv.formats.open import NotRecognisedError, open_as_far_as_it_goes, open_dataset

MOST_READ = 500
"""Images up to which all are read to count the problems; of more those of the opening are counted."""


def open_or_count(
    data: str | os.PathLike[str] | DatasetSpec,
    waiting: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> DatasetSpec:
    """As :func:`open_dataset`; its error says how many more problems there are.

    Args:
        waiting: what is entered while they are counted, by what is done then: files are read for it.

    Raises:
        UsageError, DataError: as :func:`open_dataset`.
    """
    try:
        return open_dataset(data)
    except NotRecognisedError:
        raise
    except DataError as error:
        assert not isinstance(data, DatasetSpec)
        with waiting("counting the problems"):
            more = _others(data)
        raise DataError(f"{error}{more}") from error


def _others(data: str | os.PathLike[str]) -> str:
    try:
        spec, problems = open_as_far_as_it_goes(data)
        whole = sum(map(len, spec.splits.values())) <= MOST_READ
        found = len(check(data, labels=None).problems if whole else problems) - 1
    except DataError:  # nothing is left without it
        return ""
    if found < 1:
        return ""
    count = f"{'' if whole else 'at least '}{found} more problem{'s' * (found > 1)}"
    return f" (and {count}: {check_command(os.fspath(data))} lists them)"
