// Charts of the back office: <canvas data-chart='{"kind": "bar", "label": …, "labels": […], "values": […]}'>, or "line".
// With "steps" there are no labels: the values are points in time, {"x": milliseconds, "y": …}.
// Chart.js comes with unfold and is on the page already.
(() => {
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const full = new Intl.NumberFormat("en", { maximumFractionDigits: 4 });
  const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium", timeZone: "UTC" });
  const charts = [];

  // Where the points stand: at their times, or in an account less than an hour old one beside the other, for time would
  // show one jump and a long wait.
  function placed(points) {
    const young = points.at(-1).x - points[0].x < 3_600_000;
    return points.map(({ x, y }, number) => ({ x: young ? number : x, y, at: x }));
  }

  // Days on an axis of days, hours and minutes on a shorter one.
  function axisTime(points) {
    const days = (points.at(-1).at - points[0].at) / 86_400_000;
    const isPlacedInTime = points[0].x === points[0].at;
    const time = { hour: "2-digit", minute: "2-digit", ...(!isPlacedInTime && { second: "2-digit" }) };
    const format = new Intl.DateTimeFormat("en-GB", { ...(days > 3 ? { day: "numeric", month: "short" } : time), timeZone: "UTC" });
    return (value) => format.format(isPlacedInTime ? value : points[Math.round(value)].at);
  }

  // Chart.js would choose round numbers of milliseconds, and leave out those that stand too near to either end.
  function evenly(axis) {
    const parts = Math.min(6, axis.max - axis.min);
    axis.ticks = Array.from({ length: parts + 1 }, (_, part) => ({ value: Math.round(axis.min + ((axis.max - axis.min) * part) / parts) }));
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const isDark = () => document.documentElement.classList.contains("dark");

  function paints(kind) {
    const accent = colour(isDark() ? "--color-primary-400" : "--color-primary-600");
    return {
      borderColor: accent,
      backgroundColor: kind === "bar" ? accent : `color-mix(in srgb, ${accent} 14%, transparent)`,
      hoverBackgroundColor: accent,
    };
  }

  function paintAnew(chart, kind) {
    Object.assign(chart.data.datasets[0], paints(kind));
    chart.options.scales.y.grid.color = colour(isDark() ? "--color-base-800" : "--color-base-100");
    for (const axis of Object.values(chart.options.scales)) {
      axis.ticks.color = colour(isDark() ? "--color-base-400" : "--color-base-500");
    }
    chart.update();
  }

  function draw(canvas) {
    const given = JSON.parse(canvas.dataset.chart);
    const line = given.kind !== "bar";
    const steps = given.kind === "steps";
    if (steps) given.values = placed(given.values);
    const chart = new Chart(canvas, {
      type: line ? "line" : "bar",
      data: {
        labels: given.labels,
        datasets: [{
          ...paints(given.kind),
          label: given.label, data: given.values, fill: line, borderWidth: line ? 2 : 0, pointRadius: 0, pointHitRadius: 12,
          stepped: steps, borderRadius: 3, maxBarThickness: 26, categoryPercentage: 0.7, barPercentage: 1,
        }],
      },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, font: { family: "Inter" },
        interaction: { mode: "index", intersect: false },
        plugins: {
          legend: { display: false },
          tooltip: { displayColors: false, callbacks: {
            label: (item) => `${given.label}: ${full.format(item.parsed.y)}`,
            ...(steps && { title: ([item]) => moment.format(item.raw.at) }),
          } },
        },
        scales: {
          x: {
            type: steps ? "linear" : "category", grid: { display: false }, border: { display: false },
            ticks: { maxRotation: 0, autoSkipPadding: 16, maxTicksLimit: steps ? 7 : 12, ...(steps && { callback: axisTime(given.values) }) },
            ...(steps && { min: given.values[0].x, max: given.values.at(-1).x, afterBuildTicks: evenly }),
          },
          y: {
            beginAtZero: true, border: { display: false }, grid: {},
            ticks: { maxTicksLimit: 6, precision: line ? undefined : 0, callback: (value) => compact.format(value) },
          },
        },
      },
    });
    charts.push(() => paintAnew(chart, given.kind));
    paintAnew(chart, given.kind);
  }

  window.addEventListener("load", () => {
    document.querySelectorAll("canvas[data-chart]").forEach(draw);
    new MutationObserver(() => charts.forEach((repaint) => repaint()))
      .observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  });
})();
