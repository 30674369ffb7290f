// Keeps an open page up to date. A stream brings the elements that may have changed, and each takes the place of the
// one with its id. Where there is no stream, the same is asked for every few seconds.
(() => {
  const address = document.body.dataset.live;
  if (!address) return;
  const POLL = 5000, TRIES = 12;
  const known = new Map([...document.querySelectorAll("[data-now]")].map((element) => [element.id, element.outerHTML]));
  let stream = null, timer = 0, polls = 0;

  // What somebody is in is left alone until they have left it: a field or button, an open traceback, marked words.
  const isInUse = (element) => {
    const marked = getSelection();
    return element.contains(document.activeElement) || element.querySelector("details[open]") || (!marked.isCollapsed && marked.containsNode(element, true));
  };

  const show = (html) => {
    const parsed = document.createElement("template");
    parsed.innerHTML = html;
    let changed = false;
    for (const fresh of [...parsed.content.querySelectorAll("[data-now]")]) {
      const old = document.getElementById(fresh.id);
      const text = fresh.outerHTML;
      if (!old || text === known.get(fresh.id) || isInUse(old)) continue;
      known.set(fresh.id, text);
      old.replaceWith(fresh);
      window.htmx?.process(fresh);
      changed = true;
    }
    if (changed) document.dispatchEvent(new CustomEvent("live:shown"));
  };

  const ask = async () => {
    try {
      const answer = await fetch(`${address}?once`, { headers: { Accept: "text/html" } });
      if (answer.redirected) { location.reload(); return; } // The session is over.
      if (answer.ok) show(await answer.text());
    } catch { /* The server is away; it is asked again. */ }
    polls += 1;
    timer = setTimeout(polls % TRIES ? ask : listen, POLL);
  };

  const stop = () => { clearTimeout(timer); stream?.close(); stream = null; };
  const listen = () => {
    stop();
    stream = new EventSource(address);
    stream.onmessage = (event) => show(JSON.parse(event.data));
    stream.onerror = () => { if (stream?.readyState === EventSource.CLOSED) { stop(); timer = setTimeout(ask, POLL); } };
  };

  // A browser has six connections to a server; pages that nobody sees shall not hold them.
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
  addEventListener("pagehide", stop);
  addEventListener("pageshow", () => { if (!document.hidden && !stream) listen(); });
})();
