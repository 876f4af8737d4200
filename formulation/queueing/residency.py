from dataclasses import dataclass

import numpy as np

from .swapping import mean_wait_kernel


@dataclass
class AcceleratorStage:
    wait_us: float
    utilisation: float
    swap_probability: np.ndarray
    exact: bool
    second: float
    share: np.ndarray

    def departure_scv(self, i):
        return 1.0 + self.share[i] * (self.second - 2 * self.utilisation**2)


def accelerator_wait(rate_hz, service, reload, sets, resident, cap, kind, scv):
    on = sets >= 0
    r = np.where(on, rate_hz, 0) / 1e6
    L = r.sum()
    if L == 0:
        return AcceleratorStage(0.0, 0.0, np.zeros(len(r)), True, 0.0, r)
    p = r / L
    if kind == "token":
        swap = np.where(on, 1 - p, 0)
    elif kind == "co_compiled":
        P = np.array([p[sets == sets[i]].sum() for i in range(len(r))])
        swap = np.where(on, (1 - P) / (1 - P + p + 1e-300), 0)
    else:
        raise NotImplementedError
    util = (r * (service + swap * reload)).sum()
    second = L * (r * (service**2 * (1 + scv) + swap * reload * (2 * service + reload))).sum()
    if util >= 1:
        return AcceleratorStage(np.inf, util, swap, True, second, p)
    if kind == "token":
        w = mean_wait_kernel(r[on], service[on], reload[on], scv[on], 0 * scv[on])
    else:
        w = second / L / 2 / (1 - util)
    return AcceleratorStage(w, util, swap, True, second, p)
