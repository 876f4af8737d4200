import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def approximate_wait_kernel(rate, m, tau, bscv, tscv):
    n = len(rate)
    L = rate.sum()
    p = rate / L
    rho = 0.0
    es2 = 0.0
    ybar = 0.0
    cov = 0.0
    sbar = 0.0
    num = 0.0
    den = 0.0
    for j in range(n):
        s = m[j] + (1 - p[j]) * tau[j]
        y = p[j] * tau[j]
        rho += rate[j] * s
        sbar += p[j] * s
        ybar += p[j] * y
        cov += p[j] * y * s
        es2 += p[j] * (m[j] ** 2 * (1 + bscv[j]) + (1 - p[j]) * (2 * m[j] * tau[j] + tau[j] ** 2 * (1 + tscv[j])))
        q = p[j] * np.exp(-L * m[j]) * (p[j] + (1 - p[j]) * np.exp(-L * tau[j]))
        num += q * y
        den += q
    if rho >= 1:
        return np.inf
    cov -= ybar * sbar
    return max(0.0, L * (es2 - 2 * cov) / (2 * (1 - rho)) + ybar - num / den)


@njit(cache=True, nogil=True)
def _F(s, L, p, m, tau):
    f = 1.0
    for i in range(len(p)):
        b = np.exp(-s * m[i])
        t = np.exp(-s * tau[i])
        D = L - s - L * p[i] * b * (1 - t)
        f -= L * p[i] * b * t / D
    return f


@njit(cache=True, nogil=True)
def mean_wait_kernel(rate, m, tau, bscv, tscv):
    # equal roots: perturb; placeholder
    n = len(rate)
    L = rate.sum()
    p = rate / L
    rho = 0.0
    for j in range(n):
        rho += rate[j] * (m[j] + (1 - p[j]) * tau[j])
    if rho >= 1:
        return np.inf
    if n == 1 or tau.max() == 0.0:
        es2 = 0.0
        for j in range(n):
            es2 += p[j] * m[j] ** 2 if n > 1 else m[j] ** 2
        return L * es2 / (2 * (1 - rho))
    m = m.copy()
    tau = tau.copy()
    roots = np.empty(n)
    for i in range(n):
        lo = L * (1 - p[i])
        hi = L
        for _ in range(60):
            x = 0.5 * (lo + hi)
            b = np.exp(-x * m[i])
            t = np.exp(-x * tau[i])
            d = L - x - L * p[i] * b * (1 - t)
            if d > 0:
                lo = x
            else:
                hi = x
        roots[i] = 0.5 * (lo + hi)
    o = np.argsort(roots)
    p = p[o]
    m = m[o]
    tau = tau[o]
    roots = roots[o]
    for i in range(1, n):
        if roots[i] - roots[i - 1] < 1e-9 * L:
            return np.nan
    A = np.zeros((n, n))
    rhs = np.zeros(n)
    for k in range(n - 1):
        a0 = roots[k]
        b0 = roots[k + 1]
        lo = a0
        hi = b0
        # sign just above a0
        w = b0 - a0
        sl = _F(a0 + 1e-7 * w, L, p, m, tau)
        lo = a0 + 1e-7 * w
        hi = b0 - 1e-7 * w
        for _ in range(60):
            x = 0.5 * (lo + hi)
            f = _F(x, L, p, m, tau)
            if (f > 0) == (sl > 0):
                lo = x
            else:
                hi = x
        z = 0.5 * (lo + hi)
        for i in range(n):
            b = np.exp(-z * m[i])
            t = np.exp(-z * tau[i])
            A[k, i] = L / (L - z - L * p[i] * b * (1 - t))
    A[n - 1, :] = 1.0
    rhs[n - 1] = 1 - rho
    x = np.linalg.solve(A, rhs)
    n1 = 0.0
    f2 = 0.0
    for i in range(n):
        u = 1 / L + p[i] * tau[i]
        v = p[i] * (tau[i] ** 2 / 2 + m[i] * tau[i])
        a = m[i] + tau[i]
        a2 = a * a
        n1 += x[i] * u / L
        f2 -= p[i] * (a2 / 2 - a * u + u * u - v)
    n0 = (1 - rho) / L
    f1 = -(1 - rho) / L
    return (n1 * f1 - n0 * f2) / f1**2
