// Draws every figure that the macro `plot` writes: at most two lines, labels at their ends, the exact value on hover.
(() => {
  // A name's colour as it is now, light or dark: a canvas does not know what light-dark() means.
  const sample = document.createElement("i");
  sample.hidden = true;
  const colour = (name) => {
    document.body.append(sample);
    sample.style.color = `var(${name})`;
    const found = getComputedStyle(sample).color;
    sample.remove();
    return found;
  };
  const LINES = ["--accent-fill", "--warn-fill"];
  const drawn = new Map();

  const written = (unit) => (value) => {
    if (value == null) return "";
    if (unit === "percent") return `${(value * 100).toFixed(1)} %`;
    if (unit === "ms") return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
    if (unit === "money") return value && value < 0.01 ? value.toFixed(4) : value.toFixed(2);
    return value.toLocaleString("en-US", { maximumFractionDigits: 2 });
  };

  const moment = (seconds, days) => {
    const text = new Date(seconds * 1000).toISOString();
    return days ? text.slice(0, 10) : `${text.slice(0, 10)} ${text.slice(11, 16)} UTC`;
  };

  const dayOf = (seconds) => new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

  // A line's name stands at its end, in its colour; two names that would touch make room for each other.
  const endLabels = (plot, chart) => {
    const ends = chart.series.map((line, index) => {
      const values = plot.data[index + 1];
      let last = values.length - 1;
      while (last > 0 && values[last] == null) last -= 1;
      return { label: line.label, index, y: plot.valToPos(values[last] ?? 0, "y", true) };
    });
    const ratio = devicePixelRatio || 1;
    if (ends.length === 2 && Math.abs(ends[0].y - ends[1].y) < 14 * ratio) {
      const [upper, lower] = ends[0].y <= ends[1].y ? ends : [ends[1], ends[0]];
      const middle = (upper.y + lower.y) / 2;
      upper.y = middle - 7 * ratio;
      lower.y = middle + 7 * ratio;
    }
    // Nor do they touch what stands under the axis.
    const low = Math.max(0, ...ends.map((end) => end.y)) - (plot.bbox.top + plot.bbox.height - 5 * ratio);
    if (low > 0) for (const end of ends) end.y -= low;
    const pen = plot.ctx;
    pen.save();
    pen.font = `500 ${11 * ratio}px system-ui, sans-serif`;
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    for (const end of ends) {
      pen.fillStyle = colour(LINES[end.index] === "--warn-fill" ? "--warn" : "--accent");
      pen.fillText(end.label, plot.bbox.left + plot.bbox.width + 8 * ratio, end.y);
    }
    pen.restore();
  };

  const hover = (plot, chart, tip) => {
    const index = plot.cursor.idx;
    tip.hidden = index == null;
    if (index == null) return;
    const at = chart.kind === "number" ? written("")(plot.data[0][index]) : moment(plot.data[0][index], chart.kind === "day");
    const said = chart.series.map((line, number) => `${line.label} ${written(chart.unit)(plot.data[number + 1][index])}`);
    if (chart.band) said.push(`${written(chart.unit)(chart.band.low[index])} to ${written(chart.unit)(chart.band.high[index])}`);
    if (chart.counts) said.push(`of ${written("")(chart.counts[index])}`);
    tip.textContent = [at, ...said].join(" · ");
  };

  const edge = { width: 0, stroke: "transparent", points: { show: false } };  // Of a band, which is its filling.
  // What stands under an axis of time, by the least step of its ticks; the date comes along where it changes.
  const HOURS = [1, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1];
  const COUNTS = [1, 2, 5].flatMap((step) => [0, 1, 2, 3, 4, 5, 6].map((power) => step * 10 ** power)).sort((a, b) => a - b);

  const options = (chart, width, tip) => {
    const counts = !chart.unit && chart.series.every((line) => line.values.every((value) => value == null || Number.isInteger(value)));
    const axis = { stroke: colour("--soft"), font: "11px system-ui, sans-serif", grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const room = Math.max(0, ...chart.series.map((line) => line.label.length)) * 6.2 + 14;
    return {
      width, height: chart.height, legend: { show: false }, padding: [8, chart.series.length > 1 || chart.named ? room : 12, 0, 0],
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      scales: { x: { time: chart.kind !== "number" }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), chart.top ?? (high > 0 ? high * 1.08 : 1)] } },
      axes: [{ ...axis, grid: { show: false }, ...(chart.kind === "day" ? { values: (_, ticks) => ticks.map(dayOf), incrs: [1, 2, 3, 7, 14, 28, 91, 364].map((days) => days * 86400) } : chart.kind === "time" ? { values: [HOURS] } : {}) }, { ...axis, size: 56, ...(counts ? { incrs: COUNTS } : {}), values: (_, ticks) => ticks.map(written(chart.unit)) }],
      series: [{}, ...chart.series.map((line, index) => ({
        label: line.label, stroke: colour(LINES[index]), width: 2, points: { show: chart.x.length < 3 || Boolean(chart.band) },
        fill: index === 0 && chart.series.length === 1 && !chart.band ? `color-mix(in srgb, ${colour(LINES[0])} 12%, transparent)` : undefined,
      })), ...(chart.band ? [edge, edge] : [])],
      bands: chart.band ? [{ series: [chart.series.length + 2, chart.series.length + 1], fill: `color-mix(in srgb, ${colour(LINES[0])} 16%, transparent)` }] : [],
      hooks: { draw: [(plot) => { if (chart.series.length > 1 || chart.named) endLabels(plot, chart); }], setCursor: [(plot) => hover(plot, chart, tip)] },
    };
  };

  const draw = (figure) => {
    drawn.get(figure)?.destroy();
    const chart = JSON.parse(figure.dataset.plot);
    const place = figure.querySelector(".canvas");
    const tip = figure.querySelector(".tip");
    if (!chart.x.length) return;
    drawn.set(figure, new uPlot(options(chart, place.clientWidth, tip), [chart.x, ...chart.series.map((line) => line.values), ...(chart.band ? [chart.band.low, chart.band.high] : [])], place));
  };

  const forgetGone = () => { for (const figure of drawn.keys()) if (!figure.isConnected) { drawn.get(figure).destroy(); drawn.delete(figure); } };
  const drawAll = () => {
    forgetGone();
    document.querySelectorAll("[data-plot]").forEach(draw);
  };
  const drawNew = () => {
    forgetGone();
    document.querySelectorAll("[data-plot]").forEach((figure) => { if (!drawn.has(figure)) draw(figure); });
  };

  document.addEventListener("DOMContentLoaded", drawAll);
  document.addEventListener("htmx:afterSettle", drawAll);
  document.addEventListener("live:shown", drawNew);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(drawAll, 120); });
})();
