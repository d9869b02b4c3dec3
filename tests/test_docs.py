"""The site of the docs: its links, its pages, its words, and what it writes from the code."""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from pathlib import Path

import pytest
from said import assert_alike

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "_ext"))

import gallery_scripts  # noqa: E402
import reference  # noqa: E402
import repository  # noqa: E402
import terms  # noqa: E402
import units  # noqa: E402

WRITTEN = {"python.md", "command_line.md", "recipes.md"}  # from the code, while the site is built
PAGES = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if "_build" not in page.parts and "gallery" not in page.parts and page.name not in WRITTEN
]
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


def prose(text: str) -> str:
    """A page without its head, code, comments and tables."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"^(`{3,}|:{3,})(?!\{glossary\}).*?^\1\s*$", "", text, flags=re.DOTALL | re.M)
    return re.sub(r"^(\||    ).*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_pages(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    linked = [t for t in re.findall(r"\]\(([^)\s#]+)[^)]*\)", prose(text)) if "://" not in t]
    lost = [target for target in linked if not (page.parent / target).exists()]
    pages = re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", text)
    made = {"gallery", *WRITTEN}
    for target in pages:
        path = (page.parent / target).resolve()
        if path.parent.name in made or f"{path.name}.md" in made:
            continue
        if not any(path.with_name(path.name + end).exists() for end in (".md", ".ipynb")):
            lost.append(target)
    assert lost == []


def test_every_page_stands_in_a_contents() -> None:
    listed = {DOCS / "index"}
    for page in PAGES:
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), flags=re.DOTALL):
            lines = [line.strip() for line in tree.splitlines() if line and line[0] != ":"]
            for line in lines:
                matching = page.parent.glob(f"{line}.md") if "*" in line else ()
                listed |= {(page.parent / line).resolve(), *(p.with_suffix("") for p in matching)}
    assert [name_of(p) for p in PAGES if p.with_suffix("") not in listed] == []


def test_the_glossary_is_sorted_and_each_term_is_explained() -> None:
    found = terms.entries(GLOSSARY)
    assert len(found) >= 40
    assert found == sorted(found, key=str.lower)
    for term in found:
        assert re.search(rf"^{re.escape(term)}\n  \S.{{20,}}", GLOSSARY, flags=re.MULTILINE), term


def test_terms_are_found_whole_and_the_longest_first() -> None:
    finder = terms.pattern(["window", "equivalent window", "LIF"])
    found = [m[0] for m in finder.finditer("Equivalent windows, windowed, a window; LIFE, lif")]
    assert found == ["Equivalent windows", "window", "lif"]


def test_a_number_keeps_its_unit_and_nothing_else() -> None:
    joined = units.joined("4 % of 10 ms, 3 sites, 2.5 points [-1, 2e-05], [a, 3]; a s")
    assert joined.replace("\N{NO-BREAK SPACE}", "_") == (
        "4_% of 10_ms, 3 sites, 2.5_points [-1,_2e-05], [a, 3]; a s"
    )


def test_links_out_of_the_docs_lead_to_the_repository() -> None:
    text = "[tests](../tests/faults), [x](claims.md), [`CHANGELOG.md`](../CHANGELOG.md)"
    assert repository.linked("[test_docs](../tests/test_docs.py)", DOCS, DOCS, None) == "test_docs"
    hosted = repository.linked(text, DOCS, DOCS, "https://example.org/blob/main")
    assert "[tests](https://example.org/blob/main/tests/faults), [x](claims.md)" in hosted
    unknown = repository.linked(text, DOCS, DOCS, None)
    assert unknown == "tests (`tests/faults`), [x](claims.md), `CHANGELOG.md`"


def test_where_the_repository_is_comes_from_whoever_builds() -> None:
    assert repository.home({}) is None
    assert repository.home({"GITHUB_REPOSITORY": "a/b"}) == "https://github.com/a/b/blob/main"
    told = {"READTHEDOCS_GIT_CLONE_URL": "https://example.org/a/b.git"}
    assert repository.home(told) == "https://example.org/a/b/blob/main"


def test_each_script_of_the_gallery_is_titled_by_its_question() -> None:
    scripts = sorted((ROOT / "simulations").glob("[0-9]*.py"))
    assert len(scripts) >= 13
    for script in scripts:
        text = gallery_scripts.titled(script.read_text(encoding="utf-8"))
        compile(text, script.name, "exec")
        title, line = text.splitlines()[1:3]
        assert title.endswith("?"), script.name
        for page in re.findall(r":doc:`/([\w/]+)`", text):
            assert (DOCS / f"{page}.md").exists(), script.name
        assert line == "=" * len(title)


def test_a_script_that_is_not_run_shows_its_picture_and_links_to_its_page() -> None:
    script = '"""Is it?\n\nExpected: docs/findings/table1.md, with --quick.\n"""\n'
    text = gallery_scripts.titled(script, "table1_quick")
    assert ":doc:`/findings/table1`, with \\--quick." in text
    assert ".. image:: /images/table1_quick.png" in text
    assert all((DOCS / "images" / f"{p}.png").exists() for p in gallery_scripts.PICTURES.values())


def test_every_command_and_every_recipe_has_its_place() -> None:
    from typer.main import get_command

    from neurosparse import recipes
    from neurosparse.cli import app

    page = reference.command_page()
    for name, command in get_command(app).commands.items():
        assert f"\n## {name}\n" in page, name
        for parameter in command.params:
            assert all(option in page for option in parameter.opts if option[0] == "-")
    page = reference.recipe_page()
    assert [n for n in recipes.available() if f"\n### {n}\n" not in page] == []


def test_every_public_name_has_its_place_once() -> None:
    import neurosparse as ns

    names = reference.offered()
    offered = [n for n in ns.__all__ if callable(getattr(ns, n))]
    modules = [n for n in offered if inspect.ismodule(getattr(ns, n))]  # with a part of their own
    functions = {reference.CALLABLE[name] for name in modules}  # packages that are called
    assert set(names["neurosparse"]) == (set(offered) - set(modules)) | functions
    assert "   ~sparsify.steering.sparsify\n" in reference.python_page()
    assert {f"neurosparse.{n}" for n in modules} <= set(names)
    assert "measure" in names["neurosparse"]
    assert "load_spikes" in names["neurosparse.recordings"]
    assert "LIF" not in names["neurosparse.lif"]


def test_pages_of_names_that_are_gone_are_removed(tmp_path: Path) -> None:
    for name in ("a.kept", "a.gone"):
        (tmp_path / f"{name}.rst").touch()
    reference.remove_old(tmp_path, {"a": ["kept"]})
    assert [p.name for p in tmp_path.iterdir()] == ["a.kept.rst"]


def test_every_formula_becomes_mathml() -> None:
    from docutils.utils.math.latex2mathml import tex2mathml

    found = [
        formula
        for page in PAGES
        if "$" in (text := prose(page.read_text(encoding="utf-8")) + GLOSSARY)
        for formula in re.findall(r"(?<![\w$\\`])\$([^$\n`]+)\$(?!\w)", text)
    ]
    assert len(found) >= 15
    for formula in found:
        assert "<math" in str(tex2mathml(formula)), formula


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("sum |a| over *all* units", r"sum \|a\| over *all* units"),
        ("images of (n, *shape)", r"images of (n, \*shape)"),
        ("a * b and `*`, `**options`", "a * b and `*`, `**options`"),
    ],
)
def test_stars_and_bars_of_docstrings_are_no_markup(line: str, right: str) -> None:
    assert reference.plain(line) == right


def test_the_tools_of_the_docs_are_pinned() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[>=<]", n)[0] for n in extras["optional-dependencies"]["docs"]}
    pins = (ROOT / "constraints.txt").read_text().lower().replace("_", "-")
    assert [name for name in wanted if f"\n{name}==" not in pins] == []


def test_the_page_on_installing_explains_each_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (DOCS / "installing.md").read_text(encoding="utf-8")
    table = page[page.index("## Extras") :]
    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == set(
        project["optional-dependencies"]
    )


RUN = [
    page
    for page in sorted([*(DOCS / "howto").glob("*.md"), DOCS / "explanation" / "brain.md"])
    if "```python" in page.read_text(encoding="utf-8")
]


def test_there_are_twenty_short_answers() -> None:
    pages = [page for page in (DOCS / "howto").glob("*.md") if page.stem != "index"]
    assert len(pages) >= 20
    assert [p.name for p in pages if len(p.read_text().splitlines()) > 60] == []


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_the_python_of_an_answer_runs_and_prints_what_it_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small networks; other tests run at once
    namespace: dict[str, object] = {}
    blocks = re.findall(
        r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", page.read_text(), flags=re.DOTALL
    )
    for block, shown in blocks:
        exec(compile(block, page.name, "exec"), namespace)
        printed = capsys.readouterr().out
        assert_alike(printed.rstrip(), shown.rstrip())
        assert printed or list(tmp_path.iterdir())
    torch.set_num_threads(threads)


def test_tests_that_the_table_of_faults_names_are_there() -> None:
    named = set(re.findall(r"\btest_\w+", (DOCS / "faults.md").read_text(encoding="utf-8")))
    there = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(named) > 30
    assert named - there == set()
