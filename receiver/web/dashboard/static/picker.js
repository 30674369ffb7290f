// The search in the catalog: type to filter, arrows to choose, enter to take. An ARIA combobox in a dialog.
(() => {
  const dialog = document.getElementById("picker");
  if (!dialog) return;
  const field = dialog.querySelector("input");
  const list = dialog.querySelector("[role=listbox]");
  const none = dialog.querySelector("[data-none]");
  const SHOWN = 50;
  let entries = null;
  let found = [];
  let at = 0;
  let form = null;
  let before = null;

  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

  const load = async () => {
    if (entries) return;
    const answer = await fetch(dialog.dataset.catalog, { headers: { Accept: "application/json" } });
    if (!answer.ok) { window.toast("The catalog cannot be read now.", "error"); return; }
    const kinds = (await answer.json()).request_types;
    entries = kinds.map((kind) => ({ ...kind, plain: plain(`${kind.name} ${kind.category} ${(kind.keywords || []).join(" ")}`), start: plain(kind.name) }));
  };

  // Every word must begin a word of the entry, or at least be in it; what begins with the text comes first.
  const rank = (entry, words) => {
    let sum = 0;
    for (const word of words) {
      const place = entry.plain.indexOf(word);
      if (place < 0) return -1;
      sum += entry.start.startsWith(word) ? 0 : place === 0 || /\W/.test(entry.plain[place - 1]) ? 1 : 2;
    }
    return sum;
  };

  const option = (entry, index) => {
    const made = document.createElement("li");
    made.id = `picker-${index}`;
    made.setAttribute("role", "option");
    const name = Object.assign(document.createElement("b"), { textContent: entry.name });
    const category = Object.assign(document.createElement("span"), { textContent: entry.category });
    const sla = Object.assign(document.createElement("small"), { textContent: `${entry.sla.value} ${entry.sla.unit}` });
    made.append(name, category, sla);
    return made;
  };

  const mark = (index) => {
    at = Math.max(0, Math.min(found.length - 1, index));
    [...list.children].forEach((row, place) => row.setAttribute("aria-selected", String(place === at)));
    const row = list.children[at];
    if (row) { field.setAttribute("aria-activedescendant", row.id); row.scrollIntoView({ block: "nearest" }); }
    else field.removeAttribute("aria-activedescendant");
  };

  const filter = () => {
    const words = plain(field.value).split(/\s+/).filter(Boolean);
    found = (entries || [])
      .map((entry, place) => ({ entry, place, rank: rank(entry, words) }))
      .filter((one) => one.rank >= 0)
      .sort((one, other) => one.rank - other.rank || one.place - other.place)
      .slice(0, SHOWN)
      .map((one) => one.entry);
    list.replaceChildren(...found.map(option));
    none.hidden = found.length > 0;
    mark(0);
  };

  const take = () => {
    const entry = found[at];
    if (!entry || !form) return;
    form.elements.category.value = entry.category;
    form.elements.request_type.value = entry.name;
    dialog.close();
    form.requestSubmit();
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-pick]");
    if (!button) return;
    form = button.closest("form");
    before = button;
    field.value = "";
    dialog.showModal();
    await load();
    filter();
    field.focus();
  });
  dialog.addEventListener("close", () => { if (before?.isConnected && before.checkVisibility()) before.focus(); });
  dialog.addEventListener("click", (event) => {
    const row = event.target.closest("[role=option]");
    if (!row) return;
    at = [...list.children].indexOf(row);
    take();
  });
  field.addEventListener("input", filter);
  field.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    if (event.key in steps) { event.preventDefault(); mark(at + steps[event.key]); }
    else if (event.key === "Home" && event.ctrlKey) { event.preventDefault(); mark(0); }
    else if (event.key === "Enter") { event.preventDefault(); take(); }
  });
  load(); // So that it is there before it is asked for.
})();
