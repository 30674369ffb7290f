// The selection in a list: all, a range with shift, and questions that name how many.
(() => {
  const form = document.getElementById("bulk");
  if (!form) return;
  const boxes = [...form.querySelectorAll("[data-select]:not(:disabled)")];
  const whole = form.querySelector("[data-select-all]");
  const said = form.querySelector("[data-selected]");
  let last = -1;

  const show = () => {
    const many = boxes.filter((box) => box.checked).length;
    boxes.forEach((box) => box.closest("tr").classList.toggle("selected", box.checked));
    if (said) said.textContent = many ? `${many} selected` : "";
    if (whole) {
      whole.checked = many === boxes.length;
      whole.indeterminate = many > 0 && many < boxes.length;
    }
  };

  form.addEventListener("click", (event) => {
    const at = boxes.indexOf(event.target);
    if (at < 0) return;
    if (event.shiftKey && last >= 0) {
      boxes.slice(Math.min(at, last), Math.max(at, last) + 1).forEach((box) => { box.checked = event.target.checked; });
    }
    last = at;
    setTimeout(show);
  });
  form.addEventListener("change", (event) => {
    if (event.target === whole) boxes.forEach((box) => { box.checked = whole.checked; });
    show();
  });
  form.addEventListener("reset", () => setTimeout(show));
  form.addEventListener("submit", (event) => {
    const many = boxes.filter((box) => box.checked).length;
    const words = event.submitter?.dataset.ask?.replace("{many}", many === 1 ? form.dataset.one : form.dataset.many.replace("{n}", many));
    if (words && !window.confirm(words)) event.preventDefault();
  });
  window.addEventListener("pageshow", show); // A browser that goes back brings the checks with it.
})();
