"""Text that a user or a log can fill runs nowhere: not in HTML, PDF, LaTeX, CSV or the index."""

from __future__ import annotations

import csv
import json
import re
import string
import subprocess
import tempfile
from pathlib import Path

import pikepdf
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.config.approaches import ApproachesSettings
from isoflop.config.sidecar import SweepFile
from isoflop.drawing import style
from isoflop.errors import IsoflopError
from isoflop.escape import (
    TEX_FORMULAS,
    code,
    csv_cell,
    link,
    markdown,
    mathtext,
    paragraphs,
    unmarked,
)
from isoflop.estimates.estimate import Refusal, read_estimates
from isoflop.estimates.mixture import read_mixture
from isoflop.page import script
from isoflop.reference import read_reference
from isoflop.report.latex import TABLE_MARK
from isoflop.report.render import (
    READER,
    _without_fonts,
    to_html,
    to_latex_tables,
    to_pdf,
    to_typst,
)
from isoflop.report.render_index import IndexedSweep, render_index
from isoflop.report.render_report import render_report
from isoflop.report.sections.data import words
from isoflop.report.tables import Column, Table
from isoflop.tables import Runs, read_table
from tests import example_sweep
from tests.outputs import FORMULA, pdf_text
from tests.report.conftest import empty_figures
from tests.report.page import Page, read_page
from tests.report.study import number
from tests.tiers import times

SCRIPTS = "قوانين 1️⃣ स्केलिंग กำลัง 👩‍👩‍👧 חוקי 스케일링 Z̵̢a̷ 𒀀 𝔸 {ा"
"""Right to left, marks above and below, joined signs: no font of the PDF has all of them."""

PAYLOADS = (
    "<script>alert(document.domain)</script>",
    "`<script>alert(1)</script>`{=html}",
    "x` ``<img src=x onerror=alert(2)>``{=html}",
    "<img src=//evil.example/x.png onerror=alert(3)>",
    "cosine [click](javascript:alert(4))",
    "![a](http://evil.example/p.png)",
    "x`![a](http://evil.example/p.png)`y",
    r"\input{/etc/passwd}\write18{id}",
    r"`\input{/etc/passwd}\write18{id}`{=latex}",
    r"x`$\input{a}$`y",
    '`#eval("1+1") #read("main.typ")`{=typst}',
    '#eval("1+1") #import "@preview/x:0.1.0"',
    ":::: {.callout}",
    "{.ci} [^own-interval] **bold** << inputs >> <% x %>",
    '=HYPERLINK("http://evil.example";"x")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "a | b \\| c",
    "---",
    "- item 1. # head",
    '"> <b onclick=alert(5)>',
    "{{7*7}} ${7*7}",
    "a\u202egpj.exe",
    "扩展定律 🙂",
    SCRIPTS,
    "[x]: http://evil.example",
    "<http://evil.example>",
    "&lt;script&gt; &#x3c;script&#x3e;",
    "javascript:alert(6)",
    "a\nb\r\nc\td",
    "``` ```{=html}\n<script>alert(7)</script>\n```",
    "~~~ {=html}\n<iframe src=//evil.example>\n~~~",
    "x]{.evil onclick=alert(8)}",
    "<style>@import 'http://evil.example'</style>",
    "#set page(fill: red)",
    r"$\def\x{\write18{id}}\x$",
    "100% %s %20 {% raw %} <reports>",
)
ALL = "\n".join(PAYLOADS) + "\n\n---\n\n" + " ".join(PAYLOADS)


def pandoc(source: str, target: str = "json") -> str:
    import pypandoc

    done = subprocess.run(
        [pypandoc.get_pandoc_path(), f"--from={READER}", f"--to={target}", "--wrap=none"],
        input=source.encode(), capture_output=True, check=True,
    )  # fmt: skip
    assert done.stderr == b""
    return done.stdout.decode()


def read_back(source: str) -> list[str]:
    """Give the text of each paragraph, and refuse everything that is not plain text or code."""
    found = []
    for block in json.loads(pandoc(source))["blocks"]:
        assert block["t"] == "Para", block
        parts = []
        for inline in block["c"]:
            assert inline["t"] in {"Str", "Space", "Code"}, inline
            content = inline.get("c", " ")
            parts.append(content[1] if inline["t"] == "Code" else content)
        found.append("".join(parts))
    return found


@pytest.mark.parametrize("text", PAYLOADS)
def test_an_escaped_text_reads_as_its_characters(text: str) -> None:
    shown = " ".join(text.replace("\u202e", "\ufffd").split())
    assert read_back(markdown(text)) == [shown]
    assert read_back(f"before {markdown(text)} after") == [f"before {shown} after"]
    assert read_back(words(text)) == [shown]


@pytest.mark.parametrize("text", PAYLOADS)
def test_a_name_reads_as_its_characters(text: str) -> None:
    shown = text.replace("\u202e", "\ufffd").translate({9: "␉", 10: "␊", 13: "␍"})
    assert read_back(code(text)) == [shown]
    assert read_back(f"{code(text)}{{=html}}") == [f"{shown}{{=html}}"]


hostile_text = st.text(
    st.one_of(st.sampled_from(string.punctuation + " "), st.characters(codec="utf-8")), max_size=30
)


@settings(max_examples=times(30))
@given(st.lists(hostile_text, min_size=1, max_size=30))
def test_any_text_is_only_text(texts: list[str]) -> None:
    source = "\n\n".join(f"a {markdown(text)} b {code(text)} c" for text in texts)
    assert len(read_back(source)) == len(texts)


def test_paragraphs_are_kept_and_nothing_else() -> None:
    assert read_back(paragraphs("One\ntwo\n---\n\n- three\n \n# four\n")) == [
        "One two ---", "- three", "# four"
    ]  # fmt: skip
    assert paragraphs(" \n") == ""


def test_numbers_that_no_float_holds_stay_as_they_are() -> None:
    assert words("1e999 and 1e-999") == "1e999 and 1e-999"


def test_numbers_in_sentences_are_written_out() -> None:
    assert read_back(code("") + " " + code("  ")) == ["(no name) (a name of 2 blanks)"]
    assert words("x: 5.76e+23 [FLOP]").startswith("x\\: 5.76\xa0×\xa010^23^ \\[FLOP")


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_cell_is_no_formula(sign: str) -> None:
    assert csv_cell(f"{sign}1+1") == f"'{sign}1+1"
    assert csv_cell(f"c1e12{sign}1") == f"c1e12{sign}1"


def test_links_stay_below_their_folder() -> None:
    assert link("a(b) c?d#e%", "report.html") == "a%28b%29%20c%3Fd%23e%25/report.html"
    assert link("javascript:alert(1)", "x") == "javascript%3Aalert%281%29/x"
    assert link("a/b") == "a%2Fb"
    for part in ("", ".", ".."):
        with pytest.raises(IsoflopError, match="no link"):
            link(part, "report.html")


def test_a_dollar_starts_no_formula_in_a_figure() -> None:
    import matplotlib as mpl

    style.register_fonts()
    with mpl.rc_context(style.RC):
        figure = style.new_figure(height=1.0)
        for text in PAYLOADS:
            # drawing warns, and so fails, where the font has no such character
            drawn = figure.text(0, 0, style.outside(text))
            for shown in (mathtext(text), style.outside(text)):
                assert drawn._preprocess_math(shown)[1] is False
        figure.draw_without_rendering()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a report whose every field from outside is filled with payloads."""
    root = tmp_path_factory.mktemp("hostile")
    paths = example_sweep.write(root)
    _rename_runs(paths)
    title = json.dumps(ALL)
    paths.sidecar.write_text(
        f"title: {title}\ndescription: {title}\ncitation: {title}\nlicence: {title}\n"
        f"authors: {json.dumps([*PAYLOADS, ALL])}\ndate: 2026-05-04\n",
        encoding="utf-8",
    )
    refusal = next(iter(read_estimates(paths.estimates).values())).provenance
    (paths.estimates / "profiles.json").write_text(
        Refusal(
            approach="profiles",
            sweep=ALL,
            settings=ApproachesSettings(),
            refused=ALL,
            provenance=refusal,
        ).model_dump_json(),
        encoding="utf-8",
    )
    estimate = json.loads((paths.estimates / "parametric.json").read_text(encoding="utf-8"))
    estimate["cautions"] = list(PAYLOADS)
    (paths.estimates / "parametric.json").write_text(json.dumps(estimate), encoding="utf-8")
    empty_figures(root / "figures", hidden=("check_pair",))
    manifest = json.loads((root / "figures/figures.json").read_text(encoding="utf-8"))
    manifest["check_pair"]["reason"] = ALL
    manifest["design"]["alt"] = ALL
    (root / "figures/figures.json").write_text(json.dumps(manifest), encoding="utf-8")
    inputs = paths.report_inputs(root / "figures")
    object.__setattr__(inputs, "sweep", ALL)
    object.__setattr__(inputs, "digests", dict.fromkeys(PAYLOADS, "0" * 64))
    numbers = [
        number("near", sweep=ALL, title=ALL, quantity=text, source=text, note=text, refused=text)
        for text in PAYLOADS
    ]
    object.__setattr__(inputs, "study", numbers)
    render_report(
        inputs, html=root / "report.html", pdf=root / "report.pdf", tables=root / "tables"
    )
    return root


def _rename_runs(paths: example_sweep.Paths) -> None:
    """Let the first runs have payloads as names, and all of them as facts."""
    names = pl.read_parquet(paths.runs)["run"].to_list()
    renamed = dict(zip(names, PAYLOADS, strict=False))
    check = [name for name in names if name.startswith(("kaplan", "chinchilla"))]
    renamed |= {name: f"{PAYLOADS[1]} {name}" for name in check}
    facts = dict.fromkeys(("dataset", "tokenizer", "schedule_kind", "trainer"), "run")
    runs = pl.read_parquet(paths.runs).with_columns(pl.col("run").replace(renamed))
    runs.with_columns(**{name: pl.col(of) for name, of in facts.items()}).write_parquet(paths.runs)
    losses = pl.read_parquet(paths.losses).with_columns(pl.col("run").replace(renamed))
    losses.write_parquet(paths.losses)
    left = pl.read_parquet(paths.left_out)
    more = [
        left.head(1).with_columns(item=pl.lit(payload), reason=pl.lit(reason))
        for payload in PAYLOADS
        for reason in (payload, "for the same reason")
    ]
    pl.concat([left, *more]).write_parquet(paths.left_out)
    _fill(paths.files, "path", "format", "reason")
    _fill(paths.runs, "notes", "reason")
    gates = pl.read_parquet(paths.gates)
    verdicts = pl.Series("verdict", ["warned", "excluded", "accepted"] * gates.height)
    gates.with_columns(verdicts.head(gates.height)).write_parquet(paths.gates)
    _fill(paths.gates, "words", "source", "tests", "reason")
    tried = pl.read_parquet(paths.specifications)
    why = pl.when(pl.col("refused").is_not_null()).then(pl.lit(ALL))
    tried.with_columns(refused=why).write_parquet(paths.specifications)


def _fill(path: Path, *columns: str) -> None:
    """Let columns of text have payloads in every row."""
    table = pl.read_parquet(path)
    filled = [pl.Series(name, _cycled(table.height)) for name in columns]
    table.with_columns(filled).write_parquet(path)


def _cycled(number: int) -> list[str]:
    return [f"{PAYLOADS[i % len(PAYLOADS)]}{i}" for i in range(number)]


DOI = r"https://doi\.org/10\.[\w./-]+"
"""Where a cited work is found."""


def nothing_runs(html: str) -> Page:
    """Refuse scripts but the project's own, handlers and whatever leads out of the page."""
    page = read_page(html)
    active = {"script", "iframe", "object", "embed", "base", "form", "img", "link", "b", "meta"}
    assert page.tags & active <= {"meta", "script"}
    own = sum(html.count(f"<script>\n{script(name)}</script>") for name in ("page", "calculator"))
    data = len(re.findall(r'<script type="application/json" id="(?:frontiers|run-names)">', html))
    assert html.count("<script") == own + data
    assert own in {1, 2}
    assert not [name for name in page.attributes if name.startswith("on")]
    # marks of a figure that are drawn again from within the page
    assert all(re.fullmatch(r"#[\w-]+", source) for source in page.sources)
    for target in page.links:
        assert re.fullmatch(DOI, target) or not re.match(
            r"(?i)\s*(?:[a-z][a-z0-9+.-]*:|//)", target
        ), target
    assert page.unbalanced == []
    return page


def test_nothing_runs_in_the_page(hostile: Path) -> None:
    page = nothing_runs((hostile / "report.html").read_text(encoding="utf-8"))
    own = re.compile(
        r"#|report\.pdf$|\.\./index\.html(?:#[\w-]+)?$|(?:tables|figures)/[\w.-]+$|" + DOI
    )
    assert all(own.match(target) for target in page.links)
    assert "http-equiv" not in page.attributes
    # every payload is there to be read, and nothing else was made of it
    said = " ".join(" ".join(page.words).split())
    for payload in PAYLOADS:
        shown = payload.replace("\u202e", "\ufffd")
        assert " ".join(shown.split()) in said
        assert shown.translate({9: "␉", 10: "␊", 13: "␍"}) in said
    for name, cells in page.tables.items():
        assert len({len(row) for row in cells}) == 1, name
    assert {row[0] for row in page.tables["tbl-provenance"][1:]} >= {"扩展定律 🙂", "a | b \\| c"}


def test_nothing_runs_in_the_pdf(hostile: Path) -> None:
    raw = (hostile / "report.pdf").read_bytes()
    assert not re.search(rb"/(?:JavaScript|JS|Launch|SubmitForm|EmbeddedFile)\b", raw)
    # works that are cited, and nothing that a text from outside names
    links = re.findall(rb"/URI\s*\(([^)]*)\)", raw)
    assert len(links) == len(re.findall(rb"/S\s*/URI\b", raw)) > 5
    assert all(re.fullmatch(DOI, link.decode()) for link in links)


def test_the_pdf_names_its_authors_and_its_day(hostile: Path) -> None:
    raw = (hostile / "report.pdf").read_bytes()
    assert b"D:20260504" in raw
    assert b"/Author" in raw
    html = (hostile / "report.html").read_text(encoding="utf-8")
    for line in ("author = {{", "date = {2026-05-04}", "year = {2026}"):
        assert line in html


def test_the_pdf_shows_what_was_written(hostile: Path) -> None:
    said = " ".join(pdf_text(hostile / "report.pdf").split())
    assert "<script>alert(document.domain)</script>" in said.replace("- ", "-")
    assert '#eval("1+1")' in said
    assert "passwd" in said
    # Chinese and emoji have no font there, and the report says so
    assert "\ufffd stands for a character that no font of this PDF has" in said


def test_nothing_runs_in_latex(hostile: Path) -> None:
    tables = sorted((hostile / "tables").glob("*.tex"))
    assert len(tables) > 10
    runs = (hostile / "tables" / "runs.tex").read_text(encoding="utf-8")
    assert "write18" in runs.replace("\\allowbreak{}", "")
    for path in tables:
        source = path.read_text(encoding="utf-8")
        ours = {
            "begin", "end", "toprule", "midrule", "bottomrule", "texttt", "emph", "textbf",
            "textsubscript", "textsuperscript", "textbackslash", "textasciitilde", "textgreater",
            "textless", "textbar", "textasciigrave", "textquotesingle", "textquotedbl", "ldots",
            "ast", "dag", "ddag", "dots", "num", "caption", "label", "centering", "small",
            "footnotesize", "scriptsize", "setlength", "tabcolsep", "raggedright", "raggedleft",
            "arraybackslash", "linewidth", "newline", "allowbreak", "par", "smallskip", "parbox",
            "noindent", "begingroup", "endgroup", "endfirsthead", "endhead", "endlastfoot",
            "text", "resizebox", "propto", "S",
            *(command.lstrip("\\") for command in TEX_FORMULAS.values()),
        }  # fmt: skip
        if path.name == "numbers.tex":
            ours |= {"input", "providecommand", "newcommand", "num", "textasciicircum"}
            ours |= {"ifdefined", "else", "fi"}
            source = re.sub(r"\\iso[A-Za-z]+", "", source)
        assert set(re.findall(r"\\([A-Za-z]+)", source)) <= ours, path.name
        assert not re.search(r"(?<!\\)\$", FORMULA.sub("", source))


@given(st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), min_size=1))
def test_unmarked_reads_what_the_escapes_wrote(text: str) -> None:
    one_line = " ".join(text.split())
    assert unmarked(markdown(text)) == one_line
    if one_line:
        assert unmarked(f"*N*~opt~ of {code(one_line)}, *C*") == f"N_opt of {one_line}, C"


def test_no_cell_of_a_csv_is_a_formula(hostile: Path) -> None:
    cells = []
    for path in sorted((hostile / "tables").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            cells += [cell for row in csv.reader(stream) for cell in row]
    numbers = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)")
    formulas = [c for c in cells if c.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert [cell for cell in formulas if not numbers.fullmatch(cell)] == []
    assert '\'=HYPERLINK("http://evil.example";"x")' in cells


def test_nothing_runs_in_the_index(tmp_path: Path) -> None:
    paths = example_sweep.write(tmp_path)
    found, runs = read_estimates(paths.estimates), read_table(paths.runs, Runs)
    mixture = read_mixture(paths.estimates / "mixture.json")
    names = [payload.replace("/", "_").replace("\n", "_") for payload in PAYLOADS]
    sweeps = [
        IndexedSweep(name, SweepFile(title=payload, description=ALL), found, runs, mixture)
        for name, payload in zip(names, PAYLOADS, strict=True)
    ]
    out = tmp_path / "index.html"
    studies = [
        number("near", study=f"s{place}", title=payload, reports=())
        for place, payload in enumerate(PAYLOADS)
    ]
    render_index(sweeps, read_reference(example_sweep.REFERENCE), out, studies)
    page = nothing_runs(out.read_text(encoding="utf-8"))
    expected = {link(name, file) for name in names for file in ("report.html", "report.pdf")}
    expected |= {f"published/index.html#{study.study}" for study in studies}
    expected |= {"published/index.html", "published/backtest.html"}
    assert {target for target in page.links if not target.startswith("#")} == expected


def test_a_line_of_dashes_stops_no_report(tmp_path: Path) -> None:
    paths = example_sweep.write(tmp_path)
    paths.sidecar.write_text("title: t\ndescription: |\n  One.\n  ---\n  Two.\n", encoding="utf-8")
    empty_figures(tmp_path / "figures")
    inputs = paths.report_inputs(tmp_path / "figures")
    html, pdf = tmp_path / "report.html", tmp_path / "report.pdf"
    render_report(inputs, html=html, pdf=pdf, tables=tmp_path / "tables")
    assert "One. --- Two." in " ".join(read_page(html.read_text(encoding="utf-8")).words)
    assert pdf.stat().st_size > 10_000


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_a_title_is_the_same_in_every_locale(
    locale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    found = to_html("# A {#answer}\n", {"title": "扩展 – Größe: *x*", "pagetitle": "ü"}, tmp_path)
    assert "<h1>扩展 – Größe: *x*</h1>" in found
    assert "<title>ü</title>" in found


@settings(max_examples=15)
@given(
    st.lists(
        st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from(SCRIPTS + "\u20e3`{}"))),
        min_size=4,
        max_size=4,
    )
)
def test_no_text_stops_a_pdf(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = to_typst(
            f"# A {{#a}}\n\nx{markdown(texts[0])}y {code(texts[1])} **x{markdown(texts[2])}y**\n",
            {"title": f"t{texts[3]}", "subtitle": texts[0], "kind": texts[1]},
            Path(folder),
        )
        assert to_pdf(source, Path(folder)).startswith(b"%PDF")


def test_marks_go_where_no_font_has_them_on_their_letter(tmp_path: Path) -> None:
    # the font of code has 1 and the keycap, and no 1 within a keycap
    source = to_typst("`1\u20e3` á", {"title": "t"}, tmp_path)
    assert _without_fonts(source, tmp_path) == []
    (tmp_path / "a.pdf").write_bytes(to_pdf(source, tmp_path))
    assert "1\ufffd" in pdf_text(tmp_path / "a.pdf")


def test_only_what_has_no_font_is_replaced(tmp_path: Path) -> None:
    source = to_typst("Größe − × † 扩 *N*\\* $\\alpha \\propto x$ `Ж扩`", {"title": "展"}, tmp_path)
    (tmp_path / "figures").mkdir()
    replaced = _without_fonts(source, tmp_path)
    assert replaced == sorted("展扩")
    assert to_pdf(source, tmp_path).startswith(b"%PDF")


def test_the_build_names_the_characters_that_the_pdf_cannot_show(tmp_path: Path) -> None:
    told: list[str] = []
    source = to_typst("By Wáng and 王小明, 王.", {"title": "t"}, tmp_path)
    pdf = to_pdf(source, tmp_path, authors=["王小明"], tell=told.append)
    (sentence,) = told
    assert "no font of the PDF has 小明王 (U+5C0F, U+660E, U+738B): \ufffd stands for" in sentence
    (tmp_path / "a.pdf").write_bytes(pdf)
    shown = pdf_text(tmp_path / "a.pdf")
    assert "Wáng and \ufffd\ufffd\ufffd, \ufffd." in " ".join(shown.split())
    assert "(U+5C0F, U+660E, U+738B)" in " ".join(shown.split())
    # metadata need no font
    with pikepdf.open(tmp_path / "a.pdf") as document:
        assert str(document.docinfo["/Author"]) == "王小明"
    told.clear()
    to_pdf(to_typst("By Wáng.", {"title": "t"}, tmp_path), tmp_path, tell=told.append)
    assert told == []


def test_no_text_parts_a_latex_table() -> None:
    """All are made at once, and parted at a line that no text of theirs can be."""
    texts = [f"x {TABLE_MARK}", TABLE_MARK, f"a\n\n{TABLE_MARK}", "plain", r"\end{tabular}"]
    texts += ["%CELL", "a %BREAK b", "%ROW", "%NOTE", "%HEAD"]
    tables = [
        Table(
            key=f"t{number}",
            caption=f"What it shows: {markdown(text)}",
            columns=[Column(markdown(text), "left"), Column("b")],
            rows=[[markdown(text), "1"], [markdown(text), ""]][: number % 3],
            data_columns=["a", "b"],
            data=[],
        ).markdown(1, files=False)
        for number, text in enumerate(texts)
    ]
    at_once = to_latex_tables(tables)
    assert at_once == [tabular for table in tables for tabular in to_latex_tables([table])]
    assert all(tabular.count(r"\toprule") == 1 for tabular in at_once)
