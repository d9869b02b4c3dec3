"""Places where the files of an image set are looked for, and where downloads go."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path


def own_folder(name: str, data_dir: Path | None = None) -> Path:
    """Return the folder into which a set is downloaded.

    It is `data_dir`/NAME, by default below the user's data folder.
    """
    if data_dir is None:
        from platformdirs import user_data_path

        data_dir = user_data_path("neurosparse") / "data"
    return data_dir / name


def system_folders(name: str) -> list[Path]:
    """Return the folders where packages of the operating system put data sets.

    They are share/datasets/NAME of each prefix.
    """
    prefixes = dict.fromkeys(
        [Path(sys.prefix), Path(sys.base_prefix), Path("/usr/local"), Path("/usr")]
    )
    return [prefix / "share" / "datasets" / name for prefix in prefixes]


def find_folder(
    name: str,
    files: Sequence[Sequence[str]],
    data_dir: Path | None,
    *,
    elsewhere: Iterable[Path] = (),
    remedy: str,
) -> list[Path]:
    """Return the files of a set, all from one folder.

    Parameters
    ----------
    name
        The set; its files may lie in a folder of that name within `data_dir`, or in `data_dir`
        itself.
    files
        The files wanted, each with the names that it goes by, the preferred one first.
    data_dir
        Where to look, and nowhere else; None for `own_folder` and the folders `elsewhere`.
    elsewhere
        Further folders to look in where `data_dir` is None.
    remedy
        What to do where there are none; ends the error's sentence.

    Raises
    ------
    FileNotFoundError
        Where no folder has the first file, or the folder that has it lacks another.
    """
    folders = [own_folder(name), *elsewhere] if data_dir is None else [data_dir / name, data_dir]
    for folder in folders:
        found = [
            next((folder / n for n in names if (folder / n).is_file()), None) for names in files
        ]
        if found[0] is not None:
            for names, path in zip(files, found, strict=True):
                if path is None:
                    raise FileNotFoundError(
                        f"{folder} holds {found[0].name} but no {names[0]}; {remedy}"
                    )
            return [path for path in found if path is not None]
    looked = ", ".join(str(folder) for folder in folders)
    raise FileNotFoundError(f"no file {files[0][0]} of {name!r} in {looked}; {remedy}")
