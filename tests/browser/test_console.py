"""The console in a real browser: what an operator and a tenant come for."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.attacks.tenants import ALICE
from tests.browser.console import NARROW, Entry, entered, faults, shown
from tests.browser.site import AGENT, BLOG, BROKEN, MARKUP, OTHERS, QUIET, SHOP, Site
from tests.eventually import PATIENCE_SECONDS

expect.set_options(timeout=PATIENCE_SECONDS * 1000)
PAGES = ("", "vassals", f"vassals/{SHOP}", f"vassals/{BROKEN}", f"vassals/{SHOP}/restart", "fleet",
         "vassals?q=nothing", "vassals/nosuch.example")  # fmt: skip


class Desk:
    """A page of a browser that is in the console at `address`. It notes what the browser refuses
    (a script or a style in a page) and errors of the page's own script."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)

    def _note(self, message: object) -> None:
        text = getattr(message, "text", "")
        if "Content Security Policy" in text or "Content-Security-Policy" in text:
            self.complaints.append(text)

    def go(self, path: str = "") -> Page:
        """Open a page of the console."""
        self.page.goto(self.address + path)
        return self.page

    def status_of(self, path: str) -> int:
        """The HTTP status of a page."""
        return self.page.context.request.get(self.address + path).status


@contextmanager
def at_a_desk(browser: Browser, entry: Entry, **options: Any) -> Iterator[Desk]:
    context = browser.new_context(storage_state=entry.state, **options)
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    yield Desk(context.new_page(), entry.address)
    context.close()


@pytest.fixture
def desk(browser: Browser, entry: Entry) -> Iterator[Desk]:
    with at_a_desk(browser, entry) as desk:
        yield desk
        assert desk.complaints == []


@pytest.fixture
def lab(browser: Browser, entry: Entry) -> Iterator[Desk]:
    """A desk on which axe-core can look at pages."""
    with at_a_desk(browser, entry, bypass_csp=True) as desk:
        yield desk


def test_the_overview_leads_to_the_cause_of_a_failure(desk: Desk) -> None:
    page = desk.go()
    troubles = page.locator("#troubles")
    expect(troubles).to_contain_text("a_module_that_nobody_installed")
    troubles.get_by_role("link", name=BROKEN).click()
    expect(page).to_have_url(re.compile(f"/console/vassals/{BROKEN}$"))
    wrong = page.get_by_role("group", name="What is wrong")
    expect(wrong).to_contain_text("a_module_that_nobody_installed")
    expect(page.locator("#log-lines")).to_contain_text("ModuleNotFoundError")


def test_vassals_are_searched_filtered_and_sorted(desk: Desk) -> None:
    page = desk.go()
    page.get_by_role("searchbox", name="Find a vassal").fill("sho")
    page.keyboard.press("Enter")
    rows = page.locator("table.vassals tbody tr")
    expect(rows).to_have_count(1)
    page.get_by_label("Search", exact=True).fill("a_module_that_nobody")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("link", name=BROKEN)).to_be_visible()
    page.get_by_label("Search", exact=True).fill("")
    page.get_by_label("State", exact=True).select_option("failed")
    page.get_by_role("button", name="Show").click()
    expect(rows).to_have_count(2)
    assert "state=failed" in page.url, "a view has an address"
    page.goto(page.url)
    expect(rows).to_have_count(2)
    page.get_by_label("State", exact=True).select_option("")
    page.get_by_label("Tenant").select_option(label=ALICE)
    page.get_by_role("button", name="Show").click()
    expect(rows).to_have_count(2)
    page.get_by_role("link", name=SHOP).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(SHOP)


def test_a_filter_that_works_at_once_has_a_way_back(desk: Desk) -> None:
    page = desk.go("vassals")
    rows, every = page.locator("table.vassals tbody tr"), page.get_by_role("link", name="All")
    before = rows.count()
    expect(every).to_have_count(0)
    page.get_by_label("State", exact=True).select_option("failed")
    expect(rows).to_have_count(2)
    every.click()
    expect(rows).to_have_count(before)
    expect(page.get_by_label("State", exact=True)).to_have_value("")


def order_of(page: Page) -> list[str]:
    """The domains of the list, from above."""
    return page.locator("table.vassals tbody th").all_inner_texts()


def test_rows_keep_their_places_until_one_sorts_again(site: Site, desk: Desk) -> None:
    site.put_to_sleep(QUIET)
    page = desk.go("vassals?sort=state")
    expect(page.locator("body[data-live=yes]")).to_have_count(1)
    moved, before = page.get_by_role("button", name="sort again"), order_of(page)
    expect(moved).to_have_count(0)
    assert site.visit(QUIET) == 200
    row = page.locator("tbody tr", has=page.get_by_role("link", name=QUIET))
    expect(row).to_contain_text("running")
    assert order_of(page) == before
    expect(moved).to_be_visible()
    moved.press("Enter")
    expect(moved).to_have_count(0)
    assert order_of(page).index(QUIET) < before.index(QUIET)
    assert page.evaluate("document.activeElement.closest('#list') !== null")


def test_a_row_that_leaves_a_filter_keeps_its_place(site: Site, lab: Desk) -> None:
    site.put_to_sleep(QUIET)
    page = lab.go("vassals?state=parked")
    expect(page.locator("body[data-live=yes]")).to_have_count(1)
    before = order_of(page)
    site.visit(QUIET)
    row = page.locator("tbody tr", has=page.get_by_role("link", name=QUIET))
    expect(row).to_contain_text("no longer here")
    assert order_of(page) == before
    assert faults(page) == []
    page.emulate_media(color_scheme="dark")
    assert faults(page, "color-contrast") == []
    site.put_to_sleep(QUIET)
    expect(row).to_contain_text("parked")
    assert order_of(page) == before


def test_a_click_arrives_while_the_page_changes(site: Site, desk: Desk) -> None:
    """What is under the pointer must not be another element when the button is let go."""
    site.put_to_sleep(QUIET)
    page = desk.go("vassals")
    expect(page.locator("body[data-live=yes]")).to_have_count(1)
    page.get_by_role("link", name=SHOP).hover()
    page.mouse.down()
    with page.expect_response(re.compile("/console/vassals$")) as answer:
        site.visit(QUIET)
    answer.value.finished()
    page.mouse.up()
    expect(page).to_have_url(re.compile(f"/console/vassals/{SHOP}$"))


def test_a_wake_arrives_live_and_the_app_is_restarted(site: Site, desk: Desk) -> None:
    page = desk.go(f"vassals/{BLOG}")
    now = page.locator("#now")
    expect(now).to_contain_text("parked")
    expect(page.locator("#live")).not_to_contain_text("Not live")
    assert site.visit(BLOG, "/basket?id=1") == 200
    expect(now).to_contain_text("running")
    story = page.locator("#story")
    expect(story).to_contain_text("GET /basket")
    expect(story).to_contain_text(AGENT)
    before = site.leader(BLOG)
    page.get_by_role("link", name="Restart…", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("Visitors wait")
    page.get_by_role("button", name="Restart").click()
    expect(page.locator("#last")).to_contain_text("restarted")
    expect(page.locator("#last")).to_contain_text("by console restart by uid 0, accepted after")
    site.until(BLOG, "running")
    assert site.leader(BLOG) != before
    expect(story).to_contain_text("console")


_FOCUSED = """\
() => {
  const it = document.activeElement;
  return [it.id, it.textContent.trim(), getComputedStyle(it).outlineStyle];
}
"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until that has the focus, by its id or its text, as one can see."""
    for _ in range(60):
        page.keyboard.press("Tab")
        identity, text, ring = page.evaluate(_FOCUSED)
        if name in (identity, text):
            assert ring != "none", f"nobody sees that {name} has the focus"
            return
    raise AssertionError(f"Tab does not reach {name}")


def test_a_page_is_live_again_when_the_daemon_is_back(site: Site, desk: Desk) -> None:
    """What stands in front of a daemon that is away answers 502, which ends an EventSource."""
    page, events = desk.page, "**/console/events*"
    page.route(events, lambda route: route.fulfill(status=502))
    desk.go(f"vassals/{SHOP}")
    expect(page.locator("#live")).to_contain_text("it is tried again")
    expect(page.locator("#live")).to_be_in_viewport()
    page.unroute(events)
    expect(page.locator("body[data-live=yes]:not([data-lost])")).to_have_count(1)
    expect(page.locator("body")).to_have_attribute("data-refreshed", re.compile(r"\d"))


def test_the_keyboard_is_enough(site: Site, desk: Desk) -> None:
    site.visit(SHOP)
    page = desk.go()
    tab_to(page, "Skip to the content")
    page.keyboard.press("Enter")
    assert page.evaluate(_FOCUSED)[0] == "main"
    page.reload()
    tab_to(page, "find")
    page.keyboard.type("shop")
    page.keyboard.press("Enter")
    expect(page.locator("table.vassals tbody tr")).to_have_count(1)
    tab_to(page, SHOP)
    page.keyboard.press("Enter")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text(SHOP)
    tab_to(page, "Restart…")
    page.keyboard.press("Enter")
    expect(heading).to_have_text(f"Restart: {SHOP}?")
    for name in ("Restart", "Cancel"):
        page.keyboard.press("Tab")
        assert page.evaluate(_FOCUSED)[1] == name
    page.keyboard.press("Enter")
    expect(heading).to_have_text(SHOP)


def test_a_table_that_fits_is_no_stop_of_the_keyboard(desk: Desk) -> None:
    page = desk.go(f"vassals/{SHOP}")
    expect(page.locator("body[data-live=yes]")).to_have_count(1)
    expect(page.locator(".scroll[tabindex]")).to_have_count(0)
    page.set_viewport_size({"width": 120, "height": 600})
    expect(page.locator(".scroll[tabindex='0']")).not_to_have_count(0)


def test_after_an_order_tab_goes_on_where_it_was_given(site: Site, desk: Desk) -> None:
    site.put_to_sleep(QUIET)
    page = desk.go(f"vassals/{QUIET}")
    tab_to(page, "Start")
    page.keyboard.press("Enter")
    expect(page.locator("#now")).to_contain_text("running")
    page.keyboard.press("Tab")
    assert page.evaluate(_FOCUSED)[1] == "Reload"


def test_the_focus_stays_near_where_its_button_has_gone(site: Site, desk: Desk) -> None:
    site.put_to_sleep(QUIET)
    page = desk.go(f"vassals/{QUIET}")
    expect(page.locator("body[data-live=yes]")).to_have_count(1)
    tab_to(page, "Start")
    site.visit(QUIET)
    expect(page.get_by_role("button", name="Start")).to_have_count(0)
    assert page.evaluate(_FOCUSED)[0] == "now"
    page.keyboard.press("Tab")
    assert page.evaluate(_FOCUSED)[1] == "Reload"


def test_the_focus_stays_where_a_part_of_the_page_is_new(site: Site, desk: Desk) -> None:
    site.visit(SHOP)
    page = desk.go(f"vassals/{SHOP}")
    expect(page.locator("body[data-live=yes]")).to_have_count(1)
    for name in ("Reload", "Begin maintenance…"):
        tab_to(page, name)
        before = page.locator("body").get_attribute("data-refreshed")
        site.call("POST", f"/v1/vassals/{SHOP}/reload")
        expect(page.locator("body")).not_to_have_attribute("data-refreshed", before or "")
        expect(page.locator("#now")).to_contain_text("running")
        assert page.evaluate(_FOCUSED)[1] == name


def ground(page: Page) -> int:
    """How bright the page is, from 0 to 765."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(number) for number in re.findall(r"\d+", colour)[:3])


def test_every_page_is_for_everybody(lab: Desk) -> None:
    """axe-core finds nothing by day, nor in the colours of the night."""
    for path in PAGES:
        page = lab.go(path)
        page.emulate_media(color_scheme="light")
        assert faults(page) == [], path
        assert ground(page) > 600, path
        page.emulate_media(color_scheme="dark")
        assert faults(page, "color-contrast", "link-in-text-block") == [], path
        assert ground(page) < 200, path


_SCROLLED = """\
[...document.querySelectorAll(".scroll")].filter((each) => each.scrollWidth > each.clientWidth)
  .map((each) => each.getAttribute("aria-labelledby"))
"""


def test_a_phone_shows_the_whole_width_of_every_page(lab: Desk) -> None:
    lab.page.set_viewport_size({"width": NARROW, "height": 740})
    for path in PAGES:
        page = lab.go(path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= NARROW, f"{path} is {wide} pixels wide"
        assert page.evaluate(_SCROLLED) == [], f"{path} has a table that is too wide"
        assert faults(page, "target-size", "scrollable-region-focusable") == [], path


def test_the_filters_take_little_room(desk: Desk) -> None:
    """One row on a desk, and on a phone what is behind a box."""
    page = desk.go("vassals?q=shop")
    page.set_viewport_size({"width": 1280, "height": 740})
    heights = page.evaluate("document.querySelector('form.filters').offsetHeight")
    assert heights < 50
    page.set_viewport_size({"width": NARROW, "height": 740})
    state = page.get_by_label("State", exact=True)
    expect(state).to_be_hidden()
    page.get_by_label("Filters").check()
    expect(state).to_be_visible()


def test_what_apps_and_visitors_write_is_text(site: Site, desk: Desk) -> None:
    site.visit(MARKUP)
    for path in ("", "vassals", f"vassals/{MARKUP}", f"vassals/{BLOG}"):
        page = desk.go(path)
        assert page.locator("main script, main img").count() == 0, path
        assert page.title().endswith("emperord"), path
    page = desk.go(f"vassals/{MARKUP}")
    expect(page.locator("#log-lines")).to_contain_text("<script>document.title = 'taken over'")
    assert not re.search("[\x1b\x07\u202e]", page.content())
    expect(desk.go().locator("#troubles")).to_contain_text("<img src=x onerror=")
    hostile = "vassals?q=%22%3E%3Cscript%3Edocument.title%3D1%3C%2Fscript%3E&sort=%22%3Ex"
    assert desk.go(hostile).locator("main script").count() == 0


def test_another_site_can_order_nothing(site: Site, desk: Desk) -> None:
    token = desk.go(f"vassals/{SHOP}/sleep").locator("input[name=token]").get_attribute("value")
    assert token
    order, before = f"{desk.address}vassals/{SHOP}/maintenance-on", site.detail(SHOP)
    ask = desk.page.context.request
    assert ask.post(order).status == 403
    assert ask.post(order, form={"token": "0" * len(token)}).status == 403
    assert ask.get(order).status == 200, "which asks back, and orders nothing"
    # The page of another site, which has even got hold of a token.
    page = desk.page
    page.route("http://other.localhost/", lambda route: route.fulfill(
        content_type="text/html",
        body=f'<form method=post action="{order}"><input name=token value="{token}">'
             "<button>Win a prize</button></form>",
    ))  # fmt: skip
    page.goto("http://other.localhost/")
    with page.expect_response(order) as answer:
        page.get_by_role("button").click()
    assert answer.value.status == 403
    assert site.detail(SHOP)["status"] == before["status"]


def test_a_tenant_sees_nothing_of_another(site: Site, browser: Browser) -> None:
    with (
        shown(site.run_dir, ALICE) as link,
        at_a_desk(browser, entered(browser, link)) as desk,
    ):
        assert SHOP in desk.go("vassals").content()
        for path in ("", "vassals", f"vassals/{SHOP}"):
            seen = desk.go(path).content()
            assert not [name for name in (OTHERS, BROKEN, MARKUP, "onerror") if name in seen], path
        others = f"vassals/{OTHERS}"
        for path in (others, f"{others}/log", f"{others}/restart", "vassals/nosuch.example"):
            assert desk.status_of(path) == 404, path
        assert desk.status_of("fleet") == 403


def test_all_but_what_is_live_works_without_scripts(
    site: Site, browser: Browser, entry: Entry
) -> None:
    with at_a_desk(browser, entry, java_script_enabled=False) as desk:
        site.put_to_sleep(QUIET)
        page = desk.go("vassals?q=quiet")
        page.get_by_role("link", name=QUIET).click()
        expect(page.locator("#live")).to_contain_text("Not live")
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#now")).to_contain_text("running")
        page.get_by_role("link", name="Sleep…").click()
        page.get_by_role("button", name="Sleep").click()
        expect(page.locator("#last")).to_contain_text("put to sleep")
        site.until(QUIET, "parked")


def test_many_windows_leave_the_browser_connections(site: Site, desk: Desk) -> None:
    """All of them are visible, as side by side; the ones used last are live."""
    pages = [desk.page.context.new_page() for _ in range(8)]
    for page in pages:
        page.goto(f"{desk.address}vassals/{SHOP}")
        expect(page.locator("body[data-live=yes]")).to_have_count(1)
    ninth = desk.go(f"vassals/{SHOP}")
    expect(ninth.locator("body[data-live=yes]")).to_have_count(1)
    first = pages[0].locator("#live")
    expect(first).to_have_text("Not live while other windows are used.")
    pages[0].get_by_role("heading", level=1).click()
    expect(first).to_have_text("Live.")
    expect(pages[-2].locator("#live")).to_contain_text("Not live")


def test_ages_grow_and_the_log_with_them(site: Site, desk: Desk) -> None:
    site.visit(SHOP)
    page = desk.go(f"vassals/{SHOP}")
    expect(page.locator("body[data-live=yes]")).to_have_count(1)
    age = page.locator("#now .lead time[data-age]")
    before = age.text_content() or ""
    expect(age).not_to_have_text(before)
    log = site.folder / "logs" / f"{SHOP}.log"
    with log.open("a", encoding="utf-8") as file:
        file.write("what the app prints \u2028 now\n")
    expect(page.locator("#log-lines")).to_contain_text(r"what the app prints \u{2028} now")


def test_tabs_in_the_background_keep_no_connection(site: Site, desk: Desk) -> None:
    """A browser makes six connections to a host, and a page that is live keeps two of them."""
    site.visit(SHOP)
    for _ in range(4):
        page = desk.page.context.new_page()
        page.goto(f"{desk.address}vassals/{SHOP}")
        expect(page.locator("body[data-live=yes]")).to_have_count(1)
        # Chromium without a window shows all of its tabs.
        page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true})")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
