// What every page does beside htmx: theme, dialogs, toasts, questions before danger, and the keys.
(() => {
  const root = document.documentElement;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);

  // Theme: the system's until somebody chooses, then theirs.
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const toggleTheme = () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* It lasts for this page then. */ }
  };

  const open = (dialog) => { if (dialog && !dialog.open) dialog.showModal(); };

  // Toasts. A page may also call window.toast, and a server send HX-Trigger: {"toast": "words"}.
  const leave = (toast) => setTimeout(() => toast.remove(), 8000);
  window.toast = (words, kind = "") => {
    const made = Object.assign(document.createElement("p"), { className: `toast ${kind}`, textContent: words });
    one("#toasts").append(made);
    leave(made);
    return made;
  };
  all(".toast").forEach(leave);
  document.addEventListener("toast", (event) => window.toast(event.detail.value ?? event.detail));
  document.addEventListener("htmx:responseError", (event) => {
    let said = "";
    try { said = JSON.parse(event.detail.xhr.responseText).message; } catch { /* A proxy's page, then. */ }
    window.toast(said || `That did not work (${event.detail.xhr.status}). Load the page again and try once more.`, "error");
  });
  document.addEventListener("htmx:sendError", () => window.toast("The server does not answer. Nothing was changed; try again.", "error"));

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-theme-toggle], [data-open], [data-go-row], dialog");
    all("details.menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
    if (!target) return;
    if (target.matches("[data-theme-toggle]")) toggleTheme();
    else if (target.dataset.open) open(document.getElementById(target.dataset.open));
    else if (target.matches("dialog") && event.target === target) target.close();
  });

  // Danger asks once, in words that name what will happen: <form data-confirm="Redrive 12 tickets?">.
  document.addEventListener("submit", (event) => {
    const words = event.target.dataset?.confirm;
    if (words && !window.confirm(words)) event.preventDefault();
  });

  // Fields that change a list at once: <select data-submit>.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });

  // Rows: <tr data-row><td><input type=checkbox data-select></td>..<a data-open-row>. The marked row is the focused one.
  const rows = () => all("[data-row]");
  const at = () => rows().findIndex((row) => row.contains(document.activeElement) || row.classList.contains("at"));
  const mark = (index) => {
    const found = rows();
    const row = found[Math.max(0, Math.min(found.length - 1, index))];
    if (!row) return;
    found.forEach((other) => other.classList.toggle("at", other === row));
    const link = row.querySelector("[data-open-row], a, button");
    (link || row).focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };

  const keys = {
    "?": () => open(one("#keys")),
    "/": () => { const field = one("[data-key-search]"); field?.focus(); field?.select(); },
    j: () => mark(at() + 1),
    k: () => mark(Math.max(0, at() - 1)),
    x: (event) => rows()[at()]?.querySelector("[data-select]")?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: event.shiftKey })),
    enter: () => rows()[at()]?.querySelector("[data-open-row]")?.click(),
    u: () => one("[data-key='u']")?.click(),
  };
  let going = 0;
  const typing = (element) => element.closest("input:not([type=checkbox]), textarea, select, [contenteditable], [role=combobox]");
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(document.activeElement) && !one("dialog[open]")) { document.activeElement.blur(); return; }
    if (event.target.closest && (typing(event.target) || one("dialog[open]"))) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key === "Enter" ? "enter" : event.key;
    if (Date.now() - going < 1500) {
      going = 0;
      const link = one(`[data-go="${CSS.escape(key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    if (key === "g") { going = Date.now(); return; }
    if (key === "enter" && event.target.closest("a, button, summary")) return;
    // A page's own keys come first: any visible element with data-key="c" is clicked by c.
    const own = all(`[data-key="${CSS.escape(key)}"]`).find((element) => element.checkVisibility?.() ?? true);
    if (own) { event.preventDefault(); own.click(); return; }
    if (keys[key]) { event.preventDefault(); keys[key](event); }
  });
})();
