"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const MIN_WIDTH = 16; // px, of a cell
  const MAX_WIDTH = 34;
  const HEIGHT = 12;
  const LEFT = 44; // px for the numbers of the units
  const TOP = 76; // px for the tokens if one is longer than a character
  const LOW = 26; // px if none is

  /**
   * A heat map of units (rows) × tokens (columns). The canvas is as large as the visible part, not as the map.
   * draw({values, order, names, limit}), mark({row, column, picked}); onmove(row, column), onpick(row, column).
   */
  elman.HeatMap = class {
    constructor(node, { onmove, onpick }) {
      Object.assign(this, { node, onmove, onpick, row: 0, column: null, picked: null, data: null });
      this.canvas = elman.make("canvas", { "aria-hidden": "true" });
      this.room = elman.make("div", { class: "heat-room" }, this.canvas);
      node.append(this.room);
      node.addEventListener("scroll", () => this.paint(), { passive: true });
      new ResizeObserver(() => this.paint()).observe(node);
      this.canvas.addEventListener("pointermove", (event) => this.#at(event, onmove));
      this.canvas.addEventListener("click", (event) => this.#at(event, onpick));
      node.addEventListener("keydown", (event) => this.#key(event));
    }

    draw(data) {
      this.data = data;
      this.top = data.names.some((name) => Array.from(name).length > 1) ? TOP : LOW;
      this.row = Math.min(this.row, data.order.length - 1);
      this.room.style.setProperty("height", `${this.top + data.order.length * HEIGHT}px`);
      this.paint();
    }

    /** The width of a cell, which depends on the space. */
    #width() {
      const room = Math.floor((this.node.clientWidth - LEFT - 2) / this.data.values.length);
      return Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, room));
    }

    /** Marks a cell and the selected unit; with `shown`, scrolls to the cell. */
    mark({ row = this.row, column = this.column, picked = this.picked, shown = false }) {
      Object.assign(this, { row, column, picked });
      if (shown) this.#scrollTo(row, column ?? 0);
      this.paint();
    }

    #scrollTo(row, column) {
      const { node } = this;
      const into = (place, size, from, room, margin) => {
        if (place < from) return place;
        return place + size > from + room - margin ? place + size - room + margin : from;
      };
      node.scrollLeft = into(column * this.wide, this.wide, node.scrollLeft, node.clientWidth, LEFT);
      node.scrollTop = into(row * HEIGHT, HEIGHT, node.scrollTop, node.clientHeight, this.top);
    }

    #at(event, callback) {
      if (!this.data) return;
      const column = Math.floor((event.offsetX - LEFT + this.node.scrollLeft) / this.wide);
      const row = Math.floor((event.offsetY - this.top + this.node.scrollTop) / HEIGHT);
      const inside = event.offsetX >= LEFT && event.offsetY >= this.top;
      if (inside && column < this.data.values.length && row < this.data.order.length) callback(row, column);
    }

    #key(event) {
      if (!this.data || event.altKey || event.ctrlKey || event.metaKey) return;
      const [rows, columns] = [this.data.order.length - 1, this.data.values.length - 1];
      const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
        PageUp: [-10, 0], PageDown: [10, 0], Home: [0, -columns], End: [0, columns], Enter: [0, 0], " ": [0, 0] };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const [down, right] = steps[event.key];
      const row = Math.min(rows, Math.max(0, this.row + down));
      const column = Math.min(columns, Math.max(0, (this.column ?? 0) + right));
      if (down || right) this.onmove(row, column, true);
      else this.onpick(row, column);
    }

    paint() {
      const { node, canvas, data } = this;
      const [width, height, ratio] = [node.clientWidth, node.clientHeight, devicePixelRatio || 1];
      if (!data || !width || !height) return;
      this.wide = this.#width();
      this.room.style.setProperty("width", `${LEFT + data.values.length * this.wide}px`);
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.setProperty("width", `${width}px`);
      canvas.style.setProperty("height", `${height}px`);
      const context = canvas.getContext("2d");
      context.scale(ratio, ratio);
      const style = getComputedStyle(node);
      context.fillStyle = style.backgroundColor;
      context.fillRect(0, 0, width, height);
      this.ink = style.color;
      this.#cells(context, width, height);
      this.#heads(context, width, height, style);
      this.#marks(context, width, height);
    }

    #window(width, height) {
      const { scrollLeft, scrollTop } = this.node;
      const [columns, rows] = [this.data.values.length, this.data.order.length];
      return {
        first: Math.floor(scrollLeft / this.wide),
        last: Math.min(columns, Math.ceil((scrollLeft + width - LEFT) / this.wide)),
        top: Math.floor(scrollTop / HEIGHT),
        bottom: Math.min(rows, Math.ceil((scrollTop + height - this.top) / HEIGHT)),
        x: (column) => LEFT + column * this.wide - scrollLeft, y: (row) => this.top + row * HEIGHT - scrollTop,
      };
    }

    #cells(context, width, height) {
      const { values, order } = this.data;
      const { first, last, top, bottom, x, y } = this.#window(width, height);
      const shades = this.#shades();
      for (let column = first; column < last; column += 1) {
        for (let row = top; row < bottom; row += 1) {
          const part = values[column][order[row]] / this.data.limit;
          context.fillStyle = shades[Math.round((Math.min(1, Math.max(-1, part)) + 1) * 50)];
          context.fillRect(x(column), y(row), this.wide - 0.5, HEIGHT - 0.5);
        }
      }
    }

    #shades() {
      return Array.from({ length: 101 }, (_, k) => String(elman.colour.diverging(k / 50 - 1, 1)));
    }

    #heads(context, width, height, style) {
      const { order, names } = this.data;
      const { first, last, top, bottom, x, y } = this.#window(width, height);
      context.fillStyle = style.backgroundColor;
      context.fillRect(0, 0, width, this.top);
      context.fillRect(0, 0, LEFT, height);
      context.fillStyle = this.ink;
      context.textBaseline = "middle";
      context.textAlign = "end";
      context.save();
      context.beginPath();
      context.rect(0, this.top, LEFT, height - this.top);
      context.clip();
      for (let row = top; row < bottom; row += 1) {
        context.font = `${order[row] === this.picked || row === this.row ? "bold " : ""}10px system-ui, sans-serif`;
        context.fillText(String(order[row]), LEFT - 6, y(row) + HEIGHT / 2);
      }
      context.restore();
      context.textAlign = "start";
      context.save();
      context.beginPath();
      context.rect(LEFT, 0, width - LEFT, this.top);
      context.clip();
      for (let column = first; column < last; column += 1) {
        context.save();
        context.font = `${column === this.column ? "bold " : ""}12px system-ui, sans-serif`;
        context.translate(x(column) + this.wide / 2, this.top - 5);
        if (Array.from(names[column]).length > 1) context.rotate(-Math.PI / 2);
        else context.textAlign = "center";
        context.fillText(names[column], 0, context.textAlign === "center" ? -4 : 0, this.top - 8);
        context.restore();
      }
      context.restore();
    }

    #marks(context, width, height) {
      const { order } = this.data;
      const { x, y } = this.#window(width, height);
      context.save();
      context.beginPath();
      context.rect(LEFT - 2, this.top - 2, width, height);
      context.clip();
      context.strokeStyle = this.ink;
      context.lineWidth = 1;
      const end = x(this.data.values.length);
      const foot = y(order.length);
      if (this.column !== null) {
        context.strokeRect(x(this.column) - 0.5, this.top - 1, this.wide, foot - this.top + 1);
      }
      const picked = order.indexOf(this.picked);
      if (picked >= 0) context.strokeRect(LEFT - 1, y(picked) - 0.5, end - LEFT + 1, HEIGHT);
      if (this.column !== null) {
        context.lineWidth = 2.5;
        context.strokeRect(x(this.column) - 1, y(this.row) - 1, this.wide + 1, HEIGHT + 1);
      }
      context.restore();
    }
  };
})();
