// Keeps a page as new as what the agent knows. Each event of the agent, and each 15 seconds,
// have the page asked for again, and the sections that differ are put in. When the agent does
// not answer, the page says so, and turns grey: what is old is never shown as new.
"use strict";

const every = 15000; // between two questions without an event
const gather = 400; // events within this time cause one question
const patience = 10000; // for an answer
const old = 35000; // from this age on, what is shown is old

const link = document.getElementById("link");
const age = document.getElementById("age");
let made = document.body.dataset.at; // when the agent made what is shown
let got = Date.now(); // when it came
let lost = ""; // why nothing newer came; "" while it comes
let events = null;
let last = document.body.dataset.event;
let refused = 0; // when the agent last refused to stream events
let planned = 0;
let asking = false;
let again = false;

function say(text) {
  if (link.textContent !== text) link.textContent = text;
}

function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  return s < 120 ? s + "s" : s < 7200 ? Math.floor(s / 60) + "m" : Math.floor(s / 3600) + "h";
}

function show() {
  const passed = Date.now() - got;
  const stale = lost !== "" || passed > old;
  document.body.classList.toggle("stale", stale);
  document.body.classList.toggle("live", !stale);
  if (stale) {
    say(lost || "Reconnecting");
    age.textContent = "What you see is " + span(passed) + " old.";
  } else {
    say("Live");
    age.textContent = "as of " + made.slice(11, 19) + " UTC";
  }
}

// put replaces the sections that differ. Focus, open parts and places of scrolling stay.
function put(next) {
  const main = document.getElementById("content");
  const focused = document.activeElement;
  const mark = focused && main.contains(focused) ? [focused.id, focused.getAttribute("href"), focused.getAttribute("aria-label")] : null;
  const fresh = Array.from(next.getElementById("content").children);
  const kept = new Map(Array.from(main.children).map((part) => [part.id, part]));
  const headline = (of) => (of.querySelector("#verdict h1") || of.querySelector("h1") || {}).textContent;
  const before = headline(document);
  fresh.forEach((part, i) => {
    const had = kept.get(part.id);
    const now = had && had.isEqualNode(part) ? had : document.importNode(part, true);
    if (had && now !== had) {
      had.querySelectorAll(".scroll").forEach((box, n) => {
        const same = now.querySelectorAll(".scroll")[n];
        if (same) requestAnimationFrame(() => { same.scrollLeft = box.scrollLeft; });
      });
      had.replaceWith(now);
    }
    if (main.children[i] !== now) main.insertBefore(now, main.children[i] || null);
  });
  while (main.children.length > fresh.length) main.lastElementChild.remove();
  if (mark && !document.contains(focused)) {
    const same = Array.from(main.querySelectorAll("a, button, input, [tabindex]")).find((one) =>
      one.id === mark[0] && one.getAttribute("href") === mark[1] && one.getAttribute("aria-label") === mark[2]);
    if (same) same.focus({ preventScroll: true });
  }
  document.title = next.title;
  const after = headline(document);
  if (before !== after) say(after.trim().replace(/\s+/g, " "));
}

// editing reports whether a person is filling in a form, which is then left alone.
function editing() {
  return document.activeElement && ["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement.tagName);
}

async function ask() {
  if (asking) { again = true; return; }
  asking = true;
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), patience);
  try {
    const answer = await fetch(location.href, { signal: stop.signal, cache: "no-store", credentials: "same-origin" });
    const text = await answer.text();
    const next = new DOMParser().parseFromString(text, "text/html");
    if (answer.status === 401) {
      lost = "Your session has ended. Reload the page to log in";
    } else if (!next.body.dataset.at) { // a page that says why something is not shown is one of the agent's, too
      lost = "The agent answers with an error (" + answer.status + ")";
    } else {
      if (!editing()) put(next);
      made = next.body.dataset.at;
      last = next.body.dataset.event || last;
      got = Date.now();
      lost = "";
      if (!events && Date.now() - refused > every / 2) listen();
    }
  } catch (_) {
    lost = "Reconnecting";
  } finally {
    clearTimeout(timer);
    asking = false;
  }
  show();
  if (again) { again = false; soon(); }
}

function soon() {
  if (!planned) planned = setTimeout(() => { planned = 0; ask(); }, gather);
}

// listen follows the agent's events. The browser connects again by itself, unless the agent
// refuses; then the next question that succeeds listens again.
function listen() {
  if (document.hidden) return;
  events = new EventSource("/v1/events?after=" + encodeURIComponent(last || ""));
  for (const kind of ["look", "stage", "gate", "write", "progress", "task_failure", "outcome", "verdict", "delivered", "restarted", "missed"]) {
    events.addEventListener(kind, soon);
  }
  events.onopen = () => { if (lost) soon(); };
  events.onerror = () => {
    if (events && events.readyState === EventSource.CLOSED) {
      // Refused, such as when too many streams are open: the page asks every 15 seconds.
      quiet();
      refused = Date.now();
      return;
    }
    lost = lost || "Reconnecting";
    show();
    soon();
  };
}

function quiet() {
  if (events) { events.close(); events = null; }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) { quiet(); return; }
  show();
  ask();
});
window.addEventListener("pageshow", (event) => { if (event.persisted) { show(); ask(); } });
window.addEventListener("pagehide", quiet);
window.addEventListener("offline", () => { lost = "Reconnecting"; show(); });
window.addEventListener("online", ask);
setInterval(show, 1000);
setInterval(() => { if (!document.hidden) ask(); }, every);
// While the agent does not answer it is asked more often.
setInterval(() => { if (!document.hidden && lost) ask(); }, 3000);
show();
listen();
