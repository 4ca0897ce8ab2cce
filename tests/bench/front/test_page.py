"""The page is made of result rows and records: every figure in it is one of theirs, and it is what is committed."""

import json
import re
from html.parser import HTMLParser

import pytest

from bench.front.page import cards, points
from bench.front.page import html as markup
from bench.front.page.__main__ import DOCS, PAGE, SHARED, main, page, policy
from bench.front.page.examples import CUT, RAN, SKIPPED, UNREACHED, examples
from bench.front.page.sources import Watched, source
from bench.packages import PACKAGES, fingerprint
from bench.rows import ROOT, latest
from data.datasets import load_sample
from hls import golden
from hls.errors import UserError
from hls.package import read
from hls.record import decode
from tests.bench.front.samples import rows_of

BUDGETS = (12_000_000, 45_000_000, None)


@pytest.fixture(scope="module")
def committed():
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shown():
    package = read(PACKAGES / f"{SHARED}.npz")
    return package, *examples(package, BUDGETS)


class Found(HTMLParser):
    """Tags with their attributes, in their order."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


# ------------------------------------------------------------------------------------------------------------- points
def test_points_are_the_rows_in_the_order_of_their_budgets():
    found = points.packages(rows_of())[0]
    assert [point.name for point in found.points] == ["9.0M FLOPs", "12.3M FLOPs", "74.0M FLOPs", "no budget"]
    assert found.chosen == 2 and found.images == 100 and found.name == SHARED
    shown = found.points[1].shown
    assert shown["accuracy"] == "81.25%" and shown["flops"] == "10.2M" and shown["time"] == "0.100 ms"
    assert (
        shown["energy"] == "0.098 mJ" and shown["coefficients"] == "a board: guessed" and shown["layers"] == "1.5 of 7"
    )
    assert shown["flops_share"] == "10% of the full network’s 100.0M"
    assert shown["within"] == "The dearest image spent 99.9% of the budget"  # never rounded up to all of it
    assert found.points[1].exits == (("exit 0", 0.25), ("end", 0.75)) and shown["exits"] == "2 of 2"
    assert found.points[3].shown["within"] == "The dearest image spent 12.3M"


def test_rows_of_another_package_or_run_do_not_count():
    rows = rows_of()
    for name in ("budget@5.0M", "accuracy@5.0M"):
        rows[f"{SHARED}.{name}"] = {**rows[f"{SHARED}.accuracy@none"], "package": "old", "value": 1}
        rows[f"{SHARED}.{name.replace('5', '6')}"] = {**rows[f"{SHARED}.accuracy@none"], "commit": "old", "value": 1}
    assert points.packages(rows)[0].points == points.packages(rows_of())[0].points


@pytest.mark.parametrize("lost", ["energy@12.3M", "exits@none", "full_flops", "accuracy@none"])
def test_a_row_that_is_missing_is_named_with_the_command(lost):
    rows = rows_of()
    del rows[f"{SHARED}.{lost}"]
    what = "budgets" if lost == "accuracy@none" else re.escape(lost)
    with pytest.raises(UserError, match=rf"no rows of {what} of the committed package {SHARED} .*run python -m bench"):
        points.packages(rows)


def test_an_image_over_its_budget_is_no_page():
    rows = rows_of()
    rows[f"{SHARED}.flops_max@12.3M"]["value"] = 12_300_001
    with pytest.raises(UserError, match="12300001 FLOPs under a budget of 12300000"):
        points.packages(rows)


# -------------------------------------------------------------------------------------------------------------- markup
def test_a_table_of_markdown_becomes_one_of_html():
    lines = ["| a | b |", "|---|---|", "| `x` <y> | 1.5 |", "| **z** | |", "", "- *so*", "  it is"]
    text = markup.table(lines, "C &amp; D")
    assert '<th scope="row"><code>x</code> &lt;y&gt;</th><td class="number">1.5</td>' in text
    assert '<th scope="row"><strong>z</strong></th>' in text and text.endswith("<p><em>so</em> it is</p>")
    assert '<th scope="col" class="number">b</th>' in text and 'aria-label="C &amp; D"' in text


def test_sources_are_those_of_the_rows_that_were_looked_at():
    rows = Watched({name: {"command": f"python -m bench {name}", "commit": f"{name}1+"} for name in ("a", "b", "c")})
    assert rows["a"] and rows.get("b") and rows.get("none", 3) == 3
    assert (
        source(rows.seen.values()) == "From <code>python -m bench a</code> at a1; <code>python -m bench b</code> at b1."
    )


def test_the_policy_is_of_the_script_as_it_stands(committed):
    (script,) = re.findall(r"<script>(.*?)</script>", committed, re.DOTALL)
    assert f'content="{policy(script)}"' in committed


# ------------------------------------------------------------------------------------------------------------ examples
@pytest.mark.cosim
def test_examples_are_one_of_each_class_and_spend_more_and_more(shown):
    _, _, found = shown
    assert sorted(one.truth for one in found) == list(range(10))
    spent = [one.runs[-1].flops for one in found]
    assert spent == sorted(spent) and spent[-1] > 3 * spent[0]
    sample = {image.tobytes() for image in load_sample()[0]}
    assert all(one.pixels.tobytes() in sample for one in found)


@pytest.mark.cosim
@pytest.mark.parametrize("number", range(len(BUDGETS)))
def test_what_is_shown_of_an_image_is_what_the_golden_model_does(shown, number):
    package, rows, found = shown
    one = found[len(found) // 2]
    start = package.start(**({} if BUDGETS[number] is None else {"budget_flops": BUDGETS[number]}))
    records = golden.run(package.program, package.weights, package.tables, one.pixels[None], start)
    record, run = decode(records, start), one.runs[number]
    assert (run.label, run.exit, run.flops, run.cycles) == tuple(
        int(getattr(record, name)[0]) for name in ("label", "exit", "flops", "cycles")
    )
    assert sum(cycles for _, _, cycles in run.slices) == run.cycles
    for state, word, kept in zip(run.blocks, record.trace[0], one.channels):
        assert state in ((RAN, CUT) if word >= 0 else (SKIPPED,) if word == -2 else (UNREACHED,))
        assert word < 0 or len(kept) == word
    assert len(cards.whats(package, rows, one, run)) == len(rows) == 2 + len(package.meta["gates"])


@pytest.mark.cosim
def test_a_block_that_the_budget_ended_did_not_run(shown):
    package, rows, found = shown
    ended = [run for one in found for run in one.runs if CUT in run.blocks]
    assert ended and all(run.exit < len(package.exits) - 1 for run in ended)
    for run in ended:
        blocks = [row for row, part, _ in run.slices if part == "network" and rows[row].block is not None]
        index = run.blocks.index(CUT)
        assert set(run.blocks[index + 1 :]) <= {UNREACHED} and max(blocks) <= index + 1


# --------------------------------------------------------------------------------------------------------------- page
@pytest.mark.cosim
def test_the_page_is_what_rows_and_packages_make(committed):
    assert page(latest()) == committed, "run make page"


@pytest.mark.cosim
def test_a_stale_page_is_told_and_made_anew(tmp_path, monkeypatch, capsys):
    from bench.front.page import __main__ as command

    monkeypatch.setattr(command, "PAGE", tmp_path / "index.html")
    monkeypatch.setattr(command, "page", lambda rows: "new")
    assert main(["--check"]) == 1 and "index.html is stale: run make page" in capsys.readouterr().err
    assert main([]) == 0 and (tmp_path / "index.html").read_text() == "new" and main(["--check"]) == 0


def test_links_lead_to_files_and_nothing_is_loaded(committed):
    tags = Found(committed).tags
    places = {attributes["id"] for _, attributes in tags if "id" in attributes}
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert len(links) > 20
    for link in links:
        assert link[1:] in places if link.startswith("#") else (PAGE.parent / link).resolve().exists(), link
    loaded = [attributes.get("src") or attributes.get("href") for tag, attributes in tags if tag != "a"]
    assert all(item.startswith("data:") for item in loaded if item)
    assert set(re.findall(r"url\((.)", committed)) == {"#"}
    assert {f"docs/{name}" for name in DOCS} <= {str(path.relative_to(ROOT)) for path in PAGE.parent.glob("*.md")}


def test_only_pictures_of_the_sample_are_shown(committed):
    pictures = [attributes for tag, attributes in Found(committed).tags if tag == "img"]
    assert len(pictures) == 10 and all("class" in attributes["alt"] for attributes in pictures)
    (data,) = map(json.loads, re.findall(r'id="points">(.*?)</script>', committed, re.DOTALL))
    assert data["shared"] == SHARED and fingerprint(SHARED) in committed and set(data["packages"]) > {SHARED}
