"use strict";
// Asks whether the page has changed, and puts the parts that have into place. Without it, pages stay as they were loaded.
(() => {
  const PAUSE = 1000;
  const body = document.body;
  const said = document.getElementById("live");

  const replace = (part, fresh) => {
    if (part.innerHTML === fresh.innerHTML || part.contains(document.activeElement)) return;
    const log = part.querySelector("pre.log");
    const atEnd = log && log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    const open = new Set([...part.querySelectorAll("details[open] > summary")].map((each) => each.textContent));
    part.replaceChildren(...fresh.childNodes);
    for (const each of part.querySelectorAll("details > summary")) {
      if (open.has(each.textContent)) each.parentElement.open = true;
    }
    const newLog = part.querySelector("pre.log");
    if (newLog && atEnd) newLog.scrollTop = newLog.scrollHeight;
  };

  const refresh = async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-part]")) {
      const found = fresh.getElementById(part.id);
      if (found) replace(part, found);
    }
    body.dataset.state = fresh.body.dataset.state ?? "";
    if (!fresh.body.dataset.live) delete body.dataset.live;
  };

  const look = async () => {
    if (!body.dataset.live) return;
    try {
      if (!document.hidden) {
        const answer = await fetch(body.dataset.live);
        if (!answer.ok) throw new Error(answer.status);
        if ((await answer.json()).state !== body.dataset.state) await refresh();
        said.textContent = body.dataset.live ? "Changes appear by themselves." : "";
      }
    } catch {
      said.textContent = "The server does not answer; this page may be out of date.";
    }
    setTimeout(look, PAUSE);
  };

  const log = document.querySelector("pre.log");
  if (log) log.scrollTop = log.scrollHeight;
  if (body.dataset.live) setTimeout(look, PAUSE);
})();
