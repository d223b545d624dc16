"""``coremlbench datasets``: the datasets for training."""

from __future__ import annotations

import click

from coremlbench.cli.commands.parameters import json_option


@click.command(short_help="List the datasets, their downloads and what is in the cache.")
@json_option
def datasets(as_json: bool) -> None:
    """List the datasets by name. Any folder of images can be used instead.

    A folder holds DIR/train/<class>/… and DIR/test/<class>/…, or DIR/<class>/…, of which a random quarter is the test
    set. COREMLBENCH_CACHE names the folder of drawn and downloaded datasets.
    """
    import json
    from dataclasses import asdict

    from coremlbench.cli.terminal.listings import print_datasets
    from coremlbench.system.paths import cache_folder
    from coremlbench_datasets import summaries

    datasets_found = summaries(cache_folder() / "datasets")
    if as_json:
        click.echo(json.dumps([asdict(dataset) for dataset in datasets_found], indent=2))
    else:
        print_datasets(datasets_found)
