"""How far a job is, on a terminal only: number or bytes, rate and time left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skyeye_edge.runtime.captioning import Progress


@contextmanager
def progress_bar(what: str, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar on stderr while the block runs, unless that is no terminal; yields who to tell."""
    if quiet or not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TextColumn("{task.completed:.0f}/{task.total:.0f} frames, {task.fields[rate]:.1f}/s"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        # with stdout in a pipe, results must go there and not above the bar
        redirect_stdout=sys.stdout.isatty(),
    ) as display:
        tasks: dict[str, bars.TaskID] = {}

        def tell(progress: Progress) -> None:
            stage = progress.stage
            if stage not in tasks:
                tasks[stage] = display.add_task(f"{what}: {stage}", total=1, rate=0.0)
            total = max(progress.frames_in_all, progress.frames)
            display.update(tasks[stage], completed=progress.frames, total=total)
            speed = next(t.speed for t in display.tasks if t.id == tasks[stage])
            display.update(tasks[stage], rate=speed or 0.0)

        yield tell


@contextmanager
def count_bar(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr over `total` things, unless that is no terminal; yields whom to tell."""
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(what, total=total)
        yield lambda done: display.update(task, completed=done)


@contextmanager
def bytes_bar(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """As above, for what is written: yields whom to tell of bytes written, and of bytes in all."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(binary_units=True),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(what, total=None)
        yield lambda done, total: display.update(task, completed=done, total=total)
