"""The page in a real browser: figures follow the slider, nothing is loaded, and everyone can read it."""

import itertools
import re
from pathlib import Path

import pytest

from bench.front.page.__main__ import PAGE, SHARED
from bench.packages import PACKAGES, fingerprint
from bench.rows import ROOT, latest
from host.board import catalog
from tests.bench.front import browser

pytestmark = pytest.mark.skipif(browser.found() is None, reason="needs a browser: apt-get install chromium")
HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem for path in PACKAGES.glob("*.npz"))
AXE = ROOT / "build" / "axe" / "axe.min.js"
SIDES = {"wide": 1280, "narrow": 400}
HOME, END, LEFT, RIGHT, TAB = ("Home", 36), ("End", 35), ("ArrowLeft", 37), ("ArrowRight", 39), ("Tab", 9)
TEXTS = (HERE / "texts.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page():
    """The page as it is opened; tests leave it at any budget."""
    with browser.Browser() as tab:
        tab.open(PAGE)
        yield tab


@pytest.fixture(scope="module", params=[(width, dark) for width in SIDES for dark in (False, True)],
                ids=lambda pair: f"{pair[0]}-{'dark' if pair[1] else 'light'}")  # fmt: skip
def look(request):
    """The page in a window of each width, in both modes, every table shown."""
    width, dark = request.param
    with browser.Browser(width=SIDES[width], dark=dark) as tab:
        tab.open(PAGE)
        tab.evaluate("document.querySelectorAll('.explorer').forEach((one) => one.hidden = false)")
        tab.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
        yield tab


def budgets(name):
    """(name in rows, FLOPs) of a package's budgets in their order, the one without at the end."""
    rows = {key: row for key, row in latest().items() if row["package"] == fingerprint(name)}
    last = rows[f"{name}.accuracy@none"]["commit"]
    found = [(key.partition("@")[2], row["value"]) for key, row in rows.items()
             if key.startswith(f"{name}.budget@") and row["commit"] == last]  # fmt: skip
    return [*sorted(found, key=lambda pair: pair[1]), ("none", None)]


# -------------------------------------------------------------------------------------------------------- the slider
@pytest.mark.parametrize("name", NAMES)
def test_the_slider_shows_the_figures_of_the_rows(page, name):
    rows, points, clock = latest(), budgets(name), catalog.read().clock_hz
    page.evaluate(f"document.querySelector('[name=package][value=\"{name}\"]').click()")
    page.evaluate(f"document.getElementById('slider-{name}').focus()")
    page.press(*HOME)
    for number, (at, flops) in enumerate(points):
        value = {what: rows[f"{name}.{what}@{at}"]["value"]
                 for what in ("accuracy", "flops", "flops_max", "cycles", "energy", "layers")}  # fmt: skip
        text = shown(page, name)
        assert text["budget"] == ("no budget" if flops is None else f"{at} FLOPs an image"), number
        assert text["accuracy"] == f"{100 * value['accuracy']:.2f}%"
        assert text["flops"] == f"{value['flops'] / 1e6:.1f}M"
        assert text["flops_share"].startswith(f"{100 * value['flops'] / rows[f'{name}.full_flops']['value']:.0f}% of ")
        assert (
            text["time"] == f"{1e3 * value['cycles'] / clock:.3f} ms"
            and f"{value['cycles']:,.0f} cycles" in text["clock"]
        )
        assert text["energy"] == f"{value['energy']:.3f} mJ"
        assert text["layers"] == f"{value['layers']:.1f} of {rows[f'{name}.gated_blocks']['value']}"
        exits = rows[f"{name}.exits@{at}"]["detail"]
        assert text["exits"] == [percent(count / sum(exits.values())) for count in exits.values()]
        assert text["now"] == [str(number)] * 3  # the dots of both charts
        if number:
            assert all(text[what] in text["said"] for what in ("accuracy", "energy", "time"))
            assert text["said"].startswith(text["budget"]) and text["valuetext"] == text["budget"]
        page.press(*RIGHT)
    assert shown(page, name)["budget"] == "no budget"  # there is nothing behind it
    assert not page.messages


def percent(share):
    return "0" if not share else "< 0.1%" if share < 0.001 else f"{100 * share:.1f}%"


def shown(page, name):
    """What a reader sees of a package, and hears."""
    return page.evaluate(f"""(() => {{
        const root = document.querySelector('.explorer[data-package="{name}"]');
        const texts = [...root.querySelectorAll("[data-shown]")].map((one) => [one.dataset.shown, one.innerText]);
        return {{
            ...Object.fromEntries(texts),
            exits: [...root.querySelectorAll(".share")].map((one) => one.innerText),
            now: [...root.querySelectorAll("[data-now]")].map((one) => one.dataset.i),
            said: root.querySelector("[role=status]").textContent,
            valuetext: root.querySelector("input[type=range]").getAttribute("aria-valuetext"),
        }};
    }})()""")


def test_images_and_timeline_follow_both_sliders(page):
    page.evaluate(f"document.querySelector('[name=package][value=\"{SHARED}\"]').click()")
    seen = []
    for which, key in (("slider", HOME), ("again", END)):
        page.evaluate(f"document.getElementById('{which}-{SHARED}').focus()")
        page.press(*key)
        seen.append(
            page.evaluate("""({
            values: [...document.querySelectorAll("[data-of=fashion-mnist]")].map((one) => one.value),
            budget: [...document.querySelectorAll("[data-shared=budget]")].map((one) => one.innerText),
            cards: [...document.querySelectorAll(".cards > li")].map((one) => ({
                text: one.innerText,
                ran: one.querySelectorAll(".strip .ran").length,
                taken: one.querySelectorAll(".strip .taken").length,
            })),
            cycles: [...document.querySelectorAll("#timeline .cycles")].map((one) => one.innerText),
            all: document.querySelector("#timeline .all").innerText,
        })""")
        )
    last = len(budgets(SHARED)) - 1
    assert [one["values"] for one in seen] == [["0", "0"], [str(last)] * 2]
    assert all(len(set(one["budget"])) == 1 for one in seen) and seen[1]["budget"][0] == "no budget"
    for one in seen:
        assert sum(int(text.replace(",", "")) for text in one["cycles"]) == int(one["all"].replace(",", ""))
        assert len(one["cards"]) == 10
        for card in one["cards"]:
            assert card["taken"] == 1 and re.findall(r"(\d+) of \d+ blocks", card["text"]) == [str(card["ran"])]
    costs = [[float(*re.findall(r"([\d.]+)M FLOPs", card["text"])) for card in one["cards"]] for one in seen]
    smallest = budgets(SHARED)[0][1] / 1e6
    assert max(costs[0]) <= smallest + 0.05 and costs[1] == sorted(costs[1]) and all(map(lambda a, b: a <= b, *costs))


def test_the_timeline_shows_the_image_that_is_picked(page):
    totals = page.evaluate("""[...document.getElementById("pick").options].map((option, number) => {
        const pick = document.getElementById("pick");
        pick.selectedIndex = number;
        pick.dispatchEvent(new Event("change"));
        return document.querySelector("#timeline .all").innerText;
    })""")
    assert len(set(totals)) == len(totals) == 10


# ------------------------------------------------------------------------------------------------- nothing is loaded
def test_no_request_leaves(page):
    assert {url.partition(":")[0] for url in page.requests} <= {"file", "data"}
    assert [url for url in page.requests if url.startswith("file:")] == [PAGE.as_uri()]
    tried = page.evaluate("""fetch("https://example.org/").then(() => "went out", (error) => error.message)""")
    assert "fetch" in tried.lower() and "https://example.org/" not in page.requests
    page.messages.clear()  # of the refusal


# ---------------------------------------------------------------------------------------------------------- to be read
def test_nothing_sticks_out(look):
    wide = look.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    cut = look.evaluate("""[...document.querySelectorAll("h1,h2,h3,h4,p,dt,dd,label,output,summary,select,figure,svg")]
        .filter((one) => one.offsetParent && !one.closest(".scroll,.silent"))
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5)
        .map((one) => one.outerHTML.slice(0, 80))""")
    assert not cut


def test_every_text_has_contrast(look):
    """WCAG 2.1, 1.4.3: 4.5 to 1, and 3 to 1 for large text."""
    texts = look.evaluate(TEXTS)
    assert len(texts) > 300
    assert not [text for text in texts if text["ratio"] < (3 if text["large"] else 4.5)]


def test_contrast_is_computed_from_what_is_there(page):
    """The check above can fail: black on white has 21 to 1, and a grey one too little."""
    page.evaluate("document.querySelector('h1').style.color = '#c8c8c8'")
    worst = min(page.evaluate(TEXTS), key=lambda text: text["ratio"])
    page.evaluate("document.querySelector('h1').style.color = ''")
    assert worst["text"].startswith("Budget in") and 1.4 < worst["ratio"] < 1.8


def test_dark_mode_is_dark_and_motion_can_be_reduced():
    with browser.Browser(dark=True, reduced_motion=True) as tab:
        tab.open(PAGE)
        colour = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(map(int, re.findall(r"\d+", colour))) < 50
        moving = tab.evaluate("""[...document.querySelectorAll("*")].filter((one) => ["", "::after"].some((part) =>
            parseFloat(getComputedStyle(one, part || null).transitionDuration) > 0)).length""")
        assert moving == 0 and tab.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


# ------------------------------------------------------------------------------------------------ keyboard and reader
def test_a_screen_reader_finds_names_and_order(page):
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    seen = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    named = ("image", "slider", "radio", "link", "button", "combobox", "region", "heading", "DisclosureTriangle")
    assert not [pair for pair in seen if pair[0] in named and not pair[1].strip()]
    roles = {role for role, _ in seen}
    assert {"main", "navigation", "banner", "contentinfo", "slider", "status", "table", "image"} <= roles
    headings = [int(level["value"]["value"]) for node in nodes if node.get("role", {}).get("value") == "heading"
                for level in node["properties"] if level["name"] == "level"]  # fmt: skip
    assert headings.count(1) == 1 and headings[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))
    assert page.evaluate("document.documentElement.lang") == "en" and page.evaluate("document.title")


def test_tab_goes_through_the_page_in_its_order_and_is_seen():
    with browser.Browser() as tab:
        tab.open(PAGE)
        ways = []
        for _ in range(40):
            tab.press(*TAB)
            ways.append(
                tab.evaluate("""(() => {
                const at = document.activeElement, style = getComputedStyle(at);
                const all = [...document.querySelectorAll("*")];
                const name = at.id || at.getAttribute("href") || at.tagName;
                return [name, all.indexOf(at), parseFloat(style.outlineWidth)];
            })()""")
            )
            if ways[-1][0] == "pick":
                break
        names, places, outlines = zip(*ways)
        assert names[0] == "#main" and list(places) == sorted(places) and len(set(places)) == len(places)
        wanted = [f"slider-{SHARED}", "SUMMARY", f"again-{SHARED}", "pick"]
        assert [name for name in names if name in wanted] == wanted
        assert min(outlines) >= 2, "where the focus is can be seen"


@pytest.mark.skipif(not AXE.is_file(), reason="needs build/axe/axe.min.js of npm's axe-core: .ci/run fetches it")
@pytest.mark.parametrize("look", [("wide", False), ("narrow", True)], indirect=True, ids=["wide-light", "narrow-dark"])
def test_axe_finds_nothing(look):
    look.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    found = look.evaluate(
        "axe.run().then((all) => all.violations.map((one) => "
        "[one.id, one.nodes.map((node) => node.html.slice(0, 90))]))"
    )
    assert not found


# ---------------------------------------------------------------------------------------------------- without scripts
def test_without_scripts_the_figures_of_one_budget_and_all_tables_are_there():
    with browser.Browser(width=400, scripts=False) as tab:
        tab.open(PAGE)
        for name in NAMES:
            points, text = budgets(name), shown_still(tab, name)
            assert text["sliders"] == 0 and "the table below has all budgets" in text["all"]
            assert text["rows"] == len(points)
            rows = latest()
            for (at, _), line in zip(points, text["lines"]):
                assert f"{rows[f'{name}.accuracy@{at}']['value']:.2%}" in line, at
        assert tab.evaluate("document.querySelectorAll('.cards > li').length") == 10
        assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def shown_still(tab, name):
    return tab.evaluate(f"""(() => {{
        const root = document.querySelector('.explorer[data-package="{name}"]');
        const lines = [...root.querySelectorAll("details tbody tr")].filter((one) => one.checkVisibility());
        return {{
            all: root.innerText, rows: lines.length, lines: lines.map((one) => one.innerText),
            sliders: [...document.querySelectorAll("input, select")].filter((one) => one.checkVisibility()).length,
        }};
    }})()""")
