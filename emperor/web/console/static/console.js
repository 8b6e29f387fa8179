// What is live in the console. Every page works without it.
"use strict";

// At most one refresh in this time, however much happens.
const PAUSE_MS = 1000;
// Longer where an answer takes long, so that a busy daemon has less to do for its readers.
const PAUSES = 20;
const LONGEST_PAUSE_MS = 5000;
// What no event tells, as memory and the last hit, grows old.
const OLD_MS = 30_000;
const AGAIN_MS = 3000;
// A browser makes six connections to a host for all of its windows, and each live page keeps one.
const MOST_LIVE = 3;

const body = document.body;
const live = document.getElementById("live");

function tell(text) {
  if (live && live.textContent !== text) live.textContent = text;
}

// `emperorctl console` may have ended, or a proxy, or emperord: the browser cannot tell.
function lose() {
  body.dataset.lost = "yes";
  tell("Not live: the console does not answer; it is tried again. The page is as it was.");
}

// The same characters are written out as by the server: those that could reorder or hide others.
function visible(text) {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (char) =>
    char === "\t" ? char : `\\u{${char.codePointAt(0).toString(16)}}`);
}

// As emperor/model/text.py has it.
function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 600) return `${minutes}m${two(seconds % 60)}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m`;
  if (seconds < 36_000) return `${hours}h${two(minutes % 60)}m`;
  if (seconds < 259_200) return `${Math.round(seconds / 3600)}h`;
  return `${Math.round(seconds / 86_400)}d`;
}

// The clock of this computer may be wrong: ages are told by that of the server.
let ahead = 0;

function setClock(page) {
  ahead = Date.parse(page.body.dataset.now) - Date.now();
}

function tick() {
  // What nobody tells any more does not grow older as if it were so.
  if (body.dataset.lost) return;
  const now = Date.now() + ahead;
  for (const each of document.querySelectorAll("time[data-age], time[data-left]")) {
    const age = now - Date.parse(each.dateTime);
    const text = duration("age" in each.dataset ? age : -age);
    if (each.textContent !== text) each.textContent = text;
  }
}

function isMarked(part) {
  const mark = getSelection();
  return mark && !mark.isCollapsed && mark.containsNode(part, true);
}

// How an element is found again after its part of the page was replaced.
function place(element) {
  if (element.form?.hasAttribute("action")) {
    return `form[action="${CSS.escape(element.form.getAttribute("action"))}"] button`;
  }
  const name = ["id", "href", "aria-label", "aria-labelledby"].find((each) => element.hasAttribute(each));
  return name ? `[${name}="${CSS.escape(element.getAttribute(name))}"]` : null;
}

// Rows keep their places until the reader has them sorted again, so that none moves under the
// pointer. New ones come last. Those that have gone from a list (data-places=gone) stay, and say so.
function keepPlaces(fresh) {
  for (const other of fresh.querySelectorAll("[data-places]")) {
    const mine = document.getElementById(other.id);
    if (!mine?.hasAttribute("data-places")) continue;
    const left = new Map([...other.children].map((row) => [row.dataset.key, row]));
    const sorted = [...left.keys()].join("\n");
    const rows = [];
    for (const row of mine.children) {
      const same = left.get(row.dataset.key);
      if (same) {
        if ("late" in row.dataset) same.dataset.late = "";
        rows.push(same);
        left.delete(row.dataset.key);
      } else if (other.dataset.places === "gone" && !("late" in row.dataset)) {
        rows.push(gone(row));
      }
    }
    for (const row of left.values()) {
      row.dataset.late = "";
      rows.push(row);
    }
    if (rows.map((row) => row.dataset.key).join("\n") === sorted) continue;
    other.replaceChildren(...rows);
    offerToSort(fresh, other.id);
  }
}

function offerToSort(fresh, rows) {
  const button = fresh.createElement("button");
  button.type = "button";
  button.id = `sort-${rows}`;
  button.dataset.sorts = rows;
  button.textContent = "Order changed: sort again";
  fresh.getElementById(`moved-${rows}`)?.replaceChildren(button);
}

function gone(row) {
  const copy = row.cloneNode(true);
  copy.className = "gone";
  const is = copy.querySelector(".is");
  if (is) is.textContent = "no longer here";
  return copy;
}

// A table that does not fit is scrolled by the keyboard too; one that fits is no stop of it. The
// browser tells when it has laid them out: to ask it earlier would make it do so once more.
const sizes = new ResizeObserver((changed) => {
  for (const { target } of changed) {
    const box = target.closest(".scroll");
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
});

function watchTables() {
  sizes.disconnect();
  for (const each of document.querySelectorAll(".scroll")) {
    sizes.observe(each);
    sizes.observe(each.firstElementChild);
  }
}

function replaceParts(fresh) {
  keepPlaces(fresh);
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = fresh.getElementById(part.id);
    if (!other || other.outerHTML === part.outerHTML) continue;
    // What somebody has marked to copy is left alone until the mark is gone.
    if (isMarked(part)) continue;
    const hasFocus = part !== document.activeElement && part.contains(document.activeElement);
    const focused = hasFocus ? place(document.activeElement) : null;
    const isFocused = part === document.activeElement;
    const scrolled = [...part.querySelectorAll(".scroll, pre")].map((each) => [each.scrollLeft, each.scrollTop]);
    part.replaceWith(document.adoptNode(other));
    [...other.querySelectorAll(".scroll, pre")].forEach((each, number) => {
      if (scrolled[number]) [each.scrollLeft, each.scrollTop] = scrolled[number];
    });
    if (focused) other.querySelector(focused)?.focus({ preventScroll: true });
    // What had the focus has gone: Tab goes on from this part of the page.
    if (isFocused || (hasFocus && !other.contains(document.activeElement))) {
      other.tabIndex = -1;
      other.focus({ preventScroll: true });
    }
  }
  watchTables();
}

// What has happened last, which a screen reader is told with the refresh: events may be many.
let news = "";
let isRefreshing = false;
// Between the two halves of a click nothing is replaced: it would reach neither the old nor the new.
let isPressed = false;
let isOutdated = false;
let timer = 0;
let refreshedAt = performance.now();
let pause = PAUSE_MS;

async function refresh() {
  timer = 0;
  if (isRefreshing || document.hidden) {
    isOutdated = true;
    return;
  }
  isRefreshing = true;
  isOutdated = false;
  const begun = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    const text = answer.ok ? await answer.text() : "";
    if (isPressed) {
      isOutdated = true;
    } else if (answer.ok) {
      delete body.dataset.lost;
      const fresh = new DOMParser().parseFromString(text, "text/html");
      setClock(fresh);
      replaceParts(fresh);
      showLog(fresh);
      if (source?.readyState === EventSource.OPEN) tell(news || "Live.");
      body.dataset.refreshed = String(Number(body.dataset.refreshed || 0) + 1);
    } else {
      tell(`Not live: the page is refused with status ${answer.status}.`);
    }
  } catch {
    lose();
  } finally {
    isRefreshing = false;
    refreshedAt = performance.now();
    pause = Math.min(LONGEST_PAUSE_MS, Math.max(PAUSE_MS, PAUSES * (refreshedAt - begun)));
    if (isOutdated) soon();
  }
}

function soon() {
  if (!timer) timer = setTimeout(refresh, Math.max(50, refreshedAt + pause - performance.now()));
}

let source = null;
// Whether there was a time in which nobody listened.
let hasMissed = false;

function listen() {
  if (source || !body.dataset.events || document.hidden) return;
  takeTurn();
  source = new EventSource(body.dataset.events);
  source.onopen = () => {
    tell("Live.");
    delete body.dataset.lost;
    body.dataset.live = "yes";
    if (hasMissed) {
      soon();
      readLogSoon();
    }
    hasMissed = false;
  };
  source.onerror = () => {
    hasMissed = true;
    delete body.dataset.live;
    lose();
    // A browser connects again by itself, but not after an answer that is an error, as of a proxy
    // while emperord is away.
    if (source.readyState === EventSource.CLOSED) {
      source = null;
      setTimeout(listen, AGAIN_MS);
    }
  };
  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    news = visible(`Live: ${event.name}: ${event.before} → ${event.after ?? "gone"}: ${event.detail}`);
    soon();
    readLogSoon();
  };
  source.addEventListener("printed", readLogSoon);
}

function leave() {
  if (!source) return;
  source.close();
  source = null;
  hasMissed = true;
  delete body.dataset.live;
}

// The windows of the console tell each other when they begin and end to listen. The ones that were
// used last are live.
const windows = new BroadcastChannel("emperord-console");
const me = `${Date.now()} ${Math.random()}`;
const later = new Set();

function takeTurn() {
  later.clear();
  windows.postMessage({ window: me, listens: true });
}

windows.onmessage = ({ data }) => {
  if (data.listens) later.add(data.window);
  else later.delete(data.window);
  if (!source || later.size < MOST_LIVE) return;
  leave();
  tell("Not live while other windows are used.");
};

function hide() {
  leave();
  windows.postMessage({ window: me, listens: false });
}

function use() {
  if (source) takeTurn();
  else listen();
}

let logTimer = 0;
let logReadAt = -PAUSE_MS;

function readLogSoon() {
  if (!logTimer) logTimer = setTimeout(readLog, Math.max(50, logReadAt + pause - performance.now()));
}

async function readLog() {
  const lines = document.getElementById("log-lines");
  try {
    if (!lines || document.hidden || isMarked(lines)) return;
    const answer = await fetch(lines.dataset.log, { cache: "no-store" });
    if (!answer.ok) return;
    const isAtEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 8;
    lines.textContent = (await answer.text()).split("\n").map((line) => visible(line.replace(/\r$/, ""))).join("\n");
    if (isAtEnd) lines.scrollTop = lines.scrollHeight;
  } catch {
    // The daemon has gone: the next message of it begins anew.
  } finally {
    logReadAt = performance.now();
    logTimer = 0;
  }
}

// There is no log before the first start.
function showLog(fresh) {
  const mine = document.getElementById("log-lines");
  const other = fresh.getElementById("log-lines");
  if (!mine && other) document.getElementById("log").replaceWith(document.adoptNode(other.closest("#log")));
}

function sortAgain(rows) {
  document.getElementById(rows)?.removeAttribute("data-places");
}

// The list follows what is typed and chosen.
function searchAtOnce(form) {
  let typing = 0;
  const show = () => {
    sortAgain("rows");
    const wanted = [...new FormData(form)]
      .filter(([name, value]) => value !== "" && !(name === "sort" && value === "name"));
    history.replaceState(null, "", `?${new URLSearchParams(wanted)}`);
    refresh();
  };
  form.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(show, 200);
  });
}

watchTables();
if (body.dataset.events) {
  setClock(document);
  addEventListener("pointerdown", () => { isPressed = true; });
  for (const end of ["pointerup", "pointercancel", "blur"]) {
    addEventListener(end, () => { isPressed = false; });
  }
  addEventListener("click", ({ target }) => {
    if (!target.dataset?.sorts) return;
    sortAgain(target.dataset.sorts);
    refresh();
  });
  setInterval(tick, 1000);
  listen();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return hide();
    listen();
    soon();
  });
  addEventListener("pagehide", hide);
  addEventListener("pageshow", listen);
  addEventListener("focus", use);
  addEventListener("pointerdown", use);
  body.addEventListener("pointerenter", listen);
  setInterval(() => {
    if (source && performance.now() - refreshedAt > OLD_MS) refresh();
  }, OLD_MS / 4);
}
const log = document.getElementById("log-lines");
if (log) log.scrollTop = log.scrollHeight;
const filters = document.querySelector("form.filters");
if (filters) searchAtOnce(filters);
