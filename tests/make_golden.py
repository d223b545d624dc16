"""Write the golden files of the report again, after a change that is meant."""

from dataclasses import replace
from pathlib import Path

from tests import record_samples as samples
from tests.test_report import report_of

from coremlbench.render import json, markdown

if __name__ == "__main__":
    golden = Path(__file__).parent / "golden"
    report = replace(report_of(*samples.few()), coremlbench="0.0.0")
    (golden / "report.md").write_bytes(markdown.render(report, plots=True))
    (golden / "report.json").write_bytes(json.render(report))
