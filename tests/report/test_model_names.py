from dataclasses import replace

from coremlbench.report.model_names import disambiguate_names
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.timing import TimingRecord
from tests import record_samples as samples
from tests.report.test_build import report_of


def of_a_file(record: TimingRecord, content: str) -> TimingRecord:
    """The record of a model that a file of the user's holds: ``net.keras`` with this content."""
    (model,) = record.models
    packages = tuple(replace(each, sha256=f"{content}-{each.sha256}") for each in model.variants)
    source = replace(model.source, name="net", kind="file", sha256=content, experiment="")
    cells = tuple(
        replace(cell, model="net", package_sha256=f"{content}-{cell.package_sha256}") for cell in record.measurements
    )
    return replace(record, models=(replace(model, name="net", source=source, variants=packages),), measurements=cells)


def converted(number: int, name: str, content: str) -> ConversionRecord:
    record = samples.conversion(number)
    packages = tuple(replace(each, sha256=f"{content}-{each.sha256}") for each in record.variants)
    source = replace(samples.source(name), kind="file", sha256=content, experiment="")
    return replace(record, experiment=name, source=source, variants=packages)


def test_two_files_of_one_name_are_two_models() -> None:
    first, second = of_a_file(samples.timing(70), "aa"), of_a_file(samples.timing(72, scale=1.5), "bb")
    report = report_of(first, second)
    assert {(row.model, row.record) for row in report.timing} == {("net", first.id), ("net (2)", second.id)}
    assert {row.earlier for row in report.timing} == {0}
    assert {(row.model, row.sha256[:2]) for row in report.variants} == {("net", "aa"), ("net (2)", "bb")}
    assert [(each.model, each.different) for each in report.answers] == [("net", True), ("net (2)", True)]


def test_one_file_is_one_model_wherever_it_was_converted_and_timed() -> None:
    report = report_of(
        converted(60, "net", "aa"),
        converted(61, "net", "bb"),
        of_a_file(samples.timing(70), "bb"),
        of_a_file(samples.timing(71, samples.PRO), "bb"),
    )
    assert {(row.model, row.machine) for row in report.timing} == {
        ("net (2)", samples.AIR.id),
        ("net (2)", samples.PRO.id),
    }
    assert {(row.model, row.sha256[:2]) for row in report.variants} == {("net", "aa"), ("net (2)", "bb")}


def test_names_of_one_matrix_become_those_of_the_report() -> None:
    """A matrix numbers its own models, and another record may have come first."""
    one, other = of_a_file(samples.timing(70), "bb"), of_a_file(samples.timing(70), "aa")
    other = replace(
        other,
        models=(replace(other.models[0], name="net (2)"),),
        measurements=tuple(replace(each, model="net (2)") for each in other.measurements),
    )
    both = replace(one, models=one.models + other.models, measurements=one.measurements + other.measurements)
    _, named = disambiguate_names([converted(60, "net", "aa"), both])
    assert isinstance(named, TimingRecord)
    assert [(each.name, each.source.sha256) for each in named.models] == [("net (2)", "bb"), ("net", "aa")]
    assert {(each.model, each.package_sha256[:2]) for each in named.measurements} == {("net (2)", "bb"), ("net", "aa")}


def test_a_file_does_not_take_an_experiments_name() -> None:
    found = disambiguate_names([converted(60, "tinyvgg", "aa"), samples.conversion(61, model="tinyvgg")])
    assert [each.experiment for each in found] == ["tinyvgg (2)", "tinyvgg"]


def test_a_network_that_was_trained_again_keeps_its_name() -> None:
    again = samples.timing(72)
    (model,) = again.models
    cells = tuple(replace(cell, package_sha256=f"new-{cell.package_sha256}") for cell in again.measurements)
    again = replace(again, models=(replace(model, source=replace(model.source, sha256="new")),), measurements=cells)
    report = report_of(samples.timing(70), again)
    assert {(row.model, row.record, row.earlier) for row in report.timing} == {("efficientnetb0", again.id, 0)}
