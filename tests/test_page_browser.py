"""The page in a real Chromium: it asks for nothing, and what moves shows the numbers of
comparison.json.
"""

import io
import json
import os
import re
import shutil
from contextlib import contextmanager

import matplotlib.image
import numpy as np
import pytest

import neurosparse as ns
from neurosparse import plots, report
from neurosparse.comparison import percent
from neurosparse.report import answer
from neurosparse.sparsity import observe

BROWSERS = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")
HOSTILE = "<script>alert('x')</script><b>%{x}</b>"
MAIN = "figure[data-key=active_fraction_over_window]"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        if os.environ.get("NEUROSPARSE_REQUIRE_BROWSER") == "1":
            pytest.fail(
                f"none of {', '.join(BROWSERS)} is installed, and NEUROSPARSE_REQUIRE_BROWSER=1"
                " asks for one"
            )
        pytest.skip(f"needs a browser: one of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def comparison_and_panels():
    rng = np.random.default_rng(0)

    def circuit(rate_hz, dt_ms, seconds):
        n_ticks = int(seconds * 1e3 / dt_ms)
        n = int(rate_hz * seconds * 500)
        ticks, units = rng.integers(0, n_ticks, n), rng.integers(0, 500, n)
        populations = {HOSTILE: (0, 400), "I": (400, 500)}
        return ns.SpikeTrains(
            ticks * dt_ms,
            units,
            n_units=500,
            duration_ms=seconds * 1e3,
            dt_ms=dt_ms,
            populations=populations,
        )

    spikes = circuit(4.0, 0.1, 2.0)
    when = ns.ActiveWhen(window_ms=10)
    comparison = ns.compare(
        ns.measure(spikes, active_when=when, name="circuit"),
        ns.measure(circuit(9.0, 1.0, 5.0), active_when=when, name=HOSTILE),
        *(
            ns.measure(
                observe(
                    np.maximum(rng.normal(mean, 1, (100, 200)), 0),
                    ns.ActiveWhen(threshold=0),
                    f"net {HOSTILE} {k}",
                )
            )
            for k, mean in enumerate((-1.5, 0.0))
        ),
        provenance={"seed": 1},
    )
    table = [
        {
            "layer": "layer 10",
            "active (%)": 4.5,
            "units": 1200,
            "note": None,
            "silent": "12 of 1,200",
        },
        {"layer": "layer 2", "active (%)": 12.0, "units": 30, "note": "b", "silent": "15 of 30"},
        {"layer": HOSTILE, "active (%)": None, "units": 400, "note": "a", "silent": "9 of 10"},
    ]
    panels = [
        report.Panel(
            "raster", "Spikes", "A caption.", lambda ax: plots.raster(spikes, ax), spikes=spikes
        ),
        report.Panel("units", "Units", "Two.", _two_axes, n_axes=2, table=table),
    ]
    return comparison, panels


def _two_axes(left, right):
    plots.activation_functions(left)
    right.bar([0, 1], [2, 3], yerr=[0.1, 0.2], label=HOSTILE)
    right.set_xticks([0, 1], [HOSTILE, "b"])


@pytest.fixture(scope="module")
def folder(comparison_and_panels, tmp_path_factory):
    directory = tmp_path_factory.mktemp("page")
    comparison, panels = comparison_and_panels
    report.write(comparison, directory, panels)
    return directory


@contextmanager
def watched(browser, folder):
    """Opens pages; at the end nothing may have been complained about or asked for."""
    contexts, complaints, requests = [], [], []

    def open_page(width=800, address="", **options):
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((folder / report.PAGE).as_uri() + address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url.split(":")[0] for url in requests} == {"file"}
    assert len(requests) == len(contexts)


@pytest.fixture
def opened(browser, folder):
    with watched(browser, folder) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def charts(browser, folder):
    """One page with every chart drawn; Plotly takes longer to load than all the tests that look at
    it.
    """
    with watched(browser, folder) as open_page:
        page = open_page(color_scheme="light")
        page.wait_for_function("() => performance.getEntriesByName('charts').length")
        open_all(page)
        for figure in page.locator("figure").all():
            figure.scroll_into_view_if_needed()
        page.wait_for_function("""() => {
              const charts = Object.values(JSON.parse(document.getElementById("data").textContent).charts).flat();
              return document.querySelectorAll(".plot:has(.main-svg)").length === charts.length;
            }""")
        yield page


def values(page, kind, k):
    """The exact numbers behind a row's active fraction and equivalent window; None where there is
    none.
    """
    found = page.eval_on_selector_all(
        f"[data-{kind}='{k}'] data", "all => all.map(data => data.value)"
    )
    return [float(value) if value else None for value in found]


def open_all(page):
    """Unfold what is folded."""
    page.evaluate(
        "document.querySelectorAll('details:not(.data)').forEach(d => { d.open = true; })"
    )


def test_the_window_moves_the_numbers_to_those_of_the_comparison(opened, folder):
    page = opened()
    numbers = json.loads((folder / "comparison.json").read_text())
    curves = list(numbers["curves"].values())
    points = [
        (k, w, f)
        for k, c in enumerate(curves)
        for w, f in zip(c["window_ms"], c["active_fraction"], strict=True)
    ]
    for k, window, fraction in points[::7]:
        page.fill("#window-ms", f"{window:.9g}")
        assert values(page, "circuit", k)[0] == pytest.approx(fraction, rel=1e-12)
        assert page.locator(f"[data-circuit='{k}'] data").first.text_content() == percent(fraction)
    for beside, circuit in enumerate(numbers["curves"]):
        page.select_option("#beside", str(beside))
        for k, of in enumerate(numbers["equivalent_window_ms"].values()):
            assert values(page, "network", k)[1] == of[circuit]
        assert page.locator("#beside-name").text_content() == circuit


def test_between_the_points_the_window_is_as_exact_as_the_page_shows(opened, comparison_and_panels):
    page = opened()
    first, second = comparison_and_panels[0].circuits
    page.fill("#window-ms", "23.456")
    fraction, equivalent = values(page, "circuit", 1)
    assert fraction == pytest.approx(second.curve([23.456])[0], rel=1e-4)
    assert equivalent == pytest.approx(first.curve.window_ms(fraction), rel=1e-3)
    page.fill("#window-ms", "3000")  # the first circuit was recorded for two seconds
    assert page.locator("[data-circuit='0'] td").first.text_content() == "longer than its record"
    assert values(page, "circuit", 0) == [None, None]
    page.fill("#window-ms", "0.5")  # the second in steps of a millisecond
    said = page.locator("[data-circuit='1'] td").first.text_content()
    assert said == "shorter than its step of 1 ms"


@pytest.mark.parametrize(
    ("typed", "shown", "said"),
    [
        ("50000", "5000", "The longest window is 5,000 ms"),
        ("0.001", "0.1", "The shortest window is 0.1 ms"),
        ("-3", "10", "A window is a number of ms above 0."),
        ("20", "20", ""),
    ],
)
def test_what_the_box_cannot_show_is_said(opened, typed, shown, said):
    page = opened()
    page.fill("#window-ms", typed)
    assert page.locator("#window-note").text_content().startswith(said)
    page.locator("#window-ms").press("Tab")
    assert page.input_value("#window-ms") == shown


def test_the_windows_of_the_brains_figure_stand_beside_each_circuit(opened, comparison_and_panels):
    page = opened()
    comparison = comparison_and_panels[0]
    for k, circuit in enumerate(comparison.circuits):
        cell = page.locator(f"[data-circuit='{k}'] td").nth(1).text_content()
        assert cell == answer.band_windows(comparison, circuit)
    assert "within" not in page.locator("#answer, #window").first.inner_text()


def test_the_marks_on_the_figure_follow_the_window(charts):
    page = charts
    page.fill("#window-ms", "100")
    plot = f"{MAIN} .plot"
    page.wait_for_function(
        f"() => document.querySelector('{plot}').layout.shapes.at(-1).x0 === 100"
    )
    marks = "plot => [plot.data.at(-1).x, plot.data.at(-1).y]"
    shares = [100 * values(page, "circuit", k)[0] for k in (0, 1)]
    assert page.eval_on_selector(plot, marks) == [[100, 100], shares]
    hide = page.locator(f"{MAIN} .legend button").first
    hide.click()  # a circuit that is hidden takes its point along
    assert page.eval_on_selector(plot, marks) == [[100, 100], [None, shares[1]]]
    hide.click()


def test_the_line_on_the_figure_can_be_dragged_and_moved_by_keyboard(charts):
    page = charts
    page.fill("#window-ms", "10")
    handle = page.locator(f"{MAIN} .handle")
    page.wait_for_function(f"() => document.querySelector('{MAIN} .handle').ariaValueNow === '10'")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    at = box["x"] + box["width"] / 2
    page.mouse.move(at, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(at + 60, box["y"] + 60, steps=4)
    page.mouse.up()
    dragged = float(page.input_value("#window-ms"))
    expected = page.eval_on_selector(
        f"{MAIN} .plot",
        """plot => {
            const { w } = plot._fullLayout._size, [from, to] = plot._fullLayout.xaxis.range;
            return 10 ** (1 + (60 / w) * (to - from));
        }""",
    )
    assert dragged == pytest.approx(expected, rel=0.02)
    page.keyboard.press("ArrowLeft")
    assert float(page.input_value("#window-ms")) < dragged


def test_the_slider_stands_under_the_axis(charts):
    page = charts
    page.fill("#window-ms", "10")
    page.wait_for_function(f"() => document.querySelector('{MAIN} .handle').ariaValueNow === '10'")
    line = page.locator(f"{MAIN} .handle").bounding_box()
    slider = page.locator("#slider").bounding_box()
    low, high, value = page.eval_on_selector("#slider", "s => [s.min, s.max, s.value].map(Number)")
    thumb = slider["x"] + 8 + (slider["width"] - 16) * (value - low) / (high - low)
    assert value == pytest.approx(1.0)
    assert thumb == pytest.approx(line["x"] + line["width"] / 2, abs=1.5)


def test_the_spikes_in_the_window_are_counted(opened, comparison_and_panels):
    page = opened()
    page.fill("#window-ms", "300")  # the whole strip
    page.wait_for_function(
        "() => document.querySelector('#strip [role=status]').textContent.includes('300 ms')"
    )
    said = page.locator("#strip [role=status]").text_content()
    spikes = comparison_and_panels[1][0].spikes
    rows = np.round(np.arange(100) * 5.0).astype(int)  # every fifth of 500 is shown
    firing = np.unique(spikes.units[spikes.times_ms < 300])
    assert f"{np.isin(rows, firing).sum()} of 100 neurons fire" in said
    assert percent(comparison_and_panels[0].circuits[0].curve([300.0])[0]) in said


def test_the_address_keeps_window_and_selection(opened):
    page = opened()
    page.wait_for_function("() => performance.getEntriesByName('charts').length")
    page.fill("#window-ms", "42")
    page.select_option("#beside", "1")
    page.locator(f"{MAIN} .legend button").nth(1).click()
    page.wait_for_function("() => location.hash.includes('hide')")
    address = page.evaluate("location.hash")
    again = opened(address=address)
    assert again.input_value("#window-ms") == "42"
    assert again.input_value("#beside") == "1"
    hidden = again.locator(f"{MAIN} .legend button").nth(1)
    assert hidden.get_attribute("aria-pressed") == "false"


def test_figures_tables_and_numbers_can_be_taken_away(charts, folder):
    page = charts

    def taken(button):
        with page.expect_download() as download:
            button.click()
        return download.value.suggested_filename, download.value.path().read_bytes()

    figure = page.locator(MAIN)
    key = "active_fraction_over_window"
    name, svg = taken(figure.get_by_role("button", name="SVG of"))
    assert (name, svg) == (f"{key}.svg", (folder / f"figures/{key}.svg").read_bytes())
    page.emulate_media(color_scheme="dark")
    name, png = taken(figure.get_by_role("button", name="PNG of"))
    page.emulate_media(color_scheme="light")
    assert (name, png[:4]) == (f"{key}.png", b"\x89PNG")
    pixels = matplotlib.image.imread(io.BytesIO(png))
    assert pixels[..., :3].mean() > 0.7  # light, whatever the theme
    table = page.locator("#units .scroll + .tools button")
    name, csv = taken(table)
    assert name == "Units.csv"
    assert csv.decode().splitlines()[0] == '"layer","active (%)","units","note","silent"'
    name, numbers = taken(page.locator("a[download='numbers.parquet']"))
    assert numbers[:4] == b"PAR1"


def test_nothing_that_axe_looks_for_is_wrong(charts):
    from axe_playwright_python.sync_playwright import Axe

    page = charts
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(300)
        found = Axe().run(page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
    page.emulate_media(color_scheme="light")


def test_on_a_phone_nothing_jumps_while_the_page_loads(opened):
    page = opened(390)
    page.wait_for_function("() => performance.getEntriesByName('charts').length")
    shift = page.evaluate(
        """() => new Promise((done) => {
            let sum = 0;
            new PerformanceObserver((list) => list.getEntries().forEach((e) => { sum += e.value; }))
                .observe({ type: "layout-shift", buffered: true });
            setTimeout(() => done(sum), 300);
        })"""
    )
    assert shift < 0.05


def test_a_definition_is_shown_on_focus(opened):
    page = opened()
    term = page.locator(".term").first
    tip = page.locator("#term-active")
    assert not tip.is_visible()
    term.focus()
    assert tip.is_visible()
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_the_window_moves_by_keyboard(opened):
    page = opened()
    before = float(page.input_value("#window-ms"))
    page.focus("#slider")
    page.keyboard.press("ArrowRight")
    after = float(page.input_value("#window-ms"))
    assert after > before
    assert page.get_attribute("#slider", "aria-valuetext") == f"{after:.3g} ms"


def test_tables_sort_numbers_as_numbers(charts):
    page = charts  # they are in place: what still moves can be missed by a click
    column = "#units table.sortable tbody tr"

    def order(head):
        page.click(f"#units table.sortable thead th:has-text('{head}') button")
        return [page.locator(column).nth(k).locator("th").text_content() for k in range(3)]

    assert order("units") == ["layer 2", HOSTILE, "layer 10"]
    assert order("units") == ["layer 10", HOSTILE, "layer 2"]
    assert order("active") == ["layer 10", "layer 2", HOSTILE]  # nothing comes last
    assert order("active") == ["layer 2", "layer 10", HOSTILE]
    assert order("layer") == [HOSTILE, "layer 2", "layer 10"]
    assert order("silent") == ["layer 10", "layer 2", HOSTILE]  # 1, 50 and 90 %
    assert page.locator("#units th[aria-sort]").count() == 1


def test_tables_sort_by_keyboard(opened):
    page = opened()
    open_all(page)
    head = page.locator("#units table.sortable thead th", has_text="units")
    head.locator("button").focus()
    for key, order in (("Enter", "ascending"), (" ", "descending")):
        page.keyboard.press(key)
        assert head.get_attribute("aria-sort") == order
        assert head.locator("button").evaluate("button => button === document.activeElement")


def test_names_stay_text_wherever_they_are_shown(charts):
    page = charts
    assert page.locator("script").count() == 5  # ours, and Plotly
    assert (
        page.locator("figcaption b, .legend b, main script, table b, h1 b, .overview b").count()
        == 0
    )
    legend = page.locator("figure[data-key=units] .legend").nth(1)
    assert legend.locator("button", has_text=HOSTILE).count() == 1
    ticks = page.locator("figure[data-key=units] .xtick text").all_text_contents()
    assert HOSTILE in ticks
    page.locator(f"{MAIN} details.data summary").click()
    # the table is made once it is opened
    page.locator(f"{MAIN} details.data th", has_text=HOSTILE).first.wait_for()
    names = page.locator(f"{MAIN} details.data tbody th").all_text_contents()
    assert [name for name in names if name.startswith("net")] == [
        f"net {HOSTILE} 0",  # a network is a row, by its plain name
        f"net {HOSTILE} 1",
    ]
    assert set(names) == {"circuit", HOSTILE, f"net {HOSTILE} 0", f"net {HOSTILE} 1"}


def test_hovering_shows_names_and_values(charts):
    page = charts
    plot = page.locator("figure[data-key=units] .plot").nth(1)
    plot.scroll_into_view_if_needed()
    box = plot.locator(".bars .point path").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 8)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 4)
    hover = plot.locator(".hoverlayer .hovertext")
    hover.wait_for()
    assert HOSTILE in hover.text_content()
    assert hover.text_content().endswith(": 2")


def test_no_button_sends_a_chart_anywhere(charts):
    titles = charts.eval_on_selector_all(
        ".modebar-btn", "all => all.map(button => button.dataset.title)"
    )
    assert "Download plot as a PNG" in titles
    assert not [
        title for title in titles if re.search("share|cloud|edit|send", title, re.IGNORECASE)
    ]


def test_legends_toggle_traces_and_bands(charts):
    page = charts
    traces = page.locator(f"{MAIN} .plot .scatterlayer .trace")
    n = traces.count()
    page.locator(f"{MAIN} .legend button").first.click()
    assert traces.count() == n - 1
    assert page.locator(f"{MAIN} .legend button").first.get_attribute("aria-pressed") == "false"
    page.locator(f"{MAIN} .legend button").last.click()
    assert page.eval_on_selector(f"{MAIN} .plot", "plot => plot.layout.shapes[0].visible") is False


def colours_of(page):
    """How many pixels of the raster have each colour."""
    return page.eval_on_selector(
        "figure[data-key=raster] canvas",
        """canvas => {
            const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
            copy.drawImage(canvas, 0, 0);
            const image = copy.getImageData(0, 0, canvas.width, canvas.height);
            const counts = {};
            for (const pixel of new Uint32Array(image.data.buffer)) counts[pixel] = (counts[pixel] ?? 0) + 1;
            return counts;
        }""",
    )


# Little-endian: alpha, blue, green, red. The first population has the name of a circuit, hence its
# colour.
VERMILION, ROSE = str(0xFF005ED5), str(0xFF7766CC)


def test_the_raster_zooms_moves_hides_and_can_be_read(opened):
    page = opened()
    open_all(page)
    canvas = page.locator("figure[data-key=raster] canvas")
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(100)
    whole = colours_of(page)
    assert whole[VERMILION] > whole[ROSE] > 100
    canvas.focus()
    for _ in range(4):
        page.keyboard.press("+")
    page.wait_for_timeout(100)
    part = colours_of(page)
    # a sixteenth of the stretch, in which dots have grown
    assert 3 * whole[VERMILION] / 16 < part[VERMILION] < whole[VERMILION]
    page.get_by_role("button", name="All", exact=True).click()
    page.locator("figure[data-key=raster] .legend button").first.click()
    page.wait_for_timeout(100)
    hidden = colours_of(page)
    assert VERMILION not in hidden
    assert hidden[ROSE] > whole[ROSE]  # it has the whole height
    box = canvas.bounding_box()
    for step in range(200):
        page.mouse.move(box["x"] + 50 + step, box["y"] + 60)
        if page.locator(".spike").text_content():
            break
    assert page.locator(".spike").text_content().split(": ")[1].startswith("I, unit ")


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_is_wider_than_the_screen(charts, width):
    page = charts
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_function("width => document.documentElement.scrollWidth === width", arg=width)
    if width == 1400:  # no column is hidden where there is room beside the text
        cut = "all => all.filter(s => s.scrollWidth > s.clientWidth).map(s => s.ariaLabel)"
        assert page.eval_on_selector_all(".scroll.wide", cut) == []


def test_at_night_the_page_is_dark_and_charts_follow(charts):
    page = charts
    page.emulate_media(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(22, 24, 28)"
    colour = f"document.querySelector('{MAIN} .plot').layout.font.color"
    page.wait_for_function(f"() => {colour} === '#e8e8e8'")
    page.emulate_media(color_scheme="light")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    page.wait_for_function(f"() => {colour} === '#1a1a1a'")


def test_without_scripts_and_in_print_the_figures_are_images(opened, charts):
    plain = opened(java_script_enabled=False)
    plain.locator("#inside summary").first.click()
    assert plain.locator("img.paper:visible").count() == 3
    assert charts.locator("img.paper:visible").count() == 0
    charts.emulate_media(media="print", color_scheme="dark")
    assert charts.locator("img.paper:visible").count() == 3
    assert charts.locator(".screen:visible").count() == 0
    assert (
        charts.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    )
    charts.emulate_media(media="screen", color_scheme="light")


def test_everything_that_can_be_used_has_a_name(charts):
    page = charts
    unnamed = page.eval_on_selector_all(
        "input, select, button, canvas, [role=img], [role=region]",
        """all => all.filter(e => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.[0]?.textContent.trim()))
            .map(e => e.outerHTML)""",
    )
    assert unnamed == []


def test_tab_reaches_all_that_can_be_used_in_the_order_of_the_page_and_shows_where_it_is(charts):
    page = charts
    usable = "input, select, button, canvas[tabindex], summary, a[href], [tabindex='0']"
    where = """usable => {
        const all = [...document.querySelectorAll(usable)].filter((e) => e.checkVisibility());
        return [all.indexOf(document.activeElement), all.length, getComputedStyle(document.activeElement).outlineStyle];
    }"""
    page.locator(".bar a").first.focus()
    first, n, _ = page.evaluate(where, usable)
    for expected in range(first + 1, n):
        page.keyboard.press("Tab")
        assert page.evaluate(where, usable) == [expected, n, "solid"]
