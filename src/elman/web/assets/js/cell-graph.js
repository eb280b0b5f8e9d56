"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const WIDTH = 560;
  const GATES = 150; // height of the middle of the gates
  const INPUT = 218; // of the line that x_t and h_{t-1} come in on
  const BOX = [70, 40];

  /** A gate: its equation's name, its value for the unit, and the values of the other units. */
  function gate(drawing, x, name, label, { value, units, number }) {
    drawing.arrow([[x, INPUT], [x, GATES + BOX[1] / 2 + 12]], { width: 1.5 });
    drawing.box([x, GATES], BOX, label, { look: "outlined", note: number(value(name)) });
    drawing.strip([x, GATES + BOX[1] / 2 + 7], [BOX[0], 7], units(name), 1);
  }

  function inputs(drawing, last) {
    drawing.text([8, INPUT], "x_t,  h_{t−1}", { anchor: "start" });
    drawing.line([[88, INPUT], [last, INPUT]], { kind: "forward", width: 1.5 });
  }

  /** An edge's value, beside it. */
  const shown = (drawing, at, text, anchor = "middle") =>
    drawing.text(at, text, { kind: "soft", size: 13, anchor, raw: true });

  function rnn(drawing, cell) {
    const { number, value, before, product } = cell;
    for (const [y, name, weights, what] of [[70, "h_{t−1}", "· Wh", "h"], [160, "x_t", "· Wx + b", "x"]]) {
      drawing.text([30, y], name);
      drawing.arrow([[58, y], [120, y]]);
      drawing.box([165, y], [90, 36], weights, { look: "outlined" });
      shown(drawing, [252, y - 13], number(product(what)));
    }
    shown(drawing, [88, 57], number(before("h")));
    drawing.arrow([[210, 70], [287, 70]]);
    drawing.arrow([[210, 160], [300, 160], [300, 83]]);
    drawing.node([300, 70], "+");
    drawing.arrow([[313, 70], [375, 70]]);
    shown(drawing, [345, 57], number(product("h") + product("x")));
    drawing.box([410, 70], BOX, "tanh", { look: "outlined" });
    drawing.arrow([[445, 70], [510, 70]]);
    shown(drawing, [476, 57], number(value("h")));
    drawing.text([530, 70], "h_t");
  }

  function lstm(drawing, cell) {
    const { number, value, before } = cell;
    inputs(drawing, 410);
    gate(drawing, 130, "f", "f = σ", cell);
    gate(drawing, 222, "i", "i = σ", cell);
    gate(drawing, 316, "g", "g = tanh", cell);
    gate(drawing, 410, "o", "o = σ", cell);
    drawing.text([20, 36], "c_{t−1}");
    drawing.arrow([[44, 36], [117, 36]]);
    shown(drawing, [80, 22], number(before("c")));
    drawing.node([130, 36], "×");
    drawing.arrow([[130, 130], [130, 49]]);
    drawing.arrow([[143, 36], [256, 36]]);
    shown(drawing, [200, 22], number(value("f") * before("c")));
    drawing.node([269, 36], "+");
    drawing.arrow([[222, 130], [222, 92], [256, 92]]);
    drawing.arrow([[316, 130], [316, 92], [282, 92]]);
    drawing.node([269, 92], "×");
    drawing.arrow([[269, 79], [269, 49]]);
    shown(drawing, [276, 64], number(value("i") * value("g")), "start");
    drawing.arrow([[282, 36], [516, 36]]);
    shown(drawing, [360, 22], number(value("c")));
    drawing.text([534, 36], "c_t");
    drawing.dot([478, 36]);
    drawing.arrow([[478, 36], [478, 74]]);
    drawing.box([478, 90], [58, 30], "tanh", { look: "outlined" });
    drawing.arrow([[478, 105], [478, 137]]);
    shown(drawing, [484, 120], number(Math.tanh(value("c"))), "start");
    drawing.arrow([[445, 150], [465, 150]]);
    drawing.node([478, 150], "×");
    drawing.arrow([[491, 150], [520, 150]]);
    shown(drawing, [520, 172], number(value("h")));
    drawing.text([538, 150], "h_t");
  }

  function gru(drawing, cell) {
    const { number, value, before } = cell;
    inputs(drawing, 410);
    gate(drawing, 150, "z", "z = σ", cell);
    gate(drawing, 280, "r", "r = σ", cell);
    gate(drawing, 410, "n", "n = tanh", cell);
    drawing.text([24, 36], "h_{t−1}");
    drawing.arrow([[52, 36], [137, 36]]);
    shown(drawing, [94, 22], number(before("h")));
    drawing.node([150, 36], "×");
    drawing.arrow([[150, 130], [150, 49]]);
    drawing.dot([150, 92]);
    drawing.arrow([[163, 36], [397, 36]]);
    shown(drawing, [280, 22], number(value("z") * before("h")));
    drawing.arrow([[150, 92], [204, 92]]);
    drawing.box([232, 92], [56, 28], "1 − z", { look: "outlined", size: 13 });
    drawing.arrow([[260, 92], [397, 92]]);
    shown(drawing, [328, 79], number(1 - value("z")));
    drawing.arrow([[315, 150], [375, 150]]);
    shown(drawing, [345, 166], "× h·Wh");
    drawing.arrow([[410, 130], [410, 105]]);
    drawing.node([410, 92], "×");
    drawing.arrow([[410, 79], [410, 49]]);
    shown(drawing, [418, 64], number((1 - value("z")) * value("n")), "start");
    drawing.node([410, 36], "+");
    drawing.arrow([[423, 36], [508, 36]]);
    shown(drawing, [466, 22], number(value("h")));
    drawing.text([530, 36], "h_t");
  }

  const CELLS = { rnn: [rnn, 200], lstm: [lstm, 240], gru: [gru, 240] };

  /**
   * Draws one step of a cell as a computation graph, with the values of one unit.
   * cell: {kind, label, number(value), value(name), units(name), before(name), product(name)}.
   */
  elman.drawCell = (node, cell) => {
    const [draw, height] = CELLS[cell.kind];
    const drawing = elman.Drawing.of(WIDTH, height, { role: "img", "aria-label": cell.label });
    draw(drawing, cell);
    node.replaceChildren(drawing.element);
  };
})();
