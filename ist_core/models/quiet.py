"""Keeps transformers from drawing progress bars into a service's logs."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from transformers import modeling_gguf_pytorch_utils as gguf_reader
from transformers.utils import logging


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Switch transformers' progress bars off inside the block, and back to what they were."""
    shown = logging.is_progress_bar_enabled()
    names = vars(gguf_reader)
    bar = names["tqdm"]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no types here
    # The GGUF reader draws a bar of its own that transformers' switch does not reach.
    names["tqdm"] = partial(bar, disable=True)
    try:
        yield
    finally:
        names["tqdm"] = bar
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # the same
