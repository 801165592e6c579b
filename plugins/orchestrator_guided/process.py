"""A Gaussian process over coded choices, with one length scale a question and a trend.

k(x, x') = a · exp(−Σ_p e^θp · d_p) + b · (1 + mean_f(u u' + ¼ u² u'²)) + (z + v) · [x = x']

d_p is the squared distance of two codes in the columns of question p (see `Question`), u are
features that the trend goes by, v what is known of an observation's own variance.
Hyper-parameters are the most probable ones under weak priors (Rasmussen and Williams 2006):
θp = log(2 / questions) + c + δp with c ~ N(0, 1) and δp ~ N(0, 0.4), so that a question has a scale
of its own only where the observations say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

__all__ = ["Observations", "Process"]

Floats = NDArray[np.float64]

_STEPS = 20
_SPREAD = 0.4
_NOISE, _NOISE_SPREAD = float(np.log(0.05)), 1.5
_JITTER = 1e-8
# Nothing is learnt of how two equal answers differ.
_BOUNDS = (-8.0, 8.0)


@dataclass(frozen=True)
class Observations:
    """Codes (n, columns), features (n, f), what was observed (n,) and its own variance (n,).

    `questions` (columns) says which question each column belongs to.
    """

    codes: Floats
    features: Floats
    values: Floats
    variances: Floats
    questions: Sequence[str]

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, chosen: NDArray[np.int64]) -> Observations:
        """Some of them."""
        return replace(
            self,
            codes=self.codes[chosen],
            features=self.features[chosen],
            values=self.values[chosen],
            variances=self.variances[chosen],
        )

    def joined(self, other: Observations) -> Observations:
        """With others of the same questions."""
        return replace(
            self,
            codes=np.concatenate([self.codes, other.codes]),
            features=np.concatenate([self.features, other.features]),
            values=np.concatenate([self.values, other.values]),
            variances=np.concatenate([self.variances, other.variances]),
        )


class Mean(Protocol):
    """What is expected at codes, and how much of it observations bear out."""

    def mean(self, codes: Floats) -> Floats:
        """(n,) at codes (n, columns)."""

    def weight(self, told: Observations) -> float:
        """In [0, 1]."""


@dataclass
class Process:
    """Fitted by `learn`, conditioned on observations by `see`, then asked."""

    scales: dict[str, float] = field(default_factory=dict)
    common: float = 0.0
    signal: float = 0.0
    trend: float = 0.0
    noise: float = _NOISE
    # What is expected before anything is observed; None: the same everywhere.
    prior: Mean | None = None
    _seen: Observations | None = None
    _share: float = 0.0

    def learn(self, told: Observations) -> None:
        """Hyper-parameters, from these alone: the same ones make the same. Cost: n³ a step."""
        told = self._beyond_prior(told)
        asked = np.flatnonzero(told.codes.any(0))
        names = sorted({told.questions[int(column)] for column in asked})
        fit = _Fit(told, names)
        start = np.concatenate([np.zeros(len(names) + 3), [_NOISE]])
        found = optimize.minimize(
            fit,
            start,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _STEPS},
            bounds=[_BOUNDS] * len(start),
        ).x
        self.scales = dict(zip(names, found[: len(names)], strict=True))
        self.common, self.signal, self.trend, self.noise = (float(x) for x in found[len(names) :])

    def see(self, told: Observations) -> None:
        """Condition on these. Cost: n³ / 3."""
        if self.prior is not None:
            self._share = self.prior.weight(told)
        _, self._centre, self._width = _standard(told.values - self._foreseen(told.codes))
        self._condition(told)

    def believe(self, new: Observations) -> None:
        """Condition on more; what is expected anyhow leaves less unknown, and nothing else."""
        assert self._seen is not None
        self._condition(self._seen.joined(new))

    def _condition(self, told: Observations) -> None:
        values = (told.values - self._foreseen(told.codes) - self._centre) / self._width
        self._seen = told
        self._stretch = np.exp(0.5 * self._rates(told.questions))
        self._scaled = told.codes * self._stretch
        covariance = self._between(self._scaled, told.features, self._scaled, told.features)
        own = np.exp(self.noise) + _JITTER + told.variances / self._width**2
        covariance[np.diag_indices_from(covariance)] += own
        self._factor = linalg.cho_factor(covariance, lower=True, check_finite=False)
        self._weights = linalg.cho_solve(self._factor, values, check_finite=False)
        self._trended = (told.features.T @ self._weights, (told.features**2).T @ self._weights)

    def expect(self, codes: Floats, features: Floats) -> Floats:
        """Means (m,) at codes (m, columns); the trend's part costs no (m, observations)."""
        by_choice = self._near(codes * self._stretch, self._scaled) @ self._weights
        linear, square = self._trended
        trended = features @ linear + 0.25 * features**2 @ square
        by_trend = self._weights.sum() + trended / max(1, features.shape[1])
        mean: Floats = self._centre + self._width * (by_choice + np.exp(self.trend) * by_trend)
        return mean + self._foreseen(codes)

    def ask(self, codes: Floats, features: Floats) -> tuple[Floats, Floats]:
        """Means and standard deviations, without noise, at codes (m, columns): (m,) each."""
        across = self._across(codes, features)
        mean = self._centre + self._width * (across @ self._weights) + self._foreseen(codes)
        solved = linalg.solve_triangular(self._factor[0], across.T, lower=True, check_finite=False)
        own = np.exp(self.signal) + np.exp(self.trend) * (1 + _self_trend(features))
        variance = np.maximum(own - (solved**2).sum(0), 1e-10)
        return mean, self._width * np.sqrt(variance)

    @property
    def own(self) -> float:
        """The standard deviation of what an observation has for itself."""
        return self._width * float(np.exp(0.5 * self.noise))

    def _beyond_prior(self, told: Observations) -> Observations:
        """What is left to be learnt of these, by as much of the prior as they bear out."""
        if self.prior is None:
            return told
        share = self.prior.weight(told)
        return replace(told, values=told.values - share * self.prior.mean(told.codes))

    def _foreseen(self, codes: Floats) -> Floats:
        """The prior's part (n,) of what is expected."""
        if self.prior is None or not self._share:
            return np.zeros(len(codes))
        found: Floats = self._share * self.prior.mean(codes)
        return found

    def _across(self, codes: Floats, features: Floats) -> Floats:
        assert self._seen is not None
        return self._between(codes * self._stretch, features, self._scaled, self._seen.features)

    def _rates(self, questions: Sequence[str]) -> Floats:
        """Of each column; a question that is new has the scale common to all."""
        scales = np.array([self.scales.get(name, 0.0) for name in questions])
        return _log_rates(scales, self.common, len(self.scales))

    def _between(self, a: Floats, ua: Floats, b: Floats, ub: Floats) -> Floats:
        found: Floats = _trend(ua, ub)
        found += 1
        found *= np.exp(self.trend)
        found += self._near(a, b)
        return found

    def _near(self, a: Floats, b: Floats) -> Floats:
        """(n, m): what equal choices share; in place, as these arrays are what a proposal costs."""
        found: Floats = a @ b.T
        found *= 2
        found -= (a**2).sum(1)[:, None]
        found -= (b**2).sum(1)
        np.minimum(found, 0.0, out=found)
        found += self.signal
        return np.exp(found, out=found)


class _Fit:
    """Minus the logarithm of the posterior of hyper-parameters, and its gradient.

    All matrices are symmetric: of each are kept what lies beside its diagonal, in the order of
    `beside`, and the diagonal, where two answers are no distance apart.
    """

    def __init__(self, told: Observations, names: Sequence[str]) -> None:
        self._values, _, width = _standard(told.values)
        self._variances = told.variances / width**2
        # As LAPACK has matrices by columns, these lie below its diagonal.
        side = (len(told), len(told))
        self._beside = np.ravel_multi_index(np.triu_indices(len(told), 1), side)
        trend = 1 + _trend(told.features, told.features)
        self._trend, self._own_trend = trend.take(self._beside), np.diag(trend).copy()
        questions = np.array(told.questions)
        self._apart = np.zeros((len(names), len(self._trend)))
        for place, name in enumerate(names):
            self._apart[place] = _distances(told.codes[:, questions == name]).take(self._beside)

    def __call__(self, parameters: Floats) -> tuple[float, Floats]:
        count = len(self._apart)
        scales, (common, signal, trend, noise) = parameters[:count], parameters[count:]
        rates = np.exp(_log_rates(scales, common, count))
        near, own = np.exp(signal - rates @ self._apart), np.exp(signal)
        factor = self._factor(near + np.exp(trend) * self._trend, own, parameters)
        half, half_own, fitted = self._slopes(factor)
        near *= half
        by_scale = -2 * rates * (self._apart @ near)
        by_trend = 2 * half @ self._trend + half_own @ self._own_trend
        gradient = np.concatenate(
            [
                by_scale + scales / _SPREAD**2,
                [
                    by_scale.sum() + common,
                    2 * near.sum() + own * half_own.sum() + signal,
                    np.exp(trend) * by_trend + trend,
                    np.exp(noise) * half_own.sum() + (noise - _NOISE) / _NOISE_SPREAD**2,
                ],
            ]
        )
        prior = (scales**2).sum() / _SPREAD**2 + common**2 + signal**2 + trend**2
        prior += ((noise - _NOISE) / _NOISE_SPREAD) ** 2
        return float(fitted + 0.5 * prior), gradient

    def _factor(self, beside: Floats, own: float, parameters: Floats) -> Floats:
        """The lower Cholesky factor of the covariance."""
        trend, noise = np.exp(parameters[-2:])
        side = len(self._values)
        covariance = np.zeros(side * side)
        covariance[self._beside] = beside
        covariance[:: side + 1] = own + trend * self._own_trend + noise + _JITTER + self._variances
        by_columns = covariance.reshape(side, side).T
        found: Floats = linalg.cholesky(
            by_columns, lower=True, overwrite_a=True, check_finite=False
        )
        return found

    def _slopes(self, factor: Floats) -> tuple[Floats, Floats, float]:
        """By the covariance beside its diagonal and on it; minus the likelihood's logarithm."""
        weights = linalg.cho_solve((factor, True), self._values, check_finite=False)
        # Half of the inverse is all that is asked for; a third of what solving costs.
        inverse, _ = linalg.lapack.dpotri(factor, lower=True)
        half = inverse.T.take(self._beside)
        half -= np.outer(weights, weights).take(self._beside)
        half *= 0.5
        half_own = 0.5 * (np.diag(inverse) - weights**2)
        return half, half_own, 0.5 * self._values @ weights + np.log(np.diag(factor)).sum()


def _log_rates(scales: Floats, common: float, questions: int) -> Floats:
    found: Floats = np.log(2 / max(1, questions)) + common + scales
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
    found: Floats = a @ b.T
    found += 0.25 * a**2 @ (b**2).T
    found /= a.shape[1]
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
