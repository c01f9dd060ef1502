"use strict";
// Asks whether the page has changed, and puts the parts that have into place; counts the seconds of what is running.
// Without it, pages stay as they were loaded.
(() => {
  const PAUSE = 1000;
  const body = document.body;
  const said = document.getElementById("live");

  const duration = (seconds) => {
    if (seconds < 60) return `${Math.floor(seconds)} s`;
    const minutes = Math.floor(seconds / 60);
    return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  };

  const count = () => {
    for (const each of document.querySelectorAll("[data-since]")) {
      const text = duration(Math.max(0, Date.now() - Date.parse(each.dataset.since)) / 1000);
      each.textContent = each.namespaceURI.endsWith("svg") ? ` · ${text}` : text;
    }
  };

  const isAtEnd = (log) => log.scrollTop + log.clientHeight >= log.scrollHeight - 8;

  const replace = (part, fresh) => {
    if (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) return;
    const logs = [...part.querySelectorAll("pre.log")].map((log) => (isAtEnd(log) ? null : log.scrollTop));
    const open = new Set([...part.querySelectorAll("details[open] > summary")].map((each) => each.textContent));
    const checked = new Set([...part.querySelectorAll("input:checked")].map((each) => each.value));
    part.replaceChildren(...fresh.childNodes);
    for (const each of part.querySelectorAll("details > summary")) {
      if (open.has(each.textContent)) each.parentElement.open = true;
    }
    for (const each of part.querySelectorAll("input[type=checkbox]")) each.checked = checked.has(each.value);
    part.querySelectorAll("pre.log").forEach((log, index) => {
      log.scrollTop = logs[index] ?? log.scrollHeight;
    });
  };

  // Sections come and go: those that are new are put before the next one that is known.
  const arrange = (fresh) => {
    const main = document.getElementById("content");
    let next = null;
    for (const section of [...fresh.getElementById("content").children].reverse()) {
      let known = document.getElementById(section.id);
      if (!known) {
        known = section.cloneNode(false);
        main.insertBefore(known, next);
      }
      next = known;
    }
    for (const section of [...main.children]) {
      if (!fresh.getElementById(section.id)) section.remove();
    }
  };

  const refresh = async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!fresh.body.dataset.live) {
      // It is over: as a whole, tables can be sorted and filtered again.
      location.reload();
      return;
    }
    arrange(fresh);
    for (const part of document.querySelectorAll("[data-part]")) {
      const found = fresh.getElementById(part.id);
      if (found) replace(part, found);
    }
    body.dataset.state = fresh.body.dataset.state;
    count();
  };

  const look = async () => {
    try {
      if (!document.hidden) {
        const answer = await fetch(body.dataset.live);
        if (!answer.ok) throw new Error(answer.status);
        if ((await answer.json()).state !== body.dataset.state) await refresh();
        said.textContent = "Changes appear by themselves.";
      }
    } catch {
      said.textContent = "The server does not answer: this page may be out of date.";
    }
    setTimeout(look, PAUSE);
  };

  for (const log of document.querySelectorAll("pre.log")) log.scrollTop = log.scrollHeight;
  count();
  setInterval(count, 1000);
  if (body.dataset.live) setTimeout(look, PAUSE);
})();
