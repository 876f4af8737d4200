import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def gigc_wait_kernel(rate, arrival_scv, service, scv, servers):
    if rate <= 0:
        return 0.0
    a = rate * service
    c = servers
    if c < 1 or a >= c:
        return np.inf
    b = 1.0
    for j in range(1, c + 1):
        b = a * b / (j + a * b)
    rho = a / c
    pw = b / (1 - rho * (1 - b))
    mmc = pw * service / (c * (1 - rho))
    md = 0.5 * (1 + (c - 1) * (np.sqrt(4 + 5 * c) - 2) / (16 * c) * (1 - rho) / rho) * mmc
    mg = (1 + scv) / (2 * scv / mmc + (1 - scv) / md) if mmc > 0 else 0.0
    return mg * (arrival_scv + scv) / (1 + scv)


def gigc_wait_us(rate_hz, ascv, s, scv, c):
    return gigc_wait_kernel(rate_hz / 1e6, ascv, s, scv, c)
