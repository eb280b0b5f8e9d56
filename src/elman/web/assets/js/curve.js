"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const FONT = "12px system-ui, sans-serif";
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** Ticks of an axis from min to max: 1, 2, 5 times powers of ten, or even steps if those are too few. */
  function marks(min, max, log) {
    if (!log || max < 6 * min) return even(min, max);
    const found = [];
    for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power += 1) {
      for (const digit of max < 2000 * min ? [1, 2, 5] : [1]) found.push(Number(`${digit}e${power}`));
    }
    return found.filter((value) => value >= min && value <= max);
  }

  function even(min, max) {
    const rough = (max - min) / 5 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((digit) => digit * power >= rough);
    const found = [];
    for (let k = Math.ceil(min / step); k * step <= max; k += 1) found.push(Number((k * step).toPrecision(12)));
    return found;
  }

  /** The minimum and the maximum of numbers. */
  elman.extent = (values) =>
    values.reduce(([min, max], value) => [Math.min(min, value), Math.max(max, value)], [Infinity, -Infinity]);

  /** The range of an axis around everything that is drawn, with some margin. */
  function around(lines, levels, log) {
    const values = [...lines.flatMap(({ ys }) => ys), ...levels.map(({ value }) => value)];
    const usable = values.filter((value) => Number.isFinite(value) && (!log || value > 0));
    if (!usable.length) return log ? [1, 10] : [0, 1];
    const [min, max] = elman.extent(usable);
    const factor = Math.max(1.03, (max / min) ** 0.06);
    if (log) return [min / factor ** 2, max * factor]; // more below, for a label
    const margin = (max - min) * 0.06 || Math.abs(max) * 0.1 || 1;
    return [min >= 0 && min < margin * 2 ? 0 : min - margin, max + margin];
  }

  /**
   * A curve, drawn by uPlot.
   * draw({xs, lines: [{ys, colour, width, points, dash}], levels: [{name, value}], log}); look(index) moves the
   * cursor (null: hides it); onlook(index or null) is called when the pointer moves.
   */
  elman.Curve = class {
    constructor(node, { height, onlook }) {
      Object.assign(this, { node, height, onlook, plot: null, drawn: null });
      new ResizeObserver(() => this.plot?.setSize(this.#size())).observe(node);
    }

    #size() {
      return { width: Math.max(200, this.node.clientWidth), height: this.height };
    }

    draw(drawn) {
      const styles = (each) => each.lines.map(({ ys, ...style }) => style);
      const shape = (each) => each && JSON.stringify([each.log, styles(each), each.scheme]);
      const same = this.plot && shape(this.drawn) === shape(drawn);
      this.drawn = drawn;
      const data = [drawn.xs, ...drawn.lines.map(({ ys }) => ys)];
      if (same) {
        this.plot.setData(data);
        return;
      }
      this.plot?.destroy();
      this.plot = new window.uPlot(this.#options(drawn), data, this.node);
    }

    #options({ lines, log }) {
      const grid = { stroke: css("--curve-grid"), width: 1 };
      const axis = { stroke: css("--curve-ink"), grid, ticks: grid, font: FONT };
      const label = (plot, values) => values.map((value) => elman.significant(value));
      return {
        ...this.#size(),
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        scales: {
          x: { time: false },
          y: { distr: log ? 3 : 1, range: () => around(this.drawn.lines, this.drawn.levels, log) },
        },
        axes: [
          { ...axis, size: 30, space: 60, values: label },
          {
            ...axis, size: 52, values: label,
            splits: (plot, at, min, max) => marks(min, max, log), filter: (plot, at) => at,
          },
        ],
        series: [{}, ...lines.map(({ colour, width = 1.5, points = false, dash }) => ({
          stroke: css(colour), width, dash, spanGaps: true, points: { show: points, size: 6, fill: css(colour) },
        }))],
        hooks: {
          draw: [(plot) => this.#levels(plot)],
          setCursor: [(plot) => this.#looked(plot)],
        },
      };
    }

    #levels(plot) {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = css("--curve-ink");
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.font = FONT.replace("12px", `${12 * devicePixelRatio}px`);
      ctx.textAlign = "right";
      const lowest = Math.min(...this.drawn.levels.map(({ value }) => value));
      for (const { name, value } of this.drawn.levels) {
        const y = Math.round(plot.valToPos(value, "y", true));
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
        const below = value === lowest && bbox.top + bbox.height - y > 18 * devicePixelRatio;
        ctx.textBaseline = below ? "top" : "bottom";
        ctx.fillText(name, bbox.left + bbox.width - 4 * devicePixelRatio, y + (below ? 3 : -3) * devicePixelRatio);
      }
      ctx.restore();
    }

    #looked(plot) {
      if (this.moving) return;
      this.onlook(plot.cursor.left >= 0 ? plot.cursor.idx : null);
    }

    look(index) {
      if (!this.plot) return;
      const x = index === null ? undefined : this.drawn.xs[index];
      const left = x === undefined ? -10 : this.plot.valToPos(x, "x");
      if (this.plot.cursor.idx === index && this.plot.cursor.left >= 0 && index !== null) return;
      this.moving = true;
      this.plot.setCursor({ left, top: x === undefined ? -10 : 1 }, false);
      this.moving = false;
    }
  };
})();
