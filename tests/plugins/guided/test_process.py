"""What a process learns its hyper-parameters by."""

from __future__ import annotations

import numpy as np
import pytest
from orchestrator_guided.process import Observations, Process, _Fit
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal


def observed(count: int) -> Observations:
    rng = np.random.default_rng(0)
    codes = 0.7 * (rng.random((count, 6)) < 0.4)
    values = codes @ rng.normal(size=6) + 0.1 * rng.normal(size=count)
    features, variances = rng.normal(size=(count, 2)), 0.1 * rng.random(count)
    return Observations(codes, features, values, variances, ["a", "a", "b", "b", "c", "c"])


def test_the_slope_of_the_fit_is_that_of_its_value() -> None:
    fit = _Fit(observed(20), ["a", "b", "c"])
    at = np.array([0.1, -0.2, 0.3, 0.2, -0.1, 0.4, -2.0])
    by_steps = approx_fprime(at, lambda x: fit(x)[0], 1e-6)
    assert fit(at)[1] == pytest.approx(by_steps, abs=1e-4)


def test_the_fit_is_the_likelihood_of_what_was_observed() -> None:
    told = observed(12)
    process = Process(dict.fromkeys("abc", 0.2), common=0.1, signal=-0.1, trend=0.2, noise=-2.0)
    process.see(told)
    a, ua = process._scaled, told.features
    own = np.exp(-2.0) + 1e-8 + told.variances / process._width**2
    covariance = process._between(a, ua, a, ua) + np.diag(own)
    values = (told.values - process._centre) / process._width
    likely = multivariate_normal(np.zeros(12), covariance).logpdf(values)
    scales, others = [0.2, 0.2, 0.2], [0.1, -0.1, 0.2, -2.0]
    prior = 3 * 0.2**2 / 0.4**2 + 0.1**2 + 0.1**2 + 0.2**2 + ((-2 - np.log(0.05)) / 1.5) ** 2
    found = _Fit(told, ["a", "b", "c"])(np.array([*scales, *others]))[0]
    assert found == pytest.approx(-likely - 6 * np.log(2 * np.pi) + prior / 2)
