"""``coremlbench cache``: what is kept to be used again, and its removal."""

from __future__ import annotations

from typing import Any

import click

from coremlbench.cli.commands.parameters import Age, CommaList, json_option, split_names


def part_names() -> tuple[str, ...]:
    """Return the names of the parts, and ``all``."""
    from coremlbench.diagnostics.cache_parts import PART_NAMES

    return PART_NAMES


def parse_parts(value: str) -> tuple[str, ...]:
    """Return the parts named in "packages,weights".

    Raises:
        ValueError: a name is unknown, or there is none.
    """
    names, known = split_names(value), part_names()
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"{(unknown or [value])[0]!r} is no part of the cache; choose from {', '.join(known)}.")
    return names


@click.command(short_help="What is kept to be used again: sizes by part, and removal.")
@click.option(
    "--clear",
    type=CommaList("parts", parse_parts, part_names),
    default=(),
    metavar="PART",
    help="Remove this part, several separated by commas, or all.",
)
@click.option(
    "--older-than",
    type=Age(),
    help="Remove only what was not used for this time: 12h, 30d, 8w; without --clear, of all parts.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@json_option
def cache(clear: tuple[str, ...], older_than: float | None, dry_run: bool, as_json: bool) -> None:
    """List what is kept in the cache folder to be used again, with its size by part; remove parts of it.

    Everything there is made or fetched again when it is needed; no record and no trained model is there.
    COREMLBENCH_CACHE names the folder.

    \b
    coremlbench cache
    coremlbench cache --clear packages
    coremlbench cache --older-than 30d --dry-run
    """  # noqa: D301 - \b tells click to keep the lines
    from dataclasses import asdict

    from coremlbench.cli.terminal.housekeeping import print_cache, print_removal
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.diagnostics import cache_parts
    from coremlbench.system.paths import cache_folder
    from coremlbench.types.errors import InputError

    folder = cache_folder()
    removes = bool(clear) or older_than is not None
    if dry_run and not removes:
        raise InputError("--dry-run says what --clear or --older-than would remove; give one of them.")
    removal = cache_parts.clear(folder, clear, older_than, dry_run=dry_run) if removes else None
    sizes = cache_parts.part_sizes(cache_parts.cache_entries(folder))
    if as_json:
        content: dict[str, Any] = {"folder": str(folder), "parts": [asdict(size) for size in sizes]}
        if removal is not None:
            content["removed"] = [asdict(entry) for entry in removal.entries]
            content["left"] = list(removal.left)
            content["dry_run"] = dry_run
        print_json(content)
        return
    if removal is not None:
        print_removal(removal, dry_run=dry_run)
    print_cache(sizes, folder)
