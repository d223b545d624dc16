"""Write the golden files and the published schemas of report and records again, after a change that is meant."""

from dataclasses import replace
from json import dumps
from pathlib import Path

from coremlbench.report.render import json, markdown
from coremlbench.runs.schema import results_schema
from tests import record_samples as samples
from tests.report.test_build import report_of

if __name__ == "__main__":
    golden = Path(__file__).parent / "golden"
    report = replace(report_of(*samples.few()), coremlbench="0.0.0")
    (golden / "report.md").write_bytes(markdown.render(report, plots=True))
    (golden / "report.json").write_bytes(json.render(report))
    for name, published in (("report", json.schema()), ("results", results_schema())):
        text = dumps(published, indent=1, ensure_ascii=False) + "\n"
        (golden.parent.parent / "docs" / f"{name}.schema.json").write_text(text)
