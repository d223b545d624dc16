import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coremlbench.report.build import build_report
from coremlbench.report.render import figures, html, markdown, markdown_text, plots, render_files, text, views
from coremlbench.report.render import json as as_json
from coremlbench.report.types import Report, Source
from coremlbench.types.timing import TimingRecord
from tests import record_samples as samples
from tests.report.test_build import MADE, crashed, report_of, spoilt, unplanned

GOLDEN = Path(__file__).parents[2] / "golden"
DOCS = Path(__file__).parents[3] / "docs"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202egnp.cte\u2066 \u200f",
    "javascript:alert(1)",
    "x" * 10_000,
    "line\nbreak\x1b[31m\x00",
    "| pipe | `tick` **bold** [a](http://e.example) @someone #1 $x^2$",
    "{{ 7 * 7 }} {% raw %} ${jndi:ldap://e.example}",
    "\ud800",
)


@pytest.fixture(scope="module")
def report() -> Report:
    return replace(report_of(*samples.few()), coremlbench="0.0.0")


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return html.render(report).decode()


@pytest.fixture(scope="module")
def small() -> Report:
    """A report with a row of every sort."""
    return report_of(
        samples.training(1, "createml"),
        samples.training(2),
        samples.training(3, failure=samples.OUT_OF_MEMORY),
        samples.conversion(60),
        samples.timing(70),
        samples.timing(73, samples.BOX),
    )


def poisoned(value: Any, poison: str, keep: frozenset[str] = frozenset()) -> Any:
    """The same rows with every free text replaced; ids and fixed words stay."""
    if is_dataclass(value) and not isinstance(value, type):
        fixed = {"id", "machine", "record", "records", "kind", "metric", "role", "made", "started", "first", "last"}
        fixed |= {"jpeg", "unit", "verdict", "experiment"}
        return (
            replace(
                value,
                **{
                    each.name: poisoned(getattr(value, each.name), poison)
                    for each in fields(value)
                    if each.name not in fixed
                },
            )
            if type(value).__name__ != "Report"
            else replace(
                value,
                **{
                    each.name: poisoned(getattr(value, each.name), poison)
                    for each in fields(value)
                    if each.name not in {"made", "kind", "coremlbench"}
                },
            )
        )
    if isinstance(value, str):
        return poison
    if isinstance(value, tuple):
        return tuple(poisoned(each, poison) for each in value)
    return value


class Page(HTMLParser):
    """What a browser would make of a page: its elements, addresses, ids and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, name: str) -> Iterator[str]:
        for _, attributes in self.elements:
            if attributes.get(name):
                yield str(attributes[name])


def test_markdown_is_as_it_was(report: Report) -> None:
    assert markdown.render(report, plots=True).decode() == (GOLDEN / "report.md").read_text()


def test_json_is_as_it_was(report: Report) -> None:
    assert _numbers_rounded(as_json.render(report)) == _numbers_rounded((GOLDEN / "report.json").read_bytes())


def _numbers_rounded(page: bytes) -> Any:
    """Return the page's values with ten digits: NumPy and SciPy change the last ones from version to version."""
    return json.loads(page, parse_float=lambda digits: float(f"{float(digits):.10g}"))


def test_json_keeps_to_the_published_schema(report: Report) -> None:
    published = json.loads((DOCS / "report.schema.json").read_text())
    assert published == as_json.schema()
    validator = jsonschema.Draft202012Validator(published)
    validator.check_schema(published)
    validator.validate(json.loads(as_json.render(report)))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**json.loads(as_json.render(report)), "timing": [{"p50": "fast"}]})


PROVEN = samples.variant("fp16").proof
assert PROVEN is not None
VERDICTS = (
    replace(PROVEN, verdict="proven with caveats", caveats=samples.CAVEATS),
    replace(PROVEN, verdict="not judged", reason="Random inputs say nothing of compression: give --data."),
    replace(PROVEN, verdict="wrong", reason="It is wrong.", max_error=None, mean_error=None, non_finite_values=7),
    None,
)
NO_ORIGINAL = "There is no original to compare it with."


@pytest.fixture(scope="module")
def verdicts() -> Report:
    """A report of one conversion with a package of each kind of verdict."""
    record = samples.conversion(60)
    variants = tuple(
        replace(each, proof=proof, notes=() if proof else (NO_ORIGINAL,))
        for each, proof in zip(record.variants, VERDICTS, strict=True)
    )
    return report_of(replace(record, variants=variants))


def test_each_form_has_the_caveats_and_reasons_of_verdicts(verdicts: Report) -> None:
    (caveat,) = samples.CAVEATS
    rows = {row["variant"]: row for row in json.loads(as_json.render(verdicts))["variants"]}
    assert [row["verdict"] for row in rows.values()] == ["proven with caveats", "not judged", "wrong", ""]
    assert [row["status"] for row in rows.values()] == ["compared", "compared", "compared", "not compared"]
    assert (rows["fp32"]["caveats"], rows["fp32"]["caveat_codes"]) == ([caveat.text], ["few-images"])
    assert (rows["int8"]["max_error"], rows["int8"]["non_finite_values"]) == (None, 7)

    text = markdown.render(verdicts).decode()
    assert "| efficientnetb0 | fp32 | proven with caveats (few samples) |" in text
    assert f"- **efficientnetb0** fp32: Caveat: {caveat.text}" in text
    assert "- **efficientnetb0** fp16: Random inputs say nothing of compression: give --data." in text
    assert "| 7 not finite |" in text
    assert "| efficientnetb0 | palettized-4 | – |" in text
    assert f"- **efficientnetb0** palettized-4: Status: not compared. {NO_ORIGINAL}" in text

    page = Page(html.render(verdicts).decode())
    words = " ".join(" ".join(page.words).split())
    assert f"Caveat: {caveat.text}" in words
    assert "Random inputs say nothing of compression: give --data." in words
    classes = [
        attributes["class"] for _, attributes in page.elements if (attributes.get("class") or "").startswith("verdict")
    ]
    assert classes == ["verdict proven", "verdict open", "verdict wrong"]
    assert f"Status: not compared. {NO_ORIGINAL}" in words
    for form in (text, words):
        assert "not proven" not in form


def test_answers_count_packages_with_caveats(verdicts: Report) -> None:
    (answer,) = verdicts.answers
    assert answer.text.endswith("1 package proven (1 with caveats) here and ready to time.")


def test_pandas_reads_the_json_in_a_line(report: Report, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(as_json.render(report))
    frame = pd.DataFrame(pd.read_json(tmp_path / "report.json", typ="series")["timing"])
    fastest = frame[frame["kind"] == "stand-in"].groupby("unit")["p50"].min()
    assert fastest.idxmin() in ("CPU_AND_NE", "ALL")
    assert len(frame) == len(report.timing)


@pytest.mark.long
def test_the_page_loads_nothing_and_runs_nothing(page: str) -> None:
    parsed = Page(page)
    assert "default-src 'none'" in page
    assert not {tag for tag, _ in parsed.elements} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert all(value.startswith("data:image/jpeg;base64,") for value in parsed.values("src"))
    addresses = set(parsed.values("href")) | set(parsed.values("xlink:href"))
    assert all(re.match(r"#|\.{1,2}/", each) for each in addresses), addresses
    assert "url(" not in re.sub(r"url\(#", "", page)
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)


def test_every_link_within_the_page_leads_somewhere_and_ids_are_unique(page: str) -> None:
    parsed = Page(page)
    ids = list(parsed.values("id"))
    assert len(ids) == len(set(ids))
    wanted = {value[1:] for name in ("href", "xlink:href") for value in parsed.values(name) if value.startswith("#")}
    assert wanted <= set(ids)


def test_tables_have_captions_and_headings_with_a_scope(page: str) -> None:
    assert page.count("<table") == page.count("<caption")
    assert not re.findall(r"<th(?![^>]*scope=)[^>a-z]*>", page)
    assert page.count("<figure>") == page.count('role="img" aria-label="')


def test_figures_of_different_kinds_never_share_a_table(page: str) -> None:
    marks = ("core-ml", "host", "stand-in", "measured", "published")
    tables = re.findall(r"<table.*?</table>", page, flags=re.DOTALL)
    assert len(tables) > 20
    found = [{mark for mark in marks if f'class="badge {mark}"' in table} for table in tables]
    assert all(len(each) <= 1 for each in found)
    assert {mark for each in found for mark in each} == {"host", "stand-in", "measured", "published"}
    for table in tables:
        if "Borkowski" in table or "the article" in table:
            assert 'class="badge published"' in table


def test_a_stand_in_is_never_called_core_ml(report: Report, page: str) -> None:
    assert 'class="badge stand-in"' in page
    assert page.count('class="badge core-ml"') == 1  # where the marks are explained
    assert 'class="badge core-ml"' in html.render(report_of(samples.timing(70, stand_in=False))).decode()
    assert "stand-in, not Core ML" in markdown.render(report).decode()


@pytest.mark.parametrize("poison", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_shown_as_text(small: Report, poison: str) -> None:
    bad = poisoned(small, poison)
    page = html.render(bad).decode()
    assert json.loads(as_json.render(bad))["machines"][0]["chip"] == poison
    parsed = Page(page)
    assert not {tag for tag, _ in parsed.elements} & {"script", "iframe", "object", "embed", "base", "form", "link"}
    assert all(value.startswith("data:image/jpeg;base64,") for value in parsed.values("src"))
    assert all(re.match(r"#|\.{1,2}/", each) for each in parsed.values("href"))
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00\x1b]", page)
    assert len(page) < 4_000_000
    assert "49" not in "".join(parsed.words) or "7 * 7" in page or "{{" not in poison
    plain = re.sub(r"  (`{3,})text\n.*?\n  \1\n", "", markdown.render(bad).decode(), flags=re.DOTALL)
    assert "<script" not in plain
    assert "<img" not in plain
    assert not re.search(r"(?<!\\)\]\((?!plots/)", plain)
    assert not re.search(r"(?<!\\)\*\*bold", plain)
    assert "@someone" not in plain
    assert "&\\#" not in plain
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", plain)
    assert max(len(line) for line in plain.splitlines()) < 3000


def test_a_long_text_is_folded_and_all_there(small: Report) -> None:
    words = " ".join(f"word{number}" for number in range(1200))
    page = html.render(replace(small, problems=(words,))).decode()
    assert "word1199" in page
    assert '<details class="long">' in page


@given(st.text(max_size=300))
@settings(max_examples=200)
def test_plain_text_acts_on_nothing(value: str) -> None:
    shown = text.sanitize(value)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]", shown)
    safe = markdown_text.escape(value, 400)
    assert not re.search(r"<|>|@|\n", safe)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|]", safe)


def test_homes_are_not_sent_on() -> None:
    assert text.sanitize("/Users/somebody/results/a") == "~/results/a"
    assert text.sanitize("--source=/home/me/x y") == "--source=~/x y"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (12.34e-6, "12.3 µs"),
        (0.000_999_6, "1.00 ms"),
        (0.004_56, "4.56 ms"),
        (0.999_6, "1.00 s"),
        (7.891, "7.89 s"),
        (185.0, "3 min 05 s"),
    ],
)
def test_times_have_the_unit_that_reads_best(seconds: float | None, shown: str) -> None:
    assert text.seconds(seconds) == shown


def test_energy_is_a_calls_and_never_nothing(page: str) -> None:
    assert text.energy(None) == "unavailable"
    assert [text.energy(each) for each in (0.0, 12.3e-6, 4e-3, 2.5)] == ["0.00 µJ", "12.3 µJ", "4.00 mJ", "2.50 J"]
    assert "Energy a call" in page
    assert '<td class="n">4.00 mJ</td>' in page  # 3.2 J over 800 calls
    unread = samples.timing(70)
    rounds = tuple(replace(each, energy_joules=None) for each in unread.measurements[0].rounds)
    rest = replace(unread, measurements=(replace(unread.measurements[0], rounds=rounds),))
    assert '<td class="n">unavailable</td>' in html.render(report_of(rest)).decode()


def test_a_figure_of_a_cell_that_failed_says_so_where_it_stands() -> None:
    record = samples.timing(70)
    fp16 = replace(record, measurements=tuple(each for each in record.measurements if each.variant == "fp16"))
    report = report_of(crashed(fp16, "CPU_AND_NE", 3))
    matrix, _, _ = html.render(report).decode().partition('id="loads"')
    assert '<small class="block elsewhere"><bdi>failed after 3 rounds</bdi></small>' in matrix
    assert "failed after 3 rounds (memory-limit: The run took" in matrix
    assert markdown.render(report).decode().count("<br>failed after 3 rounds |") == 1
    real = crashed(samples.timing(70, stand_in=False), "CPU_AND_NE", 3)
    for row in views.unit_comparisons(report_of(real)):
        assert set(row.p50) == {"CPU_AND_GPU", "CPU_ONLY", "ALL"}


def test_wrong_outputs_stand_beside_their_times() -> None:
    report = report_of(spoilt(samples.timing(70), "ALL"))
    matrix, _, _ = html.render(report).decode().partition('id="loads"')
    note = "outputs up to 60% of their range from the expected ones"
    assert matrix.count(f'<small class="block elsewhere"><bdi>{note}</bdi></small>') == 3
    assert markdown.render(report).decode().count(f"<br>{note} |") == 3


def test_a_quick_look_is_marked_in_every_cell() -> None:
    report = report_of(replace(samples.timing(70, stand_in=False), quick=True))
    matrix, _, _ = html.render(report).decode().partition('id="loads"')
    assert matrix.count('<small class="block elsewhere"><bdi>quick look</bdi></small>') == len(report.timing)
    assert markdown.render(report).decode().count("<br>quick look") == len(report.timing)
    two = report_of(
        *(replace(samples.timing(70, each, stand_in=False), quick=True) for each in (samples.AIR, samples.PRO))
    )
    assert html.render(two).decode().count("</a> <small>quick look</small></td>") == 8


def test_the_sheet_has_core_mls_own_clock_and_every_percentile() -> None:
    record = samples.timing(70, stand_in=False)
    cell = record.measurements[0]
    rounds = tuple(
        replace(each, p90=0.011, p95=0.012, p99=0.013, own_p50=0.014, outliers=7, drift=-0.021) for each in cell.rounds
    )
    page = html.render(report_of(replace(record, measurements=(replace(cell, rounds=rounds),)))).decode()
    sheet = page[page.index("every figure of every cell</caption>") :]
    headings = re.findall(r"<th scope=.col.[^>]*>([^<]*)</th>", sheet[: sheet.index("</thead>")])
    figures = re.findall(r"<td[^>]*>(.*?)</td>", sheet[sheet.index('"rowgroup"') : sheet.index("</table>")])
    shown = dict(zip(headings[1:], figures, strict=True))
    assert {name: shown[name] for name in headings[4:8]} == {
        "Its own p50": "14.0 ms",
        "p95": "12.0 ms",
        "p99": "13.0 ms",
        "Outliers": "35",
    }
    assert shown["Notes"] == "<bdi>output error 0.13%; p90 11.0 ms; drift −2.1%; 26.1</bdi>"
    host = html.render(report_of(timed_by_a_host())).decode()
    assert "Its own p50" not in host


def timed_by_a_host() -> TimingRecord:
    record = samples.timing(73, samples.BOX)
    cells = (
        replace(cell, rounds=tuple(replace(each, own_p50=None) for each in cell.rounds)) for cell in record.measurements
    )
    return replace(record, measurements=tuple(cells))


def test_every_figure_of_the_markdown_leads_to_its_record(report: Report) -> None:
    shown = markdown.render(report).decode()
    addresses = dict(re.findall(r"^\[(r\d+)\]: <(.*)>$", shown, flags=re.MULTILINE))
    assert {address.removeprefix("./") for address in addresses.values()} == {row.path for row in report.records}
    assert set(re.findall(r"\]\[(r\d+)\]", shown)) == set(addresses)
    times = re.findall(r"\*\*\d[^*]*\*\*", shown)
    linked = re.findall(r"\[\*\*\d[^*]*\*\*\]\[r\d+\]", shown)
    assert len(times) == len(linked) > 80


def test_the_markdown_tells_loads_places_floors_energy_and_machines(report: Report) -> None:
    shown = markdown.render(report).decode()
    headings = re.findall(r"^## (.*)$", shown, flags=re.MULTILINE)
    assert headings[:8] == [
        "In short (host)",
        "Where each model should run",
        "The Create ML run",
        "Every model on every unit",
        "Accuracy and size by variant",
        "Training by machine",
        "Loading, cold and cached",
        "Where the operations ran",
    ]
    assert headings[-1] == "Machines and records"  # nothing is missing
    assert "<br>floor 40%<br>4.00 mJ" in shown
    assert "| efficientnetb0 | fp16 | Neural Engine | 1.40 s | [**2.80 s**][r27] | 90.0 ms | 20.0 ms |" in shown
    assert "| NE 97% (99 ops), CPU 3% (2 ops) | [Neural Engine][r27] |" in shown
    assert "| MacBook Air (Apple M9, 16 GB) | macOS 26.1 | Apple M9 GPU, Neural Engine | 10 |" in shown


def test_the_markdown_leads_nowhere_foreign() -> None:
    record = samples.timing(70)
    sources = [
        Source(record, "../a folder/<b>](http://e.example)\n[r1]: x/run.json"),
        Source(samples.training(1), "x" * 900),
    ]
    shown = markdown.render(build_report(sources, made=MADE)).decode()
    *_, last = shown.splitlines()
    assert last == "[r2]: <../a%20folder/%3Cb%3E%5D%28http%3A//e.example%29%0A%5Br1%5D%3A%20x/run.json>"
    assert "x" * 100 not in shown
    assert "[r1]:" not in shown


def test_why_it_is_not_known_where_a_model_ran_is_shown() -> None:
    record = unplanned(samples.timing(70))
    report = report_of(
        replace(record, measurements=tuple(each for each in record.measurements if each.variant == "int8"))
    )
    page = html.render(report).decode()
    _, _, placement = page.partition('id="placement"')
    placement, _, _ = placement.partition("</section>")
    assert placement.count("Core ML tells its plan from macOS 14.4 on; this is 14.2.") == 4
    matrix, _, _ = page.partition('id="loads"')
    assert matrix.count('<small class="block elsewhere"><bdi>not known: Core ML tells') == 3  # the CPU is the CPU
    assert (
        markdown.render(report)
        .decode()
        .count("<br>not known: Core ML tells its plan from macOS 14.4 on; this is 14.2.")
        == 3
    )
    latency = next(plot for plot in plots.draw_plots(report) if plot.name.startswith("latency"))
    assert "asked for the Neural Engine (where it ran is not known): half" in latency.alternative


def test_ranges_share_their_unit() -> None:
    assert text.time_range(0.001_21, 0.001_25) == "1.21–1.25 ms"
    assert text.time_range(0.000_98, 0.001_02) == "0.98–1.02 ms"
    assert text.time_range(7.1, 12.3) == "7.1–12.3 s"
    assert text.time_range(None, 1.0) == "–"
    assert text.percentage_points(0.811, 0.8101) == "−0.1"
    assert text.percentage_points(0.811, 0.8111) == "±0.0"


def test_plots_are_drawn_from_zero_with_units_and_words(report: Report) -> None:
    drawn = plots.draw_plots(report)
    assert {plot.name.rpartition("-")[0] for plot in drawn} >= {"latency", "sustained", "accuracy", "createml"}
    assert len({plot.name for plot in drawn}) == len(drawn)
    for plot in drawn:
        for axes in plot.figure.axes:
            assert axes.get_xlim()[0] == 0
            assert axes.get_ylim()[0] == 0 or plot.name.startswith("training-")
        assert any("second" in label or "%" in label for axes in plot.figure.axes for label in _labels(axes))
        assert len(plot.alternative) > 40


def test_sustained_runs_of_another_batch_have_a_plot_of_their_own() -> None:
    record = samples.timing(70)
    (cell,) = (each for each in record.measurements if (each.variant, each.unit) == ("fp16", "CPU_AND_NE"))
    report = report_of(replace(record, measurements=(cell, replace(cell, batch=8))))
    titles = [plot.title for plot in plots.draw_plots(report) if plot.name.startswith("sustained-")]
    assert [", batch 8" in title for title in titles] == [False, True]


def _labels(axes: Any) -> tuple[str, str]:
    return axes.get_xlabel(), axes.get_ylabel()


def test_plots_are_svg_with_text_and_png_and_always_the_same() -> None:
    first = plots.draw_plots(report_of(samples.timing(70)))[0]
    again = plots.draw_plots(report_of(samples.timing(70)))[0]
    drawn = figures.svg(first)
    assert drawn == figures.svg(again)
    assert b"milliseconds a call" in drawn
    assert figures.png(first).startswith(b"\x89PNG")


def test_published_figures_have_axes_of_their_own() -> None:
    few = ("dataset drawn-food",)
    report = report_of(replace(samples.training(1), deviations=few))
    (plot,) = plots.draw_plots(report)
    assert [axes.get_title(loc="left") for axes in plot.figure.axes] == ["measured", "published by others"]
    assert len(plot.figure.axes[0].patches) == 1
    unlike = report_of(
        *(
            replace(samples.training(n, machine=m), deviations=("epochs 1",))
            for n, m in enumerate((samples.AIR, samples.BOX))
        )
    )
    (plot,) = plots.draw_plots(unlike)
    assert len(plot.figure.axes) == 1


def test_answers_that_say_the_same_stand_together() -> None:
    report = report_of(samples.conversion(60), samples.conversion(61, model="tinyvgg"), samples.timing(70))
    (first, _), (others, answer) = views.answers(report)
    assert first == ("efficientnetb0",)
    assert (others, answer.kind) == (("tinyvgg",), "none")
    both = report_of(samples.conversion(60), samples.conversion(61, model="tinyvgg"))
    ((models, _),) = views.answers(both)
    assert models == ("efficientnetb0", "tinyvgg")


def test_forms_are_made_as_asked() -> None:
    one = report_of(samples.training(1))
    assert list(render_files(one, ("json",))) == ["report.json"]
    assert list(render_files(one, ("html", "md"))) == ["report.html", "report.md"]
    assert b"](plots/" not in render_files(one, ("md",))["report.md"]
    every = render_files(one, ("html", "md", "json", "plots"))
    pictures = set(re.findall(rb"\]\((plots/[^)]+)\)", every["report.md"]))
    assert pictures
    assert {name.decode() for name in pictures} <= set(every)


@pytest.mark.long
def test_a_report_of_many_machines_stays_small_and_whole() -> None:
    records = samples.fleet(400, 40)
    page = html.render(build_report([Source(record, f"{record.id}/run.json") for record in records], made=MADE))
    assert len(page) < 2_600_000
    assert page.decode().count('<li id="r') == 400
