(function () {
  "use strict";
  const plots = [];

  // Text and grid take the page's colours, so that a chart is legible on light, dark and paper.
  function theme(layout) {
    const css = getComputedStyle(document.documentElement);
    const text = css.getPropertyValue("--text").trim();
    const grid = css.getPropertyValue("--rule").trim();
    const line = css.getPropertyValue("--quiet").trim();
    const update = { "font.color": text, "legend.font.color": text, "hoverlabel.bgcolor": css.getPropertyValue("--card").trim(),
      "hoverlabel.font.color": text, "hoverlabel.bordercolor": grid };
    for (const axis of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
      update[axis + ".gridcolor"] = grid;
      update[axis + ".linecolor"] = line;
      update[axis + ".tickcolor"] = line;
    }
    return update;
  }

  function recolour() {
    for (const plot of plots) Plotly.relayout(plot, theme(plot.layout));
  }

  for (const plot of document.querySelectorAll(".plot")) {
    const figure = JSON.parse(plot.nextElementSibling.textContent);
    // On a narrow screen so much less of a schedule is shown at first; the rest is there to be dragged into view.
    if (plot.dataset.drags) {
      const [begin, end] = figure.layout.xaxis.range;
      figure.layout.xaxis.range = [begin, begin + (end - begin) * Math.min(1, plot.clientWidth / 900)];
    }
    const config = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false };
    Plotly.newPlot(plot, figure.data, figure.layout, config).then(() => {
      plots.push(plot);
      Plotly.relayout(plot, theme(plot.layout));
    });
  }

  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  window.addEventListener("beforeprint", () => {
    recolour();
    for (const plot of plots) Plotly.relayout(plot, { width: Math.min(plot.clientWidth, 660) });
  });
  window.addEventListener("afterprint", () => {
    for (const plot of plots) Plotly.relayout(plot, { width: null, autosize: true });
    recolour();
  });
})();
