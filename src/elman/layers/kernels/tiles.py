"""Products of a few rows with one matrix again and again, for compiled functions: h_{t-1}·Wh in a loop over time.

A BLAS copies the matrix into an order of its own before every product, which pays for hundreds of rows, not for one
minibatch. Here `packed` copies it once a block, into panels of `WIDTH` columns, and a tile of `ROWS` rows and one panel
is summed in registers. No compiler finds this form from a loop over numbers, so it is built from vector instructions.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from elman.arrays import Array, Buffers, contiguous
from elman.numba_jit import jit, jit_as

FEW, MANY = 2, 128  # rows: up to FEW a loop over numbers is as fast, above MANY the BLAS
LANES = 16  # numbers in a vector; one register with AVX-512, two with AVX2


def width() -> int:
    """Return how many columns of sums in `ROWS` rows fill the registers; 0 on a processor of another kind."""
    units = np.show_config(mode="dicts").get("SIMD Extensions", {})  # NumPy leaves out what is empty
    present = {*units.get("baseline", ()), *units.get("found", ())}
    if present & {"AVX512F", "X86_V4"}:  # 32 registers
        return 4 * LANES
    return LANES if present & {"AVX2", "X86_V3"} else 0  # 16 registers of half the size


ROWS, WIDTH = 6, width()


def packed(W: Array, steps: int, rows: int, buffers: Buffers, name: str) -> Array:
    """Return W (K, G) as panels (P, K, WIDTH), a copy kept as ``name``, if that pays for so many products and rows.

    The last panel begins `WIDTH` columns before the end, so that some columns are in two panels. Elsewhere return W,
    in row-major order.
    """
    K, G = W.shape
    if steps == 1 or not FEW < rows <= MANY or not 0 < WIDTH <= G:
        return contiguous(W)
    panels = buffers.get(name, (-(-G // WIDTH), K, WIDTH), W)
    for p, panel in enumerate(panels):
        j = min(p * WIDTH, G - WIDTH)
        panel[...] = W[:, j : j + WIDTH]
    return panels


def can_multiply(rows: int, W: Array) -> bool:
    """Return whether compiled functions make the products with W, a result of `packed`; if not, the BLAS must."""
    return rows <= FEW or W.ndim == 3


def tile(rows: int) -> Callable[..., None]:
    """Return the product of ``rows`` rows with a panel, as vector instructions where it is compiled."""

    def product(x: Array, n: int, panel: Array, out: Array, j: int) -> None:
        """Rows of out from n on, columns from j on = rows of x from n on · panel; the rows of all are contiguous."""
        out[n : n + rows, j : j + WIDTH] = x[n : n + rows] @ panel

    def typed(_: Any, x: Any, n: Any, panel: Any, out: Any, j: Any) -> Any:
        from numba.core.types import void

        return void(x, n, panel, out, j), build

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        ir: Any = import_module("llvmlite.ir")
        size, number = ir.IntType(64), ir.FloatType()
        vector = ir.VectorType(number, LANES)
        every_lane, fused = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES), ["contract"]
        _, n, _, _, j = arguments
        x, panel, out = (
            context.make_array(signature.args[k])(context, builder, arguments[k]) for k in (0, 2, 3)
        )

        def row(array: Any, k: Any) -> Any:
            """Return the address of row k."""
            start = builder.bitcast(array.data, ir.IntType(8).as_pointer())
            offset = builder.mul(k, builder.extract_value(array.strides, 0))
            return builder.bitcast(builder.gep(start, [offset]), number.as_pointer())

        def vectors(row: Any, column: Any) -> list[Any]:
            """Return the addresses of the vectors of WIDTH numbers from a column on."""
            places = [builder.add(column, size(lane)) for lane in range(0, WIDTH, LANES)]
            return [builder.bitcast(builder.gep(row, [place]), vector.as_pointer()) for place in places]

        x_rows = [row(x, builder.add(n, size(r))) for r in range(rows)]
        before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
        builder.branch(loop)

        builder.position_at_end(loop)  # for every k the sums get x[:, k] times the vectors of panel[k]
        k = builder.phi(size)
        sums = [[builder.phi(vector) for _ in range(0, WIDTH, LANES)] for _ in range(rows)]
        factors = [builder.load(place, align=4) for place in vectors(row(panel, k), size(0))]
        added = []
        for x_row, row_sums in zip(x_rows, sums, strict=True):
            address = builder.bitcast(builder.gep(x_row, [k]), ir.VectorType(number, 1).as_pointer())
            one_lane = builder.load(address, align=4)
            x_k = builder.shuffle_vector(one_lane, one_lane, every_lane)
            terms = [builder.fmul(x_k, factor, flags=fused) for factor in factors]
            added.append([builder.fadd(*pair, flags=fused) for pair in zip(row_sums, terms, strict=True)])
            for total, more in zip(row_sums, added[-1], strict=True):
                total.add_incoming(ir.Constant(vector, [0.0] * LANES), before)
                total.add_incoming(more, loop)
        k_next = builder.add(k, size(1))
        k.add_incoming(size(0), before)
        k.add_incoming(k_next, loop)
        builder.cbranch(builder.icmp_signed("<", k_next, builder.extract_value(x.shape, 1)), loop, after)

        builder.position_at_end(after)
        for r in range(rows):
            for place, total in zip(vectors(row(out, builder.add(n, size(r))), j), added[r], strict=True):
                builder.store(total, place, align=4)
        return context.get_dummy_value()

    return jit_as(product, typed)


six_rows, two_rows, one_row = tile(ROWS), tile(2), tile(1)


@jit
def multiply(x: Array, W: Array, out: Array) -> None:
    """out (N, G) = x (N, K) · W (K, G), or W in panels (P, K, WIDTH)."""
    if W.ndim == 2:
        multiply_rows(x, W, out)
        return
    N, G = out.shape
    width = W.shape[2]
    for p in range(len(W)):
        panel, j = W[p], min(p * width, G - width)
        if width != WIDTH:  # in code from a cache that another processor filled
            multiply_rows(x, panel, out[:, j : j + width])
            continue
        n = 0
        while n + ROWS <= N:
            six_rows(x, n, panel, out, j)
            n += ROWS
        while n + 2 <= N:
            two_rows(x, n, panel, out, j)
            n += 2
        if n < N:
            one_row(x, n, panel, out, j)


@jit
def multiply_rows(x: Array, W: Array, out: Array) -> None:
    """out (N, G) = x (N, K) · W (K, G), row by row."""
    N, G = out.shape
    for n in range(N):
        for g in range(G):
            out[n, g] = 0
        add_product(x[n], W, out[n])


@jit
def add_product(x: Array, W: Array, out: Array) -> None:
    """out (G,) += x (K,) · W (K, G), four rows of W at a time so that `out` is read and written less often."""
    K, G = W.shape
    fours = K - K % 4
    for k in range(0, fours, 4):
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        W0, W1, W2, W3 = W[k], W[k + 1], W[k + 2], W[k + 3]
        for j in range(G):
            out[j] += x0 * W0[j] + x1 * W1[j] + x2 * W2[j] + x3 * W3[j]
    for k in range(fours, K):
        for j in range(G):
            out[j] += x[k] * W[k, j]
