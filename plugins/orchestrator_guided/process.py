"""A Gaussian process over coded choices, with one length scale a question and a trend.

k(x, x') = a · exp(−Σ_p e^θp · d_p) + b · (1 + mean_f(u u' + ¼ u² u'²)) + z · [x = x']

d_p is the squared distance of two codes in the columns of question p (see `Question`), u are
features that the trend goes by. Hyper-parameters are the most probable ones under weak priors
(Rasmussen and Williams 2006): θp = log(2 / questions) + c + δp with c ~ N(0, 1) and δp ~ N(0, 0.4),
so that a question has a scale of its own only where the observations say so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

__all__ = ["Observations", "Process"]

Floats = NDArray[np.float64]

_STEPS = 12
_SPREAD = 0.4
_NOISE, _NOISE_SPREAD = np.log(0.05), 1.5
# Hyper-parameters are learnt from so many observations, which is where the time goes.
_MOST_FITTED = 200
_JITTER = 1e-8


@dataclass(frozen=True)
class Observations:
    """Codes (n, columns), features (n, f) and what was observed (n,).

    `questions` (columns,) says which question each column belongs to, counted from 0.
    """

    codes: Floats
    features: Floats
    values: Floats
    questions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, chosen: NDArray[np.int64]) -> Observations:
        """Some of them."""
        return Observations(
            self.codes[chosen], self.features[chosen], self.values[chosen], self.questions
        )


@dataclass
class Process:
    """Fitted by `learn`, conditioned on observations by `see`, then asked."""

    scales: Floats = field(default_factory=lambda: np.zeros(0))
    common: float = 0.0
    signal: float = 0.0
    trend: float = 0.0
    noise: float = _NOISE
    _seen: Observations | None = None
    _centre: float = 0.0
    _width: float = 1.0

    def learn(self, told: Observations, rng: np.random.Generator) -> None:
        """Hyper-parameters, from where they were; some ten milliseconds."""
        if len(told) > _MOST_FITTED:
            told = told.rows(np.sort(rng.permutation(len(told))[:_MOST_FITTED]))
        count = int(told.questions.max()) + 1 if told.questions.size else 0
        self._grow(count)
        fit = _Fit(told, _standard(told.values)[0])
        start = np.concatenate([self.scales, [self.common, self.signal, self.trend, self.noise]])
        found = optimize.minimize(
            fit,
            start,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _STEPS},
            bounds=[(-8.0, 8.0)] * len(start),
        ).x
        self.scales = found[:count]
        self.common, self.signal, self.trend, self.noise = (float(x) for x in found[count:])

    def see(self, told: Observations) -> None:
        """Condition on these. Cost: n³ / 3."""
        self._grow(int(told.questions.max()) + 1 if told.questions.size else 0)
        values, self._centre, self._width = _standard(told.values)
        self._seen = told
        self._scaled = self._stretched(told.codes, told.questions)
        covariance = self._between(self._scaled, told.features, self._scaled, told.features)
        covariance[np.diag_indices_from(covariance)] += np.exp(self.noise) + _JITTER
        self._factor = linalg.cho_factor(covariance, lower=True, check_finite=False)
        self._weights = linalg.cho_solve(self._factor, values, check_finite=False)

    def ask(self, codes: Floats, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation, without noise, at codes (m, columns): (m,) each."""
        assert self._seen is not None
        scaled = self._stretched(codes, self._seen.questions)
        cross = self._between(scaled, features, self._scaled, self._seen.features)
        mean = cross @ self._weights
        solved = linalg.solve_triangular(self._factor[0], cross.T, lower=True, check_finite=False)
        own = np.exp(self.signal) + np.exp(self.trend) * (1 + _self_trend(features))
        variance = np.maximum(own - (solved**2).sum(0), 1e-10)
        return self._centre + self._width * mean, self._width * np.sqrt(variance)

    def _grow(self, count: int) -> None:
        """Questions that are new have the scale common to all."""
        self.scales = np.concatenate([self.scales, np.zeros(max(0, count - len(self.scales)))])

    def _stretched(self, codes: Floats, questions: NDArray[np.int64]) -> Floats:
        scaled: Floats = codes * np.exp(0.5 * _rates(self.scales, self.common))[questions]
        return scaled

    def _between(self, a: Floats, ua: Floats, b: Floats, ub: Floats) -> Floats:
        apart = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
        near = np.exp(self.signal - np.maximum(apart, 0.0))
        found: Floats = near + np.exp(self.trend) * (1 + _trend(ua, ub))
        return found


class _Fit:
    """Minus the logarithm of the posterior of hyper-parameters, and its gradient."""

    def __init__(self, told: Observations, values: Floats) -> None:
        self._values = values
        self._trend = 1 + _trend(told.features, told.features)
        count = int(told.questions.max()) + 1 if told.questions.size else 0
        self._apart = (
            np.stack([_distances(told.codes[:, told.questions == p]) for p in range(count)])
            if count
            else np.zeros((0, len(values), len(values)))
        )

    def __call__(self, parameters: Floats) -> tuple[float, Floats]:
        count = len(self._apart)
        scales, (common, signal, trend, noise) = parameters[:count], parameters[count:]
        rates = np.exp(_rates(scales, common))
        near = np.exp(signal - np.tensordot(rates, self._apart, 1))
        trended = np.exp(trend) * self._trend
        covariance = near + trended
        covariance[np.diag_indices_from(covariance)] += np.exp(noise) + _JITTER
        factor = linalg.cholesky(covariance, lower=True, check_finite=False)
        inverse = linalg.cho_solve((factor, True), np.eye(len(factor)), check_finite=False)
        weights = inverse @ self._values
        half = 0.5 * (inverse - np.outer(weights, weights))
        by_scale = -rates * np.tensordot(self._apart, half * near, 2)
        gradient = np.concatenate(
            [
                by_scale + scales / _SPREAD**2,
                [
                    by_scale.sum() + common,
                    (half * near).sum() + signal,
                    (half * trended).sum() + trend,
                    np.exp(noise) * np.trace(half) + (noise - _NOISE) / _NOISE_SPREAD**2,
                ],
            ]
        )
        prior = (scales**2).sum() / _SPREAD**2 + common**2 + signal**2 + trend**2
        prior += ((noise - _NOISE) / _NOISE_SPREAD) ** 2
        fitted = 0.5 * self._values @ weights + np.log(np.diag(factor)).sum()
        return float(fitted + 0.5 * prior), gradient


def _rates(scales: Floats, common: float) -> Floats:
    found: Floats = np.log(2 / max(1, len(scales))) + common + scales
    return found


def _standard(values: Floats) -> tuple[Floats, float, float]:
    """Centred and of spread 1, with both."""
    centre, width = float(values.mean()), float(values.std())
    width = width if width > 1e-12 else 1.0
    return (values - centre) / width, centre, width


def _trend(a: Floats, b: Floats) -> Floats:
    """(n, m): mean over features of u u' + ¼ u² u'²; 0 without features."""
    if not a.shape[1]:
        return np.zeros((len(a), len(b)))
    found: Floats = (a @ b.T + 0.25 * a**2 @ (b**2).T) / a.shape[1]
    return found


def _self_trend(a: Floats) -> Floats:
    if not a.shape[1]:
        return np.zeros(len(a))
    found: Floats = (a**2 + 0.25 * a**4).mean(1)
    return found


def _distances(codes: Floats) -> Floats:
    length = (codes**2).sum(1)
    found: Floats = np.maximum(length[:, None] + length[None] - 2 * codes @ codes.T, 0.0)
    return found
