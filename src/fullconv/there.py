"""Whether what a command names is there: asked by whoever needs it, and by the command line at once.

Nothing here loads PyTorch, so a mistyped path is refused before the seconds that it takes.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import tarfile
import zipfile
from pathlib import Path

from fullconv.errors import DataError, ModelFileError, UsageError

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/{1,2}[^/\\]")
"""Also as ``Path`` has it, with one slash; a drive has one letter."""
PICKLED = (".pth", ".pt", ".bin")
"""Suffixes of PyTorch's own files."""
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2")
NO_DATA = "no data given; name a folder of images and masks, an archive of one, or shapes"


# -- data and images ---------------------------------------------------------------------------------------------------


def parts_of_mixture(data: str) -> list[str]:
    """``A+B`` as its parts, unless a folder is called so."""
    return data.split("+") if "+" in data and not Path(data).expanduser().exists() else [data]


def is_shapes(data: str) -> bool:
    """Whether the built-in data is meant."""
    return data == "shapes" or data.startswith("shapes:")


def find_data(data: str) -> Path:
    """The folder or archive of a data set.

    Raises:
        UsageError: there is none.
        DataError: an archive that is damaged.
    """
    path = Path(data).expanduser()
    if not path.exists():
        raise UsageError(
            f"{path}: no such folder or archive; give a data folder, an archive or address of one, A+B, or shapes"
        )
    if path.is_file() and not is_archive(path):
        if path.suffix.lower() in ARCHIVE_SUFFIXES:
            raise DataError(f"{path}: a damaged or truncated archive; fetch it again")
        raise UsageError(f"{path}: neither a folder nor a zip or tar archive; give the folder of the data")
    return path


def is_archive(path: Path) -> bool:
    """Whether the file is a zip or a (compressed) tar archive."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def refuse_missing_data(data: str) -> None:
    """Of each part of a mixture; what is made or fetched is taken to be there.

    Raises:
        UsageError, DataError: as :func:`find_data`.
    """
    for part in parts_of_mixture(data):
        if not is_shapes(part) and "://" not in part:
            find_data(part)


def matching(pattern: Path) -> list[Path]:
    """The files of a glob, in order.

    Raises:
        UsageError: there are none.
    """
    found = sorted(Path(name) for name in glob.glob(str(pattern), recursive=True) if Path(name).is_file())
    if not found:
        if ADDRESS.match(str(pattern)):  # a path has made one slash of two
            name = re.sub(r":[/\\]+", "://", str(pattern), count=1)
            raise UsageError(f"{name}: an address, and none is fetched; give images that are there")
        raise UsageError(f"{pattern}: no such file, folder or glob; give images that are there")
    return found


def refuse_missing_images(images: str) -> None:
    """Of a file, a folder or a glob.

    Raises:
        UsageError: as :func:`matching`.
    """
    path = Path(images).expanduser()
    if not path.exists():
        matching(path)


def refuse_nothing_to_import(path: Path) -> None:
    """Of what another library saved.

    Raises:
        UsageError: there is nothing.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder; docs/import.md lists what is read")


# -- runs --------------------------------------------------------------------------------------------------------------


def refuse_no_run(folder: Path) -> None:
    """Of a run that is to go on.

    Raises:
        UsageError: it has no options.
    """
    config = folder / "config.yaml"
    if not config.is_file():
        raise UsageError(f"{folder}: no run to resume (no config.yaml); name its folder: --resume RUN")
    if not config.stat().st_size:  # killed between taking the folder and writing there
        raise UsageError(f"{folder}: no run to resume (config.yaml is empty); remove the folder and start again")


def refuse_existing_run(folder: Path) -> None:
    """Of a new run's folder; one that is empty will do.

    Raises:
        UsageError: something is there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        goes_on = f"fullconv train --resume {shlex.quote(str(folder))} continues it"
        hint = goes_on if (folder / "resume" / "state.pt").is_file() else "choose another --out"
        raise UsageError(f"{folder}: exists, and a run never overwrites; {hint}")


def refuse_missing_config(path: Path) -> None:
    """Of a ``config.yaml``, or a folder that has one.

    Raises:
        UsageError: there is none.
    """
    if not (path / "config.yaml" if path.is_dir() else path).is_file():
        raise UsageError(f"{path}: no such file; --config takes the config.yaml of a run, or its folder")


# -- what is written ---------------------------------------------------------------------------------------------------


def refuse_existing(out: str | os.PathLike[str], what: str = "name") -> None:
    """Of what is to be written and never overwritten.

    Args:
        what: is to be another one.

    Raises:
        UsageError: it is there.
    """
    if Path(out).exists():
        raise UsageError(f"{out}: exists; choose another {what}")


def refuse_lone_tasks(to: str, tasks: str | os.PathLike[str] | None) -> None:
    """Of the annotation tool and the folder of its tasks.

    Raises:
        UsageError: one is given without the other, or the folder exists.
    """
    if bool(to) != (tasks is not None):
        raise UsageError("--to names the tool and --tasks the folder to write; give both, or neither")
    if tasks is not None:
        refuse_existing(tasks, "folder for the tasks")


def refuse_folders(*files: str | os.PathLike[str] | None) -> None:
    """Of files that are to be written; before hours of work.

    Raises:
        UsageError: a folder is where a file is to be written.
    """
    for file in files:
        if file is not None and Path(file).is_dir():
            raise UsageError(f"{file}: is a folder; give the name of the file to write")


def refuse_missing_weights(weights: str) -> None:
    """Of the file or folder of ``--encoder-weights``.

    Raises:
        UsageError: it is not there.
        ModelFileError: its first bytes are not those of its kind.
    """
    if weights in ("auto", "imagenet", "none"):
        return
    path = Path(weights)
    if not path.exists():
        raise UsageError(f"{weights}: no such weights file; give a .safetensors or .pth file, 'imagenet' or 'none'")
    if path.is_dir() and path.suffix in (".safetensors", *PICKLED):
        raise UsageError(f"{weights}: is a folder; give the weights file that lies in it")
    if path.suffix in PICKLED:
        with path.open("rb") as file:
            if file.read(2)[:1] not in (b"P", b"\x80"):  # a zip archive, or a pickle
                raise ModelFileError(
                    f"{path}: cannot be read as a PyTorch state dict (no archive of PyTorch's); save it with "
                    "torch.save(state_dict)"
                )
