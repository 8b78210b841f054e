"""The report of a made-up sweep says what the estimates say, alike in both outputs."""

from __future__ import annotations

import csv
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from isoflop.approach import ANSWERS, APPROACHES, IN_PROSE, MIXTURE, NAMES
from isoflop.config.report import ReportSettings
from isoflop.estimates.allocation import optima_at
from isoflop.estimates.draws import Draws
from isoflop.estimates.estimate import Estimate, read_draws, read_estimates
from isoflop.estimates.forecasts import Forecasts
from isoflop.estimates.levels import NoLevel
from isoflop.estimates.mixture import Mixture, read_mixture
from isoflop.estimates.recommendation import standing
from isoflop.figures.plot_figures import FIGURES
from isoflop.numbers import NONE, UNSURE, count, fixed, interval, parameter, power, ratio
from isoflop.report import document
from isoflop.report.document import FIGURE_FILES, write_document
from isoflop.report.render import template_text
from isoflop.report.sections.answer import verdicts
from isoflop.report.sections.data import data_facts
from isoflop.report.sections.first_screen import first_screen, headline_budget
from isoflop.report.sections.hypotheses import hypothesis_facts
from tests import example_sweep
from tests.outputs import pdf_text
from tests.report.conftest import Rendered, empty_figures
from tests.report.page import tokens


def lines(cell: str) -> list[str]:
    return [line.strip() for line in cell.split("\n")]


def test_the_first_screen_is_what_the_estimates_say(rendered: Rendered) -> None:
    """Ten numbers of the page, each traced to the estimates."""
    inputs = rendered.inputs
    folder = rendered.root / "data/estimates/made-up"
    estimate = read_mixture(folder / "mixture.json")
    assert isinstance(estimate, Mixture)
    draws = Draws.read(folder / "mixture.draws.parquet")
    (optimum,) = optima_at(estimate, draws, [1e14])
    text = " ".join(" ".join(rendered.page.words).split()).replace("\xa0", " ")
    n, d, per_param = optimum.params, optimum.tokens, optimum.tokens_per_param
    a = estimate.a
    assert f"train {count(n.value)} parameters on {count(d.value)} tokens" in text
    assert f"95 %: {interval(*n.intervals['0.95'], count)}" in text
    assert f"95 %: {interval(*d.intervals['0.95'], count)}" in text
    assert f"{ratio(per_param.value)} 95 %: {interval(*per_param.intervals['0.95'], ratio)}" in text
    assert f"a = {fixed(a.value)}, 95 %: {interval(*a.intervals['0.95'], fixed)}" in text
    assert f"Twice the compute buys {2**a.value - 1:.0%} more".replace("%", " %") in text
    assert f"{2**estimate.b.value - 1:.0%} more tokens".replace("%", " %") in text
    assert "1.0 decades beyond the data: within reach." in text
    hoffmann = inputs.reference.hoffmann.optimal_allocations
    line = hoffmann.tokens_law("envelope")(1e14) / hoffmann.params_law("envelope")(1e14)
    assert f"Hoffmann’s line gives {ratio(line)}" in text


def test_the_answer_stands_beside_every_law(rendered: Rendered) -> None:
    head, *rows = rendered.page.tables["tbl-answer"]
    assert head == ["Law", "N*", "D*/N*", "Loss", "Covers", "Forecast"]
    shown = {lines(row[0])[0]: row for row in rows}
    assert next(iter(shown)) == "Mixture of laws"
    for key, optimum in rendered.inputs.answered(1e14).items():
        row, estimate = shown[ANSWERS[key].label], rendered.inputs.answers[key]
        value, ends = lines(row[1])
        assert value == count(optimum.params.value)
        served = optimum.params.intervals.get("0.95")
        assert ends == (NONE if served is None else interval(*served, count))
        assert (served is None) == (key == "envelope")
        stands = standing(estimate, rendered.inputs.forecasts)
        verdict = {True: "yes", False: "no", None: "not checked"}
        none_given = isinstance(estimate.a.levels.get("0.95"), NoLevel)
        assert none_given == (key == "envelope")
        covers = "none does" if none_given else verdict[stands.covers]
        assert [row[4].split(",")[0], row[5].split(",")[0]] == [covers, verdict[stands.forecasts]]
        doubted = stands.forecasts is False or stands.rejected
        assert (
            (UNSURE in row[3])
            == (doubted and optimum.loss is not None)
            == (stands.doubts_loss and optimum.loss is not None)
        )
    # each paper's row says which of its numbers it has, counted how
    assert lines(shown["Hoffmann 2022"][0])[1] == NAMES["envelope"]
    assert lines(shown["Kaplan 2020"][0])[1] == "non-embedding N"
    assert shown["Hoffmann 2022"][1] == count(
        rendered.inputs.reference.hoffmann.optimal_allocations.params_law("envelope")(1e14)
    )
    assert list(shown)[-1] == "Kaplan 2020"


def test_losses_off_to_one_side_above_every_cut_are_no_forecast(rendered: Rendered) -> None:
    estimate, forecasts = rendered.inputs.fitted["parametric"], rendered.inputs.forecasts
    assert isinstance(forecasts, Forecasts)
    verdicts = {}
    for name, signs in (("one side", (1.0, 1.0)), ("both sides", (1.0, -1.0))):
        cut = forecasts.cuts[0]
        both = [cut.model_copy(deep=True), cut.model_copy(deep=True)]
        moved = forecasts.model_copy(update={"cuts": both})
        for copied, sign in zip(both, signs, strict=True):
            (forecast,) = copied.among(("parametric",))
            score = forecast.score("loss")
            assert score is not None
            # intervals so wide that they cover, about a mean error that is known to be off
            for every in forecast.scores:
                every.inside.update({"0.8": 1.0, "0.95": 1.0})
            ends = tuple(sorted((0.01 * sign, 0.03 * sign)))
            score.bias_intervals.update({"0.8": ends, "0.95": ends})
        stands = standing(estimate, moved)
        assert all(score.covers for score in stands.scores)
        verdicts[name] = stands.forecasts
    assert verdicts == {"one side": False, "both sides": True}


def test_every_budget_has_every_law(rendered: Rendered) -> None:
    head, *rows = rendered.page.tables["tbl-budgets"]
    # Gopher's compute stands last
    reach = ["within reach", "within reach", "with care", "this sweep does not say"]
    assert [lines(cell)[1] for cell in head[1:]] == reach
    shown = {lines(row[0])[0]: row for row in rows}
    for place, flops in enumerate(rendered.inputs.budgets):
        for approach, optimum in rendered.inputs.optima(flops).items():
            assert lines(shown[NAMES[approach]][place + 1])[0] == count(optimum.params.value)
    assert "Besiroglu L(N, D)" in shown
    for approach in rendered.inputs.fitted:
        assert shown[NAMES[approach]][-1] == NONE
    assert lines(shown["Hoffmann 1 Envelope"][-1])[0] == "67.8B"
    assert shown["Gopher, as trained"][1:4] == [NONE] * 3
    assert lines(shown["Gopher, as trained"][4]) == ["280B", "1.07"]


def test_the_csv_has_every_digit(rendered: Rendered) -> None:
    path = rendered.root / "tables" / "budgets.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        found = [row for row in csv.DictReader(stream) if float(row["flops"]) == 1e15]
    rows = {row["law"]: row for row in found}
    folder = rendered.root / "data/estimates/made-up"
    estimate = read_estimates(folder)["parametric"]
    assert isinstance(estimate, Estimate)
    budget = rendered.inputs.budgets[-1]
    (optimum,) = optima_at(estimate, read_draws(folder)["parametric"], [budget])
    assert float(rows["parametric"]["params"]) == optimum.params.value
    assert float(rows["parametric"]["params_hi95"]) == optimum.params.intervals["0.95"][1]
    assert float(rows["parametric"]["tokens"]) == optimum.tokens.value


def test_exponents_stand_beside_table_2(rendered: Rendered) -> None:
    rows = {lines(row[0])[0]: row for row in rendered.page.tables["tbl-exponents"]}
    for approach, estimate in rendered.inputs.fitted.items():
        assert rows[NAMES[approach]][1] == fixed(estimate.a.value)
        assert rows[NAMES[approach]][4] == fixed(estimate.b.value)
    assert rows["Hoffmann 2 Profiles"][1:3] == ["0.49", "0.462–0.534"]
    assert rows["Kaplan"][1] == "0.73"
    # a mark behind a number would be read as a power of it
    (marked,) = [name for name in rows if name.startswith("Hoffmann 3 Parametric")]
    assert marked != "Hoffmann 3 Parametric"
    assert rows[marked][1] == "0.46"
    assert "outside the interval it prints" in " ".join(" ".join(rendered.page.words).split())


@pytest.mark.parametrize(
    "number",
    [
        "67.8B", "63.4B", "42.2B", "40.4B", "2.38T", "32.2B", "2.98T", "1.33T", "804B", "485B",
    ],
)  # fmt: skip
def test_published_numbers_are_there(rendered: Rendered, number: str) -> None:
    assert number in tokens(" ".join(rendered.page.words))


def test_both_outputs_say_the_same(rendered: Rendered) -> None:
    typst = rendered.typst.replace("\\", "")
    typst = re.sub(r"#(?:super|sub|emph|strong)\[", "[", typst)
    missing = tokens(" ".join(rendered.page.words)) - tokens(typst)
    # the page numbers its sections and notes and links to files and places; Typst makes its own
    links = {"SVG", "PDF", "CSV", "TeX", "Data", "Archive", "Cite", "All", "Contents", "Skip"}
    links |= {"TEX", "figures.json", "report.pdf"}  # the list of the report's files
    assert {word for word in missing if not word.isdigit()} <= links | {"isoflop"} | {
        word for word in missing if re.fullmatch(r"\d+\.\d+", word)
    }


def test_a_number_and_its_percent_sign_stay_on_one_line(rendered: Rendered, bare: Rendered) -> None:
    for made in (rendered, bare):
        words = "".join(made.page.words)
        assert parted(words) == []
        assert len(re.findall(r"\d\xa0%", words)) > 20
        assert parted(made.typst) == []


def parted(text: str) -> list[str]:
    """Find numbers that a line may end between and their percent sign."""
    return re.findall(r".{0,20}\d[ \n]+%", text)


@pytest.mark.parametrize("to", ["to_html", "to_typst"])
def test_percent_signs_are_joined_wherever_they_stand(tmp_path: Path, to: str) -> None:
    """In a line, over its end, in a heading, a note, a caption, a cell, emphasis and the title."""
    from isoflop.report import render

    text = (
        "# At 1 %\n\nIn 2 % or\n3\n% or **4** % of *5 %*, [6 %](#x)[^n], `7 %`.\n\n"
        "[^n]: Of 8 %.\n\n"
        "| 9 % | b |\n|---|---|\n| c | 10 % |\n\n: Of 11 %. {#tbl-x}\n\n::: {.callout}\n12 %\n:::\n"
    )
    labels = {"title": "At 13 %", "subtitle": "s", "kind": "k", "pagetitle": "p", "lang": "en-GB"}
    written = getattr(render, to)(text, labels, tmp_path)
    if to == "to_html":
        written = written[written.index("<body") :]
    plain = re.sub(r"</?(?:strong|em|code)[^>]*>|[*_]|#(?:strong|emph)\[|\]", "", written)
    joined = {int(found) for found in re.findall(r"(\d+)(?:\xa0|~)\\?%", plain)}
    # code is shown as it was typed
    assert joined == {*range(1, 14)} - {7}


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs poppler's pdftotext")
def test_the_pdf_holds_the_same_numbers(rendered: Rendered) -> None:
    done = subprocess.run(
        ["pdftotext", "-layout", str(rendered.root / "report.pdf"), "-"],  # noqa: S607
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    printed = tokens(done.stdout)
    for row in rendered.page.tables["tbl-answer"][1:]:
        for cell in row[1:3]:
            assert tokens(lines(cell)[0]) <= printed


NOTE = "A note that takes three lines at the foot of a page. " * 6


def test_no_heading_is_parted_from_its_table(tmp_path: Path) -> None:
    """Nor a caption; also where the table moves to the next page for its footnote alone."""
    from isoflop.report.render import to_pdf, to_typst

    rows = "\n".join(f"| {i} | {i} |" for i in range(9))
    table = (
        f"| a | b |\n|---|---|\n| 1[^n] | 2 |\n{rows}\n\n: A table.{{#tbl-x%s}}\n\n[^n]: {NOTE}\n"
    )
    for classes in ("", " .wide", " .dense"):
        source = to_typst(
            f"# Appendix\n\n## Parted?\n\n{table % classes}", {"title": "t"}, tmp_path
        )
        for start in range(16):
            # where the page has room for the table, or for it without its note, or for neither
            moved = source.replace("= Appendix", f"#v({12 + 0.5 * start}cm)\n= Appendix", 1)
            assert moved != source
            (tmp_path / "report.pdf").write_bytes(to_pdf(moved, tmp_path))
            pages = pdf_text(tmp_path / "report.pdf").split("\f")
            headed = next(page for page in pages if "Parted?" in page)
            assert re.search(r"A table\.\s+a\s+b\s+1", headed), (classes, start)


def test_nothing_is_loaded_from_anywhere(rendered: Rendered) -> None:
    # marks of a figure that are drawn again from within the page
    assert all(re.fullmatch(r"#[\w-]+", source) for source in rendered.page.sources)
    own = re.compile(
        r"#|report\.pdf$|\.\./index\.html(#\w+)?$|(tables|figures)/[\w.-]+\.(csv|tex|svg|pdf|bib|json)$"
        r"|https://doi\.org/10\.[\w./-]+$"
    )
    assert [link for link in rendered.page.links if not own.match(link)] == []
    urls = re.findall(r"url\(\s*['\"]?([^'\")]+)", rendered.html)
    assert urls
    assert all(url.startswith(("data:font/woff2;base64,", "#")) for url in urls)
    assert "@import" not in rendered.html
    # ours and whole: nothing in them asks for anything from elsewhere, or turns text into markup
    found = re.findall(r"<script([^>]*)>(.*?)</script>", rendered.html, re.DOTALL)
    kinds = [
        ' type="application/json" id="run-names"',
        "",
        ' type="application/json" id="frontiers"',
    ]
    assert [head for head, _ in found] == [*kinds, ""]
    for _, text in found:
        # the name of SVG's elements is no address that anything asks for
        text = text.replace('"http://www.w3.org/2000/svg"', "")  # noqa: PLW2901
        assert not re.search(r"https?:|\bimport\b|fetch|XMLHttpRequest|\beval\b|innerHTML", text)


def test_works_are_cited_and_linked(rendered: Rendered) -> None:
    """Every citation of the published facts has an entry, which says the same."""
    entries = {}
    for entry in rendered.inputs.bibliography.split("\n@")[1:]:
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, re.MULTILINE))
        entries[entry.split("{")[1].split(",")[0]] = fields
    reference = rendered.inputs.reference
    known = [
        reference.hoffmann.citation, reference.kaplan.citation, reference.besiroglu.citation,
        reference.gopher_chinchilla.gopher_citation, *reference.effects.citations,
    ]  # fmt: skip
    words = " ".join(" ".join(rendered.page.words).split())
    for citation in known:
        own = entries[citation.key]
        assert own["title"].replace("\\&", "&") == citation.title
        assert f"arXiv:{own['eprint']}" == citation.identifier
        assert own["year"] == str(citation.year)
        assert f"ref-{citation.key}" in rendered.page.ids
        assert f"https://doi.org/{own['doi']}" in rendered.page.links
    # the text leads to the list, and the list to the works
    assert {"#ref-hoffmann2022", "#ref-kaplan2020"} <= set(rendered.page.links)
    assert "Strictly Proper Scoring Rules" in words
    shipped = (rendered.root / "tables" / "references.bib").read_text(encoding="utf-8")
    assert shipped == rendered.inputs.bibliography


def test_links_lead_somewhere_and_ids_are_unique(rendered: Rendered) -> None:
    assert rendered.page.unbalanced == []
    assert len(rendered.page.ids) == len(set(rendered.page.ids))
    inside = {link[1:] for link in rendered.page.links if link.startswith("#")}
    assert inside <= set(rendered.page.ids)
    made = {path.relative_to(rendered.root).as_posix() for path in rendered.root.rglob("*")}
    files = {link for link in rendered.page.links if link.startswith(("tables/", "report"))}
    assert len(files) > 20
    assert files <= made


def test_figures_and_formulas_have_words(rendered: Rendered) -> None:
    assert len(rendered.page.figures) == len(FIGURES)
    for svg in rendered.page.figures:
        assert svg["role"] == "graphics-document"  # whose texts can be read out, too
        assert svg["aria-label"].startswith("A dot for")
    assert rendered.typst.count("image(") == len(FIGURES)
    assert len(re.findall(r'image\("[^"]+", alt: "[^"]+"', rendered.typst)) == len(FIGURES)
    formulas = rendered.html.count("<math ")
    assert formulas > 5
    assert rendered.typst.count("math.equation(alt:") == formulas


def test_headings_captions_and_scrollers_serve_a_reader_without_a_mouse(rendered: Rendered) -> None:
    assert rendered.html.count("<h1") == 1
    assert len(re.findall(r"<section id=[^>]*>\s*<h2", rendered.html)) > 10
    regions = re.findall(r'<div class="scroller"[^>]*>', rendered.html)
    assert len(regions) >= len(rendered.page.tables)
    assert all('tabindex="0"' in found and "aria-label" in found for found in regions)
    # what names a table does not scroll away with it
    assert "<caption" not in rendered.html
    for name in rendered.page.tables:
        assert f'aria-labelledby="{name}-caption"' in rendered.html
        assert f"{name}-caption" in rendered.page.ids


def test_every_column_is_explained(rendered: Rendered) -> None:
    with (rendered.root / "tables" / "columns.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["table"], row["column"]) for row in rows if not row["meaning"]} == set()
    for path in (rendered.root / "tables").glob("*.csv"):
        if path.stem != "columns":
            with path.open(encoding="utf-8", newline="") as stream:
                heads = next(csv.reader(stream))
            assert [r["column"] for r in rows if r["table"] == path.stem] == heads


@pytest.mark.parametrize(
    ("ends", "log10_p", "words"),
    [
        (
            (0.48, 0.70),
            -6.0,
            "Equal scaling is not rejected: the 95\xa0% interval of *a* contains ",
        ),
        (
            (0.48, 0.70),
            -0.3,
            "Equal scaling is not rejected: the 95\xa0% interval of *a* contains ",
        ),
        ((0.51, 0.70), -6.0, "Equal scaling is rejected: the 95\xa0% interval of *a* excludes 0.5"),
        ((0.51, 0.70), -0.3, "Equal scaling is rejected: the 95\xa0% interval of *a* excludes 0.5"),
        (None, -6.0, "No 95\xa0% interval of *a* is given to judge equal scaling by"),
    ],
)
def test_equal_scaling_is_judged_by_the_interval_everywhere(
    rendered: Rendered, ends: tuple[float, float] | None, log10_p: float, words: str
) -> None:
    """What section 5 says of it, whatever a test says that takes the law for true."""
    fitted = rendered.inputs.fitted["parametric"]
    tests = fitted.diagnostics.likelihood_ratios  # type: ignore[union-attr]
    parity = tests.parity.model_copy(update={"log10_p": log10_p, "p_value": 10.0**log10_p})
    told = fitted.diagnostics.model_copy(
        update={"likelihood_ratios": tests.model_copy(update={"parity": parity})}
    )
    a = fitted.a.model_copy(update={"intervals": {} if ends is None else {"0.95": ends}})
    facts = hypothesis_facts(fitted.model_copy(update={"diagnostics": told, "a": a}))
    assert facts is not None
    assert facts["parity"].startswith(words)
    assert "equal scaling" not in facts["rejected"] + facts["kept"]
    apart = ends is not None and (ends[0] <= 0.5) == (log10_p < -2.0)
    assert ("what this report goes by](#exponents)" in facts["parity"]) == apart


def test_a_paper_types_no_number(rendered: Rendered) -> None:
    text = (rendered.root / "tables" / "numbers.tex").read_text(encoding="utf-8")
    macros = dict(re.findall(r"\\newcommand\{\\isoMadeUp(\w+)\}\{\\isonum\{(.+)\}\}", text))
    chosen = rendered.inputs.recommended
    assert chosen is not None
    optimum = rendered.inputs.answered(1e14)[chosen.key]
    assert float(macros["Budget"]) == 1e14
    assert float(macros["N"]) == pytest.approx(optimum.params.value, rel=5e-3)
    assert float(macros["DHi"]) == pytest.approx(optimum.tokens.intervals["0.95"][1], rel=5e-3)
    # with the digits of the page: whole runs, and as many decimals of a loss and of an exponent
    assert macros["Runs"] == str(chosen.answer.n_runs)
    assert macros["A"] == fixed(chosen.answer.a.value)
    assert optimum.loss is not None
    assert macros["Loss"] == fixed(optimum.loss.value)


def test_every_file_is_listed(rendered: Rendered, bare: Rendered) -> None:
    """The header's Data leads to the list, and its Archive to how one is made."""
    for report in (rendered, bare):
        nav = re.findall(r'<nav class="files".*?</nav>', report.html, re.DOTALL)[0]
        assert '<a href="#files">Data</a>' in nav
        assert '<a href="#archive">Archive</a>' in nav
        assert {"files", "archive"} <= set(report.page.ids)
        listed = re.findall(r'<div id="files".*?</div>', report.html, re.DOTALL)[0]
        links = re.findall(r'href="([^"]+)"', listed)
        assert len(links) == len(set(links))
        written = {f"tables/{path.name}" for path in (report.root / "tables").iterdir()}
        shown = {name for name, text in report.inputs.manifest.items() if text.shown}
        drawn = {f"figures/{name}.{kind}" for name in shown for kind in FIGURE_FILES}
        # each figure links its own
        for name in shown:
            own = re.search(
                rf'<figure[^>]*id="fig-{name.replace("_", "-")}".*?</figure>', report.html, re.S
            )
            assert own is not None
            linked = re.findall(r'href="((?:tables|figures)/[^"]*)"', own[0])
            assert linked == [f"figures/{name}.{kind}" for kind in ("svg", "pdf", "csv")]
        assert set(links) == written | drawn | {"figures/figures.json", "report.pdf"}
        assert "every file of this report" not in report.typst


def test_header_cells_have_a_scope(rendered: Rendered) -> None:
    assert rendered.page.headers
    assert {cell.get("scope") for cell in rendered.page.headers} == {"col", "row"}


def test_landmarks_and_language(rendered: Rendered) -> None:
    for landmark in ("<main", "<nav class=", 'aria-label="Contents"', "<header", '<html lang="en"'):
        assert landmark in rendered.html


def test_the_pdf_is_the_same_twice(rendered: Rendered) -> None:
    from isoflop.report.render import to_pdf

    first = (rendered.root / "report.pdf").read_bytes()
    again = to_pdf(rendered.typst, rendered.root / "figures", date=rendered.inputs.day)
    assert again == first
    assert b"pdfaid" in first
    assert b"pdfuaid" in first
    # tagged, and every tag meant: booleans, as ISO 32000 has them
    assert re.search(rb"/MarkInfo\s*<<\s*/Marked true\s*/Suspects false\s*>>", first)


def test_the_check_pair_is_compared(rendered: Rendered) -> None:
    words = " ".join(" ".join(rendered.page.words).split())
    assert "2 runs of 3 × 10 13 FLOPs each" in words.replace("\xa0", " ")
    losses = rendered.inputs.losses.filter(role="check", is_final=True).sort("params_total")
    shown = [row[5] for row in rendered.page.tables["tbl-check"][1:]]
    assert shown == [fixed(loss, 4) for loss in losses["loss"]]


def test_a_sweep_without_profiles_or_check_pair_says_why(bare: Rendered) -> None:
    words = " ".join(" ".join(bare.page.words).split())
    # a reason that starts with its approach starts a sentence
    assert "2 Profiles was not fitted. Profiles needs 3 budgets" in words
    assert "Nothing for isoflop_profiles." in words
    assert "Nothing for check_pair." in words
    assert "tbl-check" not in bare.page.tables
    assert len(bare.page.figures) == len(FIGURES) - 2
    assert bare.page.unbalanced == []


def test_a_figure_does_not_repeat_why_its_approach_was_refused(bare: Rendered) -> None:
    manifest = dict(bare.inputs.manifest)
    (reason,) = bare.inputs.refused.values()
    changed = manifest["isoflop_profiles"].model_copy(update={"reason": reason})
    manifest["isoflop_profiles"] = changed
    # a reason is escaped, as whatever names a sweep is
    markdown = write_document(replace(bare.inputs, manifest=manifest)).markdown.replace("\\", "")
    assert markdown.count(reason.removeprefix("profiles")) == 1
    assert "**No figure here:** Approach 2 (IsoFLOP profiles) was not fitted; the" in markdown


def test_rows_of_kaplans_fit_are_named_where_there_are_some(
    rendered: Rendered, refused: Rendered
) -> None:
    said, none = (" ".join(" ".join(one.page.words).split()) for one in (rendered, refused))
    assert "gives the rows named “Kaplan’s fit”" in said
    assert "Kaplan’s fit” " not in none
    assert "This sweep does not allow it; the reason stands below the answer ." in none


def test_intervals_that_undercover_are_marked_and_told(rendered: Rendered) -> None:
    words = " ".join(" ".join(rendered.page.words).split()).replace("\xa0", " ")
    law = IN_PROSE["parametric"]
    # which answer it is, and its a in italics, stand before
    assert (
        f"in simulated sweeps of {law}: no 80 % interval is given, since where {law} is true the "
        "truth lies above all resamples in 60 %"
    ) in words
    assert (
        f"in simulated sweeps of {law}: the 80 % interval covered in 80 % or more, least where "
        f"{law} is true"
    ) in words
    assert "was not checked: beta ended at a bound." in words
    given = {
        row[0]: [cell != NONE for cell in row[2:4]]
        for row in rendered.page.tables["tbl-exponents"][1:5]
    }
    assert list(given.values())[:3] == [[False, False], [True, True], [True, True]]
    note = "no interval from its resamples covers as often as it should"
    assert words.count(note) >= 1


def test_every_check_of_intervals_is_tabulated(rendered: Rendered) -> None:
    rows = rendered.page.tables["tbl-calibration"][1:]
    # three approaches were checked, each for a and, in the file, for N* at every budget
    with (rendered.root / "tables" / "calibration.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3 * (1 + len(rendered.inputs.budgets))
    assert [[cell.replace("\xa0", " ") for cell in row[-2:]] for row in rows] == [
        [NONE, NONE],
        ["80 %", "96 %"],
        ["80 %", "96 %"],
    ]
    levels = [
        [cell.replace("\xa0", " ") for cell in row]
        for row in rendered.page.tables["tbl-levels"][1:]
    ]
    assert levels[0][1] == levels[0][3] == NONE
    # places of a hundred made-up sweeps are even, and fifty draws are nearly normal
    for row in levels[1:]:
        assert float(row[1].split(" %")[0]) == pytest.approx(80, abs=2)
        assert float(row[3].split(" %")[0]) == pytest.approx(95, abs=2)
        assert 1 < float(row[1].split(" ± ")[1].split(" ")[0]) < 8


def test_what_was_left_out_is_shown_with_its_reason(rendered: Rendered) -> None:
    rows = rendered.page.tables["tbl-left-out"]
    assert ["notes.txt", "ingest", "0", "no log format recognises it"] in rows


def test_checks_of_plausibility_stand_with_their_numbers_and_what_fails_them(
    rendered: Rendered,
) -> None:
    runs = str(rendered.inputs.runs.height)
    shown = rendered.page.tables["tbl-checks"]
    rows = [[cell.replace("\xa0", " ") for cell in row] for row in shown]
    first = ["flops_ratio", "logged FLOPs over 6ND", "0.8 to 2.5", NONE, runs]
    assert [*first, "0", "0", "0", "1"] in rows
    digits = ["few_digits", "unit of the losses' last digit", "at most 0.0005", "nat/token", runs]
    assert [*digits, "1", "1", "1", "0.01"] in rows
    told = rendered.page.tables["tbl-implausible"][1:]
    assert [(row[0], row[2], row[3]) for row in told] == [
        ("few_digits", "told of", "its losses are written to 0.01"),
        ("few_digits", "left out", "its losses are written to 0.01"),
        (
            "few_digits",
            "accepted",
            "its losses are written to 0.01 (accepted: printed so by its trainer)",
        ),
    ]


def test_all_refused_still_renders(refused: Rendered) -> None:
    words = " ".join(" ".join(refused.page.words).split())
    assert "No approach could be fitted to this sweep" in words
    assert refused.inputs.fitted == {}
    estimates = read_estimates(refused.root / "data/estimates/made-up")
    assert estimates.keys() == set(APPROACHES)


def test_published_exponents_are_tested(rendered: Rendered) -> None:
    found = rendered.inputs.fitted["parametric"].diagnostics.likelihood_ratios
    _, *rows = rendered.page.tables["tbl-exponents-tests"]
    assert found is not None
    printed = found.exponents["hoffmann_printed"]
    assert rows[0][:3] == ["Hoffmann, as printed", "0.3400", "0.2800"]
    assert rows[0][4] == fixed(printed.statistic, 1)
    # smaller than what a double of the p-value would show as a fixed number
    assert " ".join(rows[0][6].split()) == "1.3 × 10−87"
    assert [row[5] for row in rows] == ["2", "2", "1"]
    words = " ".join(" ".join(rendered.page.words).split())
    assert "these runs reject Hoffmann’s printed exponents." in words
    assert "do not reject Besiroglu’s exponents." in words
    assert "Equal scaling is not rejected: the 95 % interval of a contains 0.5" in words


def test_the_bend_is_said_with_its_direction_or_why_not(rendered: Rendered) -> None:
    words = " ".join(" ".join(rendered.page.words).split())
    assert re.search(r"falls by 0\.020 per decade of compute, and the interval .* excludes", words)
    assert "4 budgets are needed; there are 3" in words
    _, *rows = rendered.page.tables["tbl-curvature"]
    assert [row[2] for row in rows] == ["0.300", "0.280", "0.260", "−0.020"]


def test_kaplan_stands_beside_his_own_numbers(rendered: Rendered) -> None:
    head, *rows = rendered.page.tables["tbl-constants"]
    shown = {(row[0], row[1]): row[2:] for row in rows}
    assert len(shown) == len(rows)
    kaplan = rendered.inputs.fitted["kaplan"]
    a = shown[NAMES["kaplan"], "a"]
    assert (a[0], *a[2:]) == (parameter(kaplan.a.value), "0.6100", "0.730")
    assert shown[NAMES["kaplan"], "a that L(N, D) implies"][3] == "0.575"
    # Hoffmann's beside the law he fitted, and no published constant beside another
    parametric = rendered.inputs.fitted["parametric"].parameters
    assert shown[NAMES["parametric"], "E"][0] == parameter(parametric["E"].value)
    assert shown[NAMES["parametric"], "α"][3] == parameter(
        rendered.inputs.reference.hoffmann.law.alpha, 3
    )
    assert shown[NAMES["nested"], "γ"][2:] == [NONE, NONE]
    assert len(head) == 6
    with (rendered.root / "tables" / "constants.csv").open(encoding="utf-8", newline="") as file:
        data = {(row["law"], row["parameter"]): row for row in csv.DictReader(file)}
    for approach, estimate in rendered.inputs.fitted.items():
        for name, quantity in estimate.parameters.items():
            assert float(data[approach, name]["value"]) == quantity.value


def test_captions_say_what_the_estimates_say(rendered: Rendered) -> None:
    """Each in its own approach's numbers."""
    inputs = rendered.inputs
    told = {
        name.replace("-", "_"): " ".join(text.split())
        for name, text in re.findall(
            r'<figure[^>]*id="fig-([a-z-]+)".*?<figcaption[^>]*>(.*?)</figcaption>',
            rendered.html,
            re.DOTALL,
        )
    }
    plain = {name: re.sub(r"<[^>]+>", "", text) for name, text in told.items()}
    for name, approach, begins in (
        ("training_curves", "envelope", "The envelope gives"),
        ("isoflop_profiles", "profiles", "The minima give"),
        ("parametric_fit", "parametric", "The law gives"),
    ):
        assert f"{begins} a = {fixed(inputs.fitted[approach].a.value)}" in plain[name]
    finals = inputs.losses.filter(role="fit", is_final=True)["flops_6nd"]
    decades = math.log10(finals.max() / finals.min())
    assert f"span {fixed(decades, 1)} decades of compute" in plain["design"]


def test_the_data_are_said_in_the_runs_own_numbers(rendered: Rendered) -> None:
    inputs, facts = rendered.inputs, data_facts(rendered.inputs)
    finals = inputs.losses.filter(role="fit", is_final=True)["flops_6nd"]
    assert facts.flops == interval(finals.min(), finals.max(), power)
    _, *rows = rendered.page.tables["tbl-runs"]
    head = rendered.page.tables["tbl-runs"][0]
    runs = {run["run"]: run for run in inputs.runs.iter_rows(named=True)}
    (place,) = (i for i, cell in enumerate(head) if cell.replace(" ", "") == "D/N")
    for row in rows[:5]:
        run = runs[row[0]]
        assert float(row[place]) == pytest.approx(run["tokens"] / run["params_total"], rel=0.01)


def test_a_verdict_is_by_the_interval_that_it_names(rendered: Rendered) -> None:
    by_name = {verdict.name: verdict for verdict in verdicts(rendered.inputs)}
    for approach, estimate in rendered.inputs.fitted.items():
        ends = estimate.a.intervals.get("0.95")
        if ends is not None:
            verdict = by_name[IN_PROSE[approach]]
            assert verdict.ends == interval(*ends, fixed)
            assert verdict.contains_half == (ends[0] <= 0.5 <= ends[1])


def test_percentiles_beside_checked_intervals_are_marked(rendered: Rendered) -> None:
    """No simulated sweep places the ends of some constants, which stood there as all others."""
    _, *rows = rendered.page.tables["tbl-constants"]
    marked = {(row[0], row[1]) for row in rows if "§" in row[3]}
    with (rendered.root / "tables" / "constants.csv").open(encoding="utf-8", newline="") as file:
        data = {(row["law"], row["parameter"]): row["ends_placed"] for row in csv.DictReader(file)}
    assert marked == {
        (NAMES["envelope"], "exponent of Lopt"), (NAMES["profiles"], "exponent of Lopt")
    }  # fmt: skip
    assert data["profiles", "L_exponent"] == "no"
    assert data["parametric", "alpha"] == "yes"
    assert data["kaplan", "alpha_D_alone"] == ""
    for approach, estimate in rendered.inputs.fitted.items():
        for name, quantity in estimate.parameters.items():
            placed = data[approach, name]
            assert placed == (("yes" if quantity.levels else "no") if quantity.intervals else "")
    assert "§ percentiles of the refits" in rendered.html


def test_every_fit_accounts_for_itself(rendered: Rendered) -> None:
    head, *rows = rendered.page.tables["tbl-fits"]
    assert head[1:] == [NAMES[name] for name in APPROACHES]
    shown = {row[0]: row[1:] for row in rows}
    assert shown["Starts that reached it"] == [
        "closed form", "closed form", "4500 of 4500", "6 of 6"
    ]  # fmt: skip
    assert shown["Bounds hit"] == ["none", "none", "E", "none"]
    assert shown["Degrees of freedom"] == ["31"] * 4
    assert shown["Trend over log N"][0] == "—"
    assert "p = 0.034" in shown["Trend over log C"][2]


def test_the_glossary_is_one_text(rendered: Rendered) -> None:
    page = Path("docs/glossary.md").read_text(encoding="utf-8")
    lines = template_text("glossary.md").splitlines()
    assert page.endswith("\n".join(lines) + "\n")
    assert len(lines) == 14
    words = " ".join(" ".join(rendered.page.words).split())
    for line in lines:
        term = re.match(r"- \*\*(.+?)\*\*", line)
        assert term is not None
        # of signs those alone that the page has
        assert term[1] in words or term[1] in document.SIGNS
    for sign, mark in document.SIGNS.items():
        explained = f"- **{sign}**"
        assert explained in document._glossary(f"a page with {mark} in it")
        assert explained not in document._glossary("a page without")
    assert "#glossary" in rendered.page.links


OLD_WORDS = re.compile(
    r"\b(?:h[eo]ld(?:s|ing)?|foretell?s?|foretold|so many|pass(?:es|ed)? over|lookalikes?|his N)\b",
    re.IGNORECASE,
)
"""What STYLE.md's section Words replaces, where readers meet it."""


def test_the_report_is_in_plain_english(rendered: Rendered, bare: Rendered) -> None:
    for built in (rendered, bare):
        words = " ".join(" ".join([*built.page.words, *built.page.labels]).split())
        assert [words[m.start() - 30 : m.end() + 30] for m in OLD_WORDS.finditer(words)] == []


def test_a_budget_that_is_asked_for_is_answered_without_a_refit(tmp_path: Path) -> None:
    empty_figures(tmp_path)
    inputs = example_sweep.write(tmp_path).report_inputs(tmp_path)
    assert inputs.budgets == [1e13, 1e14, 1e15]
    asked = replace(inputs, settings=ReportSettings(budgets=(3e16, 1e14)))
    assert asked.budgets == [1e13, 1e14, 1e15, 3e16]
    for approach, optimum in asked.optima(3e16).items():
        estimate = asked.fitted[approach]
        assert optimum.params.value == pytest.approx(float(estimate.params_opt(3e16)), rel=1e-12)
        served = optimum.params.intervals.get("0.95")
        # no level serves the envelope
        assert (served is None) == (approach == "envelope")
        assert served is None or served[0] < optimum.params.value < served[1]
    assert headline_budget(inputs) == 1e14
    # the first budget that is asked for, unless it lies where the sweep does not say
    assert headline_budget(asked) == 3e16
    far = replace(inputs, settings=ReportSettings(budgets=(1e22,)))
    assert headline_budget(far) == 1e14
    # a run ends with a whole step, a hair beside its budget: what the page asks is round
    missed = inputs.losses.with_columns(pl.col("budget") * 1.000085)
    assert replace(inputs, losses=missed).budgets == inputs.budgets
    table = first_screen(far).budgets
    assert table is not None
    own = len(far.fitted)
    assert [row[-1] for row in table.rows[:own]] == ["\N{EM DASH}"] * own


def test_gopher_is_in_its_section_alone(rendered: Rendered) -> None:
    assert rendered.inputs.reference.gopher_budget not in rendered.inputs.budgets
    (place,) = (
        place for place, cell in enumerate(rendered.page.tables["tbl-budgets"][0]) if "5.76" in cell
    )
    assert place == len(rendered.inputs.budgets) + 1


def test_a_sweep_without_an_estimate_has_no_budget(refused: Rendered) -> None:
    assert refused.inputs.budgets == []
    assert not {"tbl-answer", "tbl-budgets"} & set(refused.page.tables)
    assert headline_budget(refused.inputs) is None


def test_a_rejected_form_is_said_in_the_answer_and_tabulated(rendered: Rendered) -> None:
    text = " ".join(" ".join(rendered.page.words).split())
    # of its fit and of its residuals, each under the figure that shows it
    assert text.count("the runs reject its form") == 2
    _, _, told = text.partition("These runs reject the form of ")
    assert told.startswith(IN_PROSE["parametric"]), text[:4000]
    rows = {row[0]: row for row in rendered.page.tables["tbl-fits"]}
    column = rows["What"].index(NAMES["parametric"])
    assert "-0.010" in rows["Second order, log N log D"][column].replace("\N{MINUS SIGN}", "-")
    assert rows["Second order, (log D)\N{SUPERSCRIPT TWO}"][column] == "\N{EM DASH}"
    assert "0.66\xa0%" in rows["Lack of fit against replicates"][column]


def test_the_runs_that_an_answer_hangs_on_are_named(rendered: Rendered) -> None:
    table = rendered.page.tables["tbl-influence"]
    assert [row[0] for row in table[1:]] == ["hangs-on-me", "far-off"]
    assert table[1][2] == "+0.030 (2.5)"
    assert table[2][5] == "9.0"
    path = rendered.root / "tables" / "influence.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        data = list(csv.DictReader(stream))
    assert data[0]["approach"] == MIXTURE.key
    moving = next(row for row in data if row["run"] == "hangs-on-me")
    assert float(moving["log_params_opt"]) == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("unique", "sentence"),
    [
        ([100.0, 100.0, None], ""),
        ([200.0, 100.0, 100.0], ""),
        (
            [25.0, 100.0, None],
            "One of the runs saw its unique tokens more than once, up to 4.0 times; ",
        ),
        (
            [25.0, 80.0, 100.0],
            "2 of the runs saw their unique tokens more than once, up to 4.0 times; ",
        ),
    ],
)
def test_repeated_text_is_told_of(
    rendered: Rendered, unique: list[float | None], sentence: str
) -> None:
    runs = rendered.inputs.runs
    kept = rendered.inputs.fit_runs()["run"][:3].to_list()
    changed = runs.filter(pl.col("run").is_in(kept)).with_columns(
        tokens=pl.lit(100.0), unique_tokens=pl.Series(unique, dtype=pl.Float64)
    )
    inputs = replace(rendered.inputs, runs=changed)
    told = data_facts(inputs).repeats
    assert told.startswith(sentence)
    assert bool(told) == bool(sentence)
    if sentence:
        assert told.endswith("no law here tells repeated tokens from fresh ones.")
        assert told in write_document(inputs).markdown
