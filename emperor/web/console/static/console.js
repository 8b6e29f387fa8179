// What is live in the console. Every page works without it.
"use strict";

// At most one refresh in this time, however much happens.
const PAUSE_MS = 1000;
// Longer where an answer takes long, so that a busy daemon has less to do for its readers.
const PAUSES = 20;
const LONGEST_PAUSE_MS = 5000;
// Times that are told as "3m ago" grow old where nothing happens.
const OLD_MS = 60_000;
const AGAIN_MS = 3000;
const MOST_LOG_LINES = 500;
// Of a line that has no end.
const LONGEST_LINE = 65_536;

const body = document.body;
const live = document.getElementById("live");

function tell(text) {
  if (live && live.textContent !== text) live.textContent = text;
}

// The same characters are written out as by the server: those that could reorder or hide others.
function visible(text) {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (char) =>
    char === "\t" ? char : `\\u{${char.codePointAt(0).toString(16)}}`);
}

// How an element is found again after its part of the page was replaced.
function place(element) {
  if (element.form?.hasAttribute("action")) {
    return `form[action="${CSS.escape(element.form.getAttribute("action"))}"] button`;
  }
  const name = ["id", "href", "aria-label", "aria-labelledby"].find((each) => element.hasAttribute(each));
  return name ? `[${name}="${CSS.escape(element.getAttribute(name))}"]` : null;
}

function replaceParts(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = fresh.getElementById(part.id);
    if (!other || other.outerHTML === part.outerHTML) continue;
    // What somebody has marked to copy is left alone until the mark is gone.
    const mark = getSelection();
    if (mark && !mark.isCollapsed && mark.containsNode(part, true)) continue;
    const focused = part.contains(document.activeElement) ? place(document.activeElement) : null;
    const scrolled = [...part.querySelectorAll(".scroll, pre")].map((each) => [each.scrollLeft, each.scrollTop]);
    part.replaceWith(document.adoptNode(other));
    [...other.querySelectorAll(".scroll, pre")].forEach((each, number) => {
      if (scrolled[number]) [each.scrollLeft, each.scrollTop] = scrolled[number];
    });
    if (focused) other.querySelector(focused)?.focus({ preventScroll: true });
  }
}

// What has happened last, which a screen reader is told with the refresh: events may be many.
let news = "";
let isRefreshing = false;
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
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      replaceParts(fresh);
      showLog(fresh);
      if (news) tell(news);
      body.dataset.refreshed = String(Number(body.dataset.refreshed || 0) + 1);
    }
  } catch {
    tell("Not live: emperord does not answer.");
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
  source = new EventSource(body.dataset.events);
  source.onopen = () => {
    tell("Live.");
    body.dataset.live = "yes";
    if (hasMissed) soon();
    hasMissed = false;
  };
  source.onerror = () => {
    hasMissed = true;
    delete body.dataset.live;
    tell("Not live: emperord does not answer; it is tried again.");
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
  };
}

// A hidden page needs no connection: a browser has six for each site.
function leave() {
  source?.close();
  source = null;
  following?.abort();
}

let following = null;

// Show what is appended to the log, until the daemon ends or `signal` says so.
async function follow(lines, signal) {
  const decoder = new TextDecoder();
  let rest = "";
  let isFirst = true;
  const answer = await fetch(lines.dataset.log, { cache: "no-store", signal });
  if (!answer.ok) return;
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = parts.pop();
    if (rest.length > LONGEST_LINE) {
      parts.push(rest);
      rest = "";
    }
    const isAtEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 8;
    const before = isFirst ? [] : lines.textContent.split("\n").slice(0, -1);
    isFirst = false;
    const all = [...before, ...parts.map(visible)].slice(-MOST_LOG_LINES);
    lines.textContent = all.map((line) => `${line}\n`).join("");
    if (isAtEnd) lines.scrollTop = lines.scrollHeight;
  }
}

// There is no log before the first start, and none that ends while the page is hidden.
async function followLog() {
  const lines = document.getElementById("log-lines");
  if (!lines || following || document.hidden) return;
  following = new AbortController();
  lines.scrollTop = lines.scrollHeight;
  try {
    await follow(lines, following.signal);
  } catch {
    // The page is hidden, or the daemon has gone: a refresh begins anew.
  }
  following = null;
}

function showLog(fresh) {
  const mine = document.getElementById("log-lines");
  const other = fresh.getElementById("log-lines");
  if (!mine && other) document.getElementById("log").replaceWith(document.adoptNode(other.closest("#log")));
  followLog();
}

// The list follows what is typed and chosen.
function searchAtOnce(form) {
  let typing = 0;
  const show = () => {
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

if (body.dataset.events) {
  listen();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return leave();
    listen();
    soon();
  });
  addEventListener("pagehide", leave);
  addEventListener("pageshow", listen);
  setInterval(() => {
    if (!document.hidden && performance.now() - refreshedAt > OLD_MS) refresh();
  }, OLD_MS / 4);
}
followLog();
const filters = document.querySelector("form.filters");
if (filters) searchAtOnce(filters);
