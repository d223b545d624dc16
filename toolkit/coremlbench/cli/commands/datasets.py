"""``coremlbench datasets``: what can be trained on."""

from __future__ import annotations

import click

from coremlbench.cli.commands.parameters import json_option


@click.command(short_help="List the datasets, what they need and whether they are here.")
@json_option
def datasets(as_json: bool) -> None:
    """List the datasets by name. Any folder of pictures can be used in their place.

    A folder holds DIR/train/<class>/… and DIR/test/<class>/…, or DIR/<class>/…, which is split by seed, a quarter
    for the test. COREMLBENCH_CACHE names the folder that keeps what was drawn or downloaded.
    """
    import json
    from dataclasses import asdict

    from coremlbench.cli.terminal.progress import print_datasets
    from coremlbench.system.paths import cache_folder
    from coremlbench_datasets import summaries

    found = summaries(cache_folder() / "datasets")
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    else:
        print_datasets(found)
