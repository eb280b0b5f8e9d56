"""Forecast two series of numbers, a temperature and a price, one hour and 24 hours ahead.

Run ``python examples/time_series.py [--plot FILE]``. Both series are made by a known recipe, so the best possible
forecast is known too: that of a Kalman filter which has the recipe (R. E. Kalman, Journal of Basic Engineering 82,
1960). The LSTM sees only the numbers. It is compared with that filter, with the last value, and with the value at the
same hour of the day before (24 hours ahead, the last two are the same).
"""

import argparse
from pathlib import Path

import numpy as np

from elman import Adam, TimeAffine, TimeLSTM
from elman.plots import COLOURS, new_figure, save
from elman.training.step import TrainingStep
from elman.workers import limited_threads

AHEAD = np.array([1, 24])  # hours
YEAR = 365 * 24
INSIDE = 0.9  # the fraction of values that an interval should hold


class Series:
    """A series (n,): known cycles, plus parts x_t = phi·x_{t-1} + noise·N(0, 1), of which only the sum is seen."""

    def __init__(self, cycles, phi, noise, rng):
        self.cycles, self.phi, self.noise = cycles, np.array(phi), np.array(noise)
        parts = rng.standard_normal((len(cycles), len(phi))) * self.noise  # (n, parts)
        for t in range(1, len(parts)):
            parts[t] += self.phi * parts[t - 1]
        self.values = cycles + parts.sum(axis=1)

    def best_forecasts(self):
        """Return the forecasts (n, 2) of the Kalman filter that knows the cycles, phi and the noise."""
        added = np.diag(self.noise**2)  # what each step adds to the covariance of the parts
        covariance = added  # before the next value is seen: (parts, parts)
        for _ in range(1000):  # until it no longer changes
            gain = covariance.sum(axis=1) / covariance.sum()  # (parts,)
            seen = covariance - np.outer(gain, covariance.sum(axis=0))
            covariance = np.outer(self.phi, self.phi) * seen + added
        parts = np.zeros((len(self.values) + 1, len(self.phi)))  # row t + 1: the parts once value t is seen
        for t, deviation in enumerate(self.values - self.cycles):
            parts[t + 1] = self.phi * parts[t]
            parts[t + 1] += gain * (deviation - parts[t + 1].sum())
        forecasts = parts[1:] @ (self.phi ** AHEAD[:, None]).T  # (n, 2)
        return forecasts + at_later_hours(self.cycles)


def at_later_hours(values):
    """Return for each hour the values 1 and 24 hours later, (n, 2); the last 24 rows are not valid."""
    return np.stack([np.roll(values, -hours) for hours in AHEAD], axis=1)


class Forecaster:
    """An LSTM that reads a number each hour and forecasts two; its loss is the mean squared error."""

    def __init__(self, H, rng):
        def weights(rows, columns):
            return (rng.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)

        self.lstm = TimeLSTM(weights(1, 4 * H), weights(H, 4 * H), np.zeros(4 * H, np.float32), stateful=True)
        self.affine = TimeAffine(weights(H, 2), np.zeros(2, np.float32))
        self.params = self.lstm.params + self.affine.params
        self.grads = self.lstm.grads + self.affine.grads

    def predict(self, xs):
        """Return two forecasts (N, T, 2) at each hour of xs (N, T, 1)."""
        return self.affine.forward(self.lstm.forward(xs))

    def forward(self, xs, ts):
        """Return the mean squared error of the forecasts from xs (N, T, 1), where ts (N, T, 2) is right."""
        self.errors = self.predict(xs) - ts
        return (self.errors**2).mean()

    def backward(self, dout=1.0):
        """Write the gradients of the weights."""
        self.lstm.backward(self.affine.backward(2 * dout * self.errors / self.errors.size))


def forecast(values, inputs, train_hours, hidden, epochs, rng, batch_size=16, time_size=48):
    """Train an LSTM on the first hours of a series, by truncated BPTT; return its forecasts (n, 2) for all hours."""
    changes = at_later_hours(values) - values[:, None]  # what it learns: how far the series will move
    scale = changes[:train_hours].std(axis=0)
    inputs = (inputs - inputs[:train_hours].mean()) / inputs[:train_hours].std()
    length = (train_hours - AHEAD.max()) // batch_size  # hours that each sequence of a batch reads
    xs, ts = inputs.astype(np.float32)[:, None], (changes / scale).astype(np.float32)
    train_xs = xs[: batch_size * length].reshape(batch_size, length, 1)
    train_ts = ts[: batch_size * length].reshape(batch_size, length, 2)
    model, optimizer = Forecaster(hidden, rng), Adam()
    step = TrainingStep(model, optimizer, max_grad=1.0)
    for epoch in range(epochs):
        optimizer.lr = 0.01 * (1 - epoch / epochs)
        model.lstm.reset_state()
        for t in range(0, length, time_size):
            step(train_xs[:, t : t + time_size], train_ts[:, t : t + time_size])
    model.lstm.reset_state()
    return values[:, None] + scale * model.predict(xs[None])[0]


def report(name, values, forecasts, year):
    """Print, and return by forecast, the error in the test year; also what the intervals of the LSTM held."""
    truth, test = at_later_hours(values), slice(3 * year, 4 * year - AHEAD.max())
    found = {who: np.sqrt(((each - truth)[test] ** 2).mean(axis=0)) for who, each in forecasts.items()}
    print(f"{name}\n  {'root mean squared error':30}{'1 hour ahead':>14}{'24 hours ahead':>17}")
    for who, (hour, day) in found.items():
        print(f"  {who:30}{hour:14.3f}{day:17.3f}")
    misses = np.abs(forecasts["LSTM"] - truth)  # (n, 2)
    before = slice(2 * year, 3 * year - AHEAD.max())  # neither trained on nor in the test year
    margins = np.quantile(misses[before], INSIDE, axis=0)
    inside = (misses[test] <= margins).mean(axis=0)
    print(f"  {f'LSTM ± margin for {INSIDE:.0%}':30}{margins[0]:14.2f}{margins[1]:17.2f}")
    print(f"  {'held in the test year':30}{inside[0]:14.1%}{inside[1]:17.1%}")
    return found, margins, inside


def draw(path, values, forecasts, margin):
    """Draw a week of values with the forecasts that were made 24 hours before, and their interval."""
    figure, axes = new_figure(scale="linear")
    band = {"color": COLOURS[5], "alpha": 0.4, "linewidth": 0, "label": f"{INSIDE:.0%} interval"}
    axes.fill_between(range(len(values)), forecasts - margin, forecasts + margin, **band)
    axes.plot(forecasts, color=COLOURS[0], label="forecast made 24 hours before")
    axes.plot(values, ".", color=COLOURS[6], markersize=4, label="temperature")
    axes.set_xlabel("hour of the test year")
    axes.set_ylabel("temperature in °C")
    axes.set_xticks(range(0, len(values) + 1, 24))
    axes.legend(frameon=False, loc="upper left", ncols=3)
    save(figure, Path(path))


def main(arguments=None, year=YEAR, hidden=24, epochs=30):
    """Make both series, forecast them, and print the errors; return what `report` does for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="draw a week of temperatures with their forecasts")
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    hours = np.arange(4 * year)  # two years to train on, one to measure the margins in, one to test
    cycles = 10 - 9 * np.cos(2 * np.pi * hours / year) - 4 * np.cos(2 * np.pi * (hours - 3) / 24)
    temperature = Series(cycles, phi=(0.98, 0.6), noise=(0.3, 0.4), rng=rng)
    level = np.full(4 * year, 100.0)
    price = Series(level, phi=(1.0, 0.8), noise=(1.0, 1.0), rng=rng)  # phi = 1 is a random walk
    moves = np.diff(price.values, prepend=100.0)  # a price has no usual level to scale by, but its moves have
    results = {}
    for name, series, inputs in (("temperature", temperature, temperature.values), ("price", price, moves)):
        values, forecasts = series.values, {}  # (n, 2) each
        forecasts["last value"] = np.stack([values, values], axis=1)
        forecasts["same hour of the day before"] = np.stack([np.roll(values, 23), values], axis=1)
        with limited_threads(0):  # one thread: the products are small
            forecasts["LSTM"] = forecast(values, inputs, 2 * year, hidden, epochs, rng)
        forecasts["best possible"] = series.best_forecasts()
        results[name] = found, margins, _ = report(name, values, forecasts, year)
        if options.plot and name == "temperature":
            week = slice(3 * year, 3 * year + 7 * 24)
            draw(options.plot, values[week], np.roll(forecasts["LSTM"][:, 1], 24)[week], margins[1])
    gain = 1 - found["best possible"] / found["last value"]
    print(f"price: even the best forecast is only {gain[0]:.1%} and {gain[1]:.1%} better than the last value")
    return results


if __name__ == "__main__":
    main()
