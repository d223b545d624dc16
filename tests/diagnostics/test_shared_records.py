"""Records, reports and bundles for passing on have no names, folders and serial numbers."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from coremlbench.cli.main import cli
from coremlbench.diagnostics.redaction import Owner
from coremlbench.diagnostics.shared_records import SharingRedactor, redact_records
from coremlbench.runs import store
from coremlbench.runs.schema import results_schema
from coremlbench.types.records import Record
from coremlbench.types.training_records import Trained
from tests import record_samples as samples

JANE = Owner(users=("jane.doe",), homes=("/home/jane.doe",), hosts=("janes-mac",))
SECRETS = ("jane", "acme", "client x", "b7c6", "C02XY", "5d1c9b9e", samples.BOX.id, "someone")


def private_records() -> list[Record]:
    """Records that name their owner, folders, and a serial number wherever there is text."""
    converted = samples.conversion(3)
    assert converted.source is not None
    path = "/data/Acme/Client X/model v2.keras"
    source = replace(converted.source, path=path, kind="file")
    failure = replace(
        samples.OUT_OF_MEMORY,
        reason=f"{path} cannot be opened on janes-mac.",
        evidence=replace(
            samples.OUT_OF_MEMORY.evidence,
            log_tail=(
                f"opening {path}",
                'File "/home/someone/acme/.venv/lib/python3.11/site-packages/keras/src/x.py", line 3',
                "Serial Number (system): C02XYB7C6",
                "id 5d1c9b9e-1111-2222-3333-444455556666",
                "see https://keras.io/api/models and /usr/lib/libc.so",
            ),
        ),
    )
    options = {**converted.options, "path": path, "data": "/Volumes/Acme disk/pictures"}
    return [
        replace(converted, source=source, options=options, command=("coremlbench", "convert", path)),
        replace(samples.training(5, failure=failure), notes=("Pictures of /Volumes/Acme disk/pictures.",)),
        samples.timing(6),
    ]


def leaks(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret.lower() in text.lower()]


def test_records_lose_what_identifies_and_keep_the_rest() -> None:
    records = private_records()
    redacted = redact_records(records, JANE)
    content = [json.loads(store.to_bytes(record)) for record in redacted]
    assert leaks(json.dumps(content)) == []
    assert content[0]["source"]["path"] == "<folder>/model v2.keras"
    assert content[0]["command"] == ["coremlbench", "convert", "<folder>/model v2.keras"]
    assert content[1]["notes"] == ["Pictures of <folder>/pictures."]
    tail = content[1]["outcome"]["evidence"]["log_tail"]
    assert tail[0] == "opening <folder>/model v2.keras"
    assert tail[1] == 'File "<folder>/site-packages/keras/src/x.py", line 3'
    assert tail[4] == "see https://keras.io/api/models and /usr/lib/libc.so"
    assert [record.machine.id for record in redacted] == ["machine-1", "machine-1", "machine-2"]
    assert [record.seconds for record in redacted] == [record.seconds for record in records]
    assert redact_records(redacted, JANE) == redacted
    jsonschema.Draft202012Validator(results_schema()).validate(content)


@pytest.mark.parametrize("text", ["N/A", "images/s", "1/255", "~30 ms", "/", "a ~ b", "conv/Relu/1", "2 / 3"])
def test_what_is_no_path_stays(text: str) -> None:
    assert SharingRedactor(Owner()).text(text) == text


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COREMLBENCH_RESULTS", str(tmp_path / "acme" / "results"))
    monkeypatch.setenv("HOSTNAME", "janes-mac")
    folder = tmp_path / "acme" / "results"
    for record in private_records():
        (folder / record.id).mkdir(parents=True)
        store.save(record, folder / record.id)
    return folder


def run(*arguments: str) -> Result:
    ended = CliRunner(env={"COLUMNS": "200"}).invoke(cli, arguments)
    assert ended.exit_code == 0, ended.output
    return ended


def test_the_commands_print_nothing_private(results: Path) -> None:
    assert leaks(run("results", "--json").stdout)
    for arguments in (
        ("results", "--json"),
        ("results",),
        ("show", "2026-000005"),
        ("show", "2026-000003", "--json"),
        ("failures",),
        ("failures", "--json"),
        ("report", "--json"),
    ):
        printed = run(*arguments, "--redact").stdout
        assert leaks(printed) == [], arguments
        assert str(results) not in printed
    assert len(json.loads(run("results", "--json", "--redact").stdout)) == 3


def test_a_report_and_a_bundle_have_nothing_private(results: Path, tmp_path: Path) -> None:
    (results / "broken").mkdir()
    (results / "broken" / "run.json").write_text("{")
    out = tmp_path / "out"
    run("report", "--redact", "--format", "html,md,json", "--output", str(out))
    for file in out.iterdir():
        assert leaks(file.read_text(encoding="utf-8")) == [], file
    report = json.loads((out / "report.json").read_text())
    assert [row["path"] for row in report["records"]] == [f"{row['id']}/run.json" for row in report["records"]]
    assert re.fullmatch(r"The record <folder>/run\.json cannot be read: .*", report["problems"][0])
    logs = results / private_records()[1].id / "logs"
    logs.mkdir()
    (logs / "convert-log.txt").write_text("opening /data/Acme/Client X/model v2.keras and ~/acme/b.npz\n")
    run("failures", "--bundle", str(tmp_path / "b.zip"), "--redact")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert {name: leaks(text) for name, text in texts.items() if leaks(text)} == {}
    assert "opening <folder>/model v2.keras and <folder>/b.npz" in "".join(texts.values())


def test_pictures_of_one_s_own_are_left_out(tmp_path: Path) -> None:
    from coremlbench.cli.commands.redaction import redacted_sources
    from coremlbench.report.types import Source

    record = samples.training(1, "createml")
    assert isinstance(record.outcome, Trained)
    assert record.dataset is not None
    own: Any = replace(record, id="own", dataset=replace(record.dataset, name="pets"))
    drawn: Any = replace(record, id="drawn", dataset=replace(record.dataset, name="drawn-food"))
    pictures = {"samples/0.jpg": b"\xff\xd8\xff"}
    sources = [Source(own, "../x/own/run.json", pictures), Source(drawn, "../x/drawn/run.json", pictures)]
    clean, _ = redacted_sources(sources, [])
    assert [source.pictures for source in clean] == [{}, pictures]
