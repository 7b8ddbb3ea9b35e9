"""A folder that appears on disk whole or not at all, whatever ends the process or fills the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; at the end of the block it becomes `target`, in the place of an old one.

    Its files are on disk before its name is. An error leaves nothing, and an old `target` as it was.
    """
    partial = target.with_name(f".{target.name}.partial")
    _remove(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
        _sync_tree(partial)
        replaced = _set_aside(target)
        partial.rename(target)
    except BaseException:
        # The error that is on its way says more than one from here could.
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _sync(target.parent)
    _sync(target.parent.parent)
    _remove(replaced)


def remove_whole(folder: Path) -> None:
    """Remove `folder`, if it exists, so that its name never shows a part of it."""
    _remove(_set_aside(folder))


def _set_aside(folder: Path) -> Path:
    """Take away the folder's name, if it exists; return where it then is."""
    aside = folder.with_name(f".{folder.name}.removed")
    _remove(aside)
    if folder.exists():
        folder.rename(aside)
    return aside


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    """Have the system write a file, or a folder's list of names, to disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
