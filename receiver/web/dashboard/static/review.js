// Review: the decided card goes at once, the next one is already there, and more are fetched behind it.
(() => {
  const queue = document.getElementById("queue");
  const one = (selector) => document.querySelector(selector);
  const done = one("[data-done]");
  const wait = one("[data-wait]");
  const undo = one("[data-undo]");
  const sitting = one("[data-sitting]");
  const AHEAD = 3;
  const reviewed = [];
  let skipped = 0;
  let pending = 0;
  let overlap = false;
  let filling = false;
  let undoing = false;
  let ended = false;

  const cards = () => [...queue.querySelectorAll("[data-card]:not([data-decided])")];
  let last = cards().at(-1)?.dataset.card ?? "";

  const show = () => {
    const [first, ...rest] = cards();
    rest.forEach((card) => { card.hidden = true; });
    wait.hidden = Boolean(first) || ended;
    done.hidden = Boolean(first) || !ended;
    one("[data-again]").hidden = skipped === 0;
    undo.hidden = reviewed.length === 0;
    sitting.hidden = reviewed.length === 0;
    sitting.textContent = `${reviewed.length} done`;
    if (!first) { if (ended) done.focus(); return; }
    if (!first.hidden && first.contains(document.activeElement)) return;
    first.hidden = false;
    first.querySelector("h2").focus({ preventScroll: true });
    window.scrollTo(0, 0);
  };

  // The rail's number goes along with the page's.
  const count = () => {
    const left = Number(one("#review-left").dataset.left);
    document.querySelectorAll(".waiting").forEach((number) => {
      number.textContent = left.toLocaleString("en");
      number.hidden = left === 0;
    });
  };

  // Whatever was fetched twice, because two decisions were quick, is there once.
  const unique = () => {
    const known = new Set();
    queue.querySelectorAll("[data-card]").forEach((card) => {
      if (known.has(card.dataset.card)) card.remove();
      known.add(card.dataset.card);
    });
  };

  const fill = async () => {
    if (filling || ended || cards().length >= AHEAD) return;
    filling = true;
    const before = queue.querySelectorAll("[data-card]").length;
    const asked = new URLSearchParams({ after: last, reason: queue.dataset.reason, category: queue.dataset.category });
    try {
      await window.htmx.ajax("GET", `${queue.dataset.next}?${asked}`, { source: queue, target: "#queue", swap: "beforeend" });
      const all = [...queue.querySelectorAll("[data-card]")];
      ended = all.length === before;
      last = all.at(-1)?.dataset.card && !ended ? all.at(-1).dataset.card : last;
      unique();
    } finally {
      filling = false;
    }
    show();
    if (!ended) fill();
  };

  const decided = (event) => event.target.closest?.("#queue [data-review]")?.closest("[data-card]");

  document.addEventListener("htmx:beforeRequest", (event) => {
    const card = decided(event);
    if (!card) return;
    card.dataset.decided = "";
    card.hidden = true;
    pending += 1;
    overlap ||= pending > 1;
    show();
  });
  // Of answers to quick decisions one may come after a later one's: what it says is left is no longer so.
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const comes = event.detail.fragment.querySelector("#review-left");
    if (comes && overlap && Number(comes.dataset.left) > Number(one("#review-left").dataset.left)) event.detail.shouldSwap = false;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const card = decided(event);
    if (!card) return;
    pending -= 1;
    overlap &&= pending > 0;
    const status = event.detail.xhr?.status;
    if (event.detail.successful) {
      reviewed.push(card.dataset.card);
      const left = window.toast(card.querySelector("h2").textContent.trim().slice(0, 60) + ": reviewed");
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Undo" });
      button.dataset.undo = "";
      left.append(button);
      document.querySelectorAll("#toasts .toast:not(.error)").forEach((toast) => { if (toast !== left) toast.remove(); });
      card.remove();
    } else if (status === 409) {
      card.remove(); // Somebody else was there first, and the toast says what it is now.
    } else {
      delete card.dataset.decided;
      queue.prepend(card);
      card.hidden = true;
    }
    count();
    show();
    fill();
  });

  const takeBack = async () => {
    if (pending || undoing || !reviewed.length) return;
    undoing = true;
    const ticket = reviewed.pop();
    document.querySelectorAll("#toasts .toast:not(.error)").forEach((toast) => toast.remove());
    cards().forEach((card) => { card.hidden = true; });
    try {
      // Its source is not the queue's: htmx would put it behind a fetch that is under way, and say at once that it is done.
      await window.htmx.ajax("POST", queue.dataset.undoAt.replace("/0/", `/${ticket}/`), { source: undo, target: "#queue", swap: "afterbegin" });
    } finally {
      undoing = false;
    }
    unique();
    count();
    show();
  };

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-undo]")) { takeBack(); return; }
    const skip = event.target.closest("[data-skip]");
    if (!skip) return;
    event.preventDefault();
    skipped += 1;
    skip.closest("[data-card]").remove();
    show();
    fill();
  });

  if (cards().length) { show(); fill(); } else ended = true;
})();
