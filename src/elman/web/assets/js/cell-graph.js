"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const WIDTH = 560;
  const BOX = [70, 40]; // a gate, and the tanh of the RNN
  const Y = { state: 30, factor: 78, product: 114, gate: 174, input: 242 };
  const HEIGHT = 264;
  const PLACES = [[], [280], [150, 400], [150, 280, 410], [130, 222, 316, 410]]; // of the gates, by their number

  const complement = (gate) => ({ gate, label: `1 − ${gate}`, short: `1−${gate}`, value: (v) => 1 - v(gate) });
  const part = (gate) => ({
    gate, label: `${gate}/(f+i)`, short: `${gate}′`, value: (v) => v(gate) / (v("f") + v("i")),
  });

  /**
   * The cells whose next state is keep∘state + (product of `add`). A factor is the name of a gate or, where a function
   * of gates is meant, {gate, label, short, value}.
   *   name   what people call the cell, if not by capital letters
   *   state  the state that is carried on along the top
   *   reads  what the gates read
   *   gates  [name, function] from left to right; a name without a value is shown as it is
   *   keep   the factor of the state
   *   add    two factors
   *   inner  the gate that acts on the candidate, and how
   *   output how h follows from another state: by which gate, through which function, and what else is added
   *   places x of the gates, if not as usual
   */
  const LSTM = { // x* and h* of the Mogrifier LSTM are x_t and h_{t-1}, gated by each other
    state: "c", reads: "x_t,  h_{t−1}", gates: [["f", "σ"], ["i", "σ"], ["g", "tanh"], ["o", "σ"]],
    keep: "f", add: ["i", "g"], output: { gate: "o", through: "tanh", value: Math.tanh },
  };
  const CELLS = {
    lstm: LSTM,
    mogrifier: { ...LSTM, name: "Mogrifier", reads: "x*, h*" },
    gru: {
      state: "h", reads: "x_t,  h_{t−1}", gates: [["z", "σ"], ["r", "σ"], ["n", "tanh"]],
      keep: "z", add: [complement("z"), "n"], inner: { gate: "r", label: "× h·Wh" },
    },
    mingru: {
      name: "minGRU", state: "h", reads: "x_t", gates: [["z", "σ"], ["n", "g"]], keep: complement("z"), add: ["z", "n"],
    },
    minlstm: {
      name: "minLSTM", state: "h", reads: "x_t", gates: [["f", "σ"], ["i", "σ"], ["n", "g"]],
      keep: part("f"), add: [part("i"), "n"],
    },
    fpool: {
      name: "f-pooling", state: "h", reads: "x_t", gates: [["z", "σ"], ["n", "tanh"]],
      keep: complement("z"), add: ["z", "n"],
    },
    qrnn: {
      state: "c", reads: "x_{t−1},  x_t", gates: [["f", "σ"], ["z", "tanh"], ["o", "σ"]],
      keep: "f", add: [complement("f"), "z"], output: { gate: "o" },
    },
    sru: {
      state: "c", reads: "x_t,  c_{t−1}", gates: [["f", "σ"], ["u"], ["r", "σ"]], places: [118, 226, 320],
      keep: "f", add: [complement("f"), "u"],
      output: { gate: "r", through: "tanh", value: Math.tanh, plus: "(1 − r)∘p" },
    },
    rglru: {
      name: "RG-LRU", state: "h", reads: "x_t", gates: [["r", "σ"], ["i", "σ"], ["u"]],
      keep: { gate: "r", label: "a(r)", short: "a", value: (v) => v("a") },
      add: [{ gate: "r", label: "√(1−a²)", value: (v) => Math.sqrt(1 - v("a") ** 2) }, "u"],
      inner: { gate: "i", label: "×" },
    },
  };

  /** What people call a cell. */
  elman.cellName = (kind) => CELLS[kind]?.name ?? kind.toUpperCase();

  /** The name that a cell in a residual block gives to a state of the block. */
  elman.stateName = (name) => name.replace(/^cell_/, "");

  /** What multiplies the state from one step to the next, as a label; "" of a cell without a description. */
  elman.keptBy = (kind) => {
    const { keep = "" } = CELLS[kind] ?? {};
    return keep.short ?? keep;
  };

  /** An edge's value, beside it. */
  const shown = (drawing, at, text, anchor = "middle") =>
    drawing.text(at, text, { kind: "soft", size: 13, anchor, raw: true });

  function drawRnn(drawing, { number, value, before, term }) {
    for (const [y, name, weights, what] of [[70, "h_{t−1}", "· Wh", "h"], [160, "x_t", "· Wx + b", "x"]]) {
      drawing.text([30, y], name);
      drawing.arrow([[58, y], [120, y]]);
      drawing.box([165, y], [90, 36], weights, { look: "outlined" });
      shown(drawing, [252, y - 13], number(term(what)));
    }
    shown(drawing, [88, 57], number(before("h")));
    drawing.arrow([[210, 70], [287, 70]]);
    drawing.arrow([[210, 160], [300, 160], [300, 83]]);
    drawing.node([300, 70], "+");
    drawing.arrow([[313, 70], [375, 70]]);
    shown(drawing, [345, 57], number(term("h") + term("x")));
    drawing.box([410, 70], BOX, "tanh", { look: "outlined" });
    drawing.arrow([[445, 70], [510, 70]]);
    shown(drawing, [476, 57], number(value("h")));
    drawing.text([530, 70], "h_t");
  }

  /** The gates [name, function] in a row, over the line on which their input comes in. */
  function drawGates(drawing, { number, value, units }, gates, xs, reads) {
    drawing.text([8, Y.input], reads, { anchor: "start" });
    drawing.line([[18 + elman.textWidth(reads.replace(/[_{}]/g, ""), 12), Y.input], [xs[xs.length - 1], Y.input]],
      { width: 1.5, kind: "forward" });
    const wide = Math.min(BOX[0], ...xs.slice(1).map((x, k) => x - xs[k] - 4));
    gates.forEach(([name, through], k) => {
      const label = through ? `${name} = ${through}` : name;
      const known = units(name);
      drawing.arrow([[xs[k], Y.input], [xs[k], Y.gate + BOX[1] / 2 + (known ? 12 : 0)]], { width: 1.5 });
      drawing.box([xs[k], Y.gate], [wide, BOX[1]], label, { look: "outlined", note: known ? number(value(name)) : "" });
      const limit = Math.max(1, ...(known ?? []).map(Math.abs));
      if (known) drawing.strip([xs[k], Y.gate + BOX[1] / 2 + 7], [wide, 7], known, limit);
    });
  }

  /** A cell from its description: the state along the top, what keeps it and what is added, then the output. */
  function drawGated(drawing, cell, about) {
    const { number, value, before } = cell;
    const xs = about.places ?? PLACES[about.gates.length];
    const factor = (given) => (typeof given === "string" ? { gate: given, value: (v) => v(given) } : given);
    const [keep, ...added] = [about.keep, ...about.add].map(factor);
    const note = (at, given, anchor) => shown(drawing, at, number(given.value(value)), anchor);
    const fromBefore = keep.value(value) * before(about.state);
    const place = ({ gate }) => xs[about.gates.findIndex(([name]) => name === gate)];
    const top = Y.gate - BOX[1] / 2;
    drawGates(drawing, cell, about.gates, xs, about.reads);

    const kept = place(keep);
    const right = about.output ? 516 : 508; // where the state's arrow ends
    drawing.text([24, Y.state], `${about.state}_{t−1}`);
    drawing.arrow([[50, Y.state], [kept - 13, Y.state]]);
    shown(drawing, [(50 + kept) / 2 - 8, Y.state - 14], number(before(about.state)));
    drawing.node([kept, Y.state], "×");
    drawing.arrow([[kept, top], [kept, Y.state + 13]]);
    if (keep.label) {
      drawing.box([kept, Y.factor], [56, 26], keep.label, { look: "outlined", size: 13 });
      note([kept + 8, Y.factor - 24], keep, "start");
    }

    const others = added.filter((each) => place(each) !== kept);
    const sum = others.reduce((total, each) => total + place(each), 0) / others.length; // x of the sum and the product
    for (const each of added) {
      const x = place(each);
      const side = sum - 13 * Math.sign(sum - x);
      if (x === sum) drawing.arrow([[x, top], [x, Y.product + 13]]);
      else drawing.arrow([[x, x === kept ? Y.product : top], [x, Y.product], [side, Y.product]]);
      if (x === kept) drawing.dot([x, Y.product]);
      if (each.label && x === kept) {
        const room = side - x > 150; // for the value
        drawing.box([room ? x + 82 : (x + side) / 2, Y.product], [64, 26], each.label, { look: "outlined", size: 13 });
        if (room) note([(x + 114 + side) / 2, Y.product - 13], each);
      } else if (each.label) {
        drawing.box([x, Y.product + 20], [56, 22], each.label, { look: "outlined", size: 13 });
        note([x + 34, Y.product + 20], each, "start");
      }
    }
    drawing.node([sum, Y.product], "×");
    drawing.arrow([[sum, Y.product - 13], [sum, Y.state + 13]]);
    shown(drawing, [sum + 8, (Y.product + Y.state) / 2], number(value(about.state) - fromBefore), "start");
    drawing.arrow([[kept + 13, Y.state], [sum - 13, Y.state]]);
    shown(drawing, [(kept + sum) / 2, Y.state - 14], number(fromBefore));
    drawing.node([sum, Y.state], "+");
    drawing.arrow([[sum + 13, Y.state], [right, Y.state]]);
    shown(drawing, [(sum + Math.min(right, 478)) / 2, Y.state - 14], number(value(about.state)));
    drawing.text([right + 20, Y.state], `${about.state}_t`);

    if (about.inner) {
      const [from, to] = [place(about.inner), place(others[others.length - 1])];
      drawing.arrow([[from + 35, Y.gate], [to - 35, Y.gate]]);
      shown(drawing, [(from + to) / 2, Y.gate + 16], about.inner.label);
    }
    if (about.output) drawOutput(drawing, cell, about, place(about.output));
  }

  /** h_t, from the state on its way to the next step. */
  function drawOutput(drawing, { number, value }, { state, output }, from) {
    const x = from + 68;
    drawing.dot([x, Y.state]);
    if (output.through) {
      drawing.arrow([[x, Y.state], [x, Y.state + 40]]);
      drawing.box([x, Y.state + 56], [58, 30], output.through, { look: "outlined" });
      drawing.arrow([[x, Y.state + 71], [x, Y.gate - 13]]);
      shown(drawing, [x + 6, Y.state + 92], number(output.value(value(state))), "start");
    } else drawing.arrow([[x, Y.state], [x, Y.gate - 13]]);
    drawing.arrow([[from + 35, Y.gate], [x - 13, Y.gate]]);
    drawing.node([x, Y.gate], "×");
    let end = x + 13;
    if (output.plus) {
      drawing.arrow([[end, Y.gate], [end + 34, Y.gate]]);
      drawing.node([end + 47, Y.gate], "+");
      drawing.arrow([[end + 47, Y.input - 14], [end + 47, Y.gate + 13]]);
      drawing.text([end + 47, Y.input], output.plus, { size: 13 });
      end += 60;
    }
    drawing.arrow([[end, Y.gate], [end + 28, Y.gate]]);
    shown(drawing, [end + 20, Y.gate + 22], number(value("h")));
    drawing.text([end + 46, Y.gate], "h_t");
  }

  /** The values of a cell without a description: its states after the step, before it if they are carried; its gates. */
  function drawValues(drawing, cell) {
    const { number, value, before, states, carried, gates } = cell;
    const wide = WIDTH / Math.max(1, states.length);
    states.forEach((name, k) => {
      const x = k * wide;
      const comes = carried.includes(name);
      drawing.arrow([[x + (comes ? 50 : wide - 130), Y.factor], [x + wide - 50, Y.factor]]);
      if (comes) {
        drawing.text([x + 24, Y.factor], `${name}_{t−1}`);
        shown(drawing, [x + 74, Y.factor - 14], number(before(name)));
      }
      shown(drawing, [x + wide - 74, Y.factor - 14], number(value(name)));
      drawing.text([x + wide - 30, Y.factor], `${name}_t`);
    });
    const xs = gates.map((_, k) => 110 + ((WIDTH - 150) * (k + 0.5)) / gates.length);
    if (gates.length) drawGates(drawing, cell, gates.map((name) => [name, ""]), xs, "x_t");
  }

  /**
   * Draws one step of a cell as a computation graph, with the values of one unit.
   * cell: {kind, label, states, carried, gates, number(value), value(name), units(name), before(name), term(name)}.
   */
  elman.drawCell = (node, cell) => {
    const isRnn = cell.kind === "rnn" && cell.term("h") !== undefined;
    const drawing = elman.Drawing.of(WIDTH, isRnn ? 200 : HEIGHT, { role: "img", "aria-label": cell.label });
    if (isRnn) drawRnn(drawing, cell);
    else if (cell.kind in CELLS) drawGated(drawing, cell, CELLS[cell.kind]);
    else drawValues(drawing, cell);
    node.replaceChildren(drawing.element);
  };
})();
