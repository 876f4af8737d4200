"""Tenants and accelerators of the catalogue: totals as published, splits that make sense, a source for every figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from edgeplan.formulation import (
    Allocation,
    CoCompiledResidency,
    ModelError,
    PlatformError,
    TenancyProblem,
    TenantAllocation,
    TokenResidency,
)
from edgeplan.formulation.tenancy.demands import demands
from edgeplan.profiles import catalogue
from edgeplan.profiles.catalogue.data import Figure
from edgeplan.profiles.catalogue.split import layer_times_us
from pydantic import BaseModel

MIB = 1 << 20
MEASURED = {
    "efficientnet-s": (6.56, 0, 17.31, 9.83),
    "efficientnet-m": (6.74, 1.59, 17.41, 15.85),
    "efficientnet-l": (5.17, 7.13, 13.70, 42.18),
    "mobilenet-v1": (4.21, 0, 11.61, 4.55),
    "mobilenet-v2": (3.75, 0, 10.71, 4.91),
    "inception-v3": (5.67, 17.69, 14.88, 62.95),
    "inception-v4": (6.03, 36.13, 15.71, 125.13),
    "ssd-mobilenet-v1": (None, None, 23.93, 18.03),
    "ssd-mobilenet-v2": (None, None, 24.63, 19.23),
}
"""Published: resident and streamed MiB, switch and service milliseconds."""
WHOLE = {
    "squeezenet": (55, 2.1, 232, 2),
    "inception-v1": (90, 3.4, 392, 4.1),
    "densenet": (380, 20, 1032, 25),
    "inception-resnet-v2": (753, 57, 2852, 69),
    "resnet-50-v1": (484, 49, 1763, 56),
    "resnet-50-v2": (557, 50, 1875, 59),
    "resnet-152-v2": (1823, 128, 5499, 151),
    "vgg16": (867, 296, 4595, 343),
    "vgg19": (1060, 308, 5538, 357),
}
"""Official milliseconds on desktop CPU, USB accelerator, embedded CPU and development board's accelerator."""


def figures_of(model: BaseModel) -> Iterator[Figure]:
    """Every figure somewhere below."""
    values: list[Any] = [value for _, value in model]
    while values:
        value = values.pop()
        if isinstance(value, Figure):
            yield value
        elif isinstance(value, BaseModel):
            values += [below for _, below in value]
        elif isinstance(value, dict):
            values += list(value.values())
        elif isinstance(value, tuple):
            values += list(value)


def all_figures() -> list[Figure]:
    entries = [*catalogue.entries().values(), *catalogue.accelerator_entries().values(), catalogue.experiments()]
    return [figure for entry in entries for figure in figures_of(entry)]


def test_every_figure_has_a_source_and_every_source_is_cited() -> None:
    cited = {figure.source for figure in all_figures()}
    assert cited == set(catalogue.sources())


def test_values_are_the_published_ones_in_other_units() -> None:
    factors = {"ms": 1e3, "MiB": MIB, "G": 1e9, "M": 1e6, "TOPS": 1e12, "GB/s": 1e9, "": 1.0}
    checked = 0
    for figure in all_figures():
        number, _, unit = figure.published.partition(" ")
        exact = float(number) * factors[unit]
        # Bytes are whole; nothing else is rounded.
        assert figure.value == pytest.approx(exact, abs=0.51 if figure.unit == "bytes" else 1e-6), figure
        checked += 1
    assert checked > 150


@pytest.mark.parametrize("model", MEASURED)
def test_the_last_point_has_the_measured_totals_exactly(model: str) -> None:
    on, off, switch, service = MEASURED[model]
    tenant = catalogue.tenant(model)
    assert tenant.streaming_us is not None
    assert tenant.reload_us is not None
    assert tenant.resident_bytes is not None
    assert tenant.accelerator_us[-1] + tenant.streaming_us[-1] == pytest.approx(service * 1e3, abs=1e-9)
    assert tenant.reload_us[-1] == pytest.approx(switch * 1e3, abs=1e-9)
    if on is not None:
        assert int(tenant.resident_bytes[-1]) == round(on * MIB)
        assert int(tenant.weight_bytes[-1]) == round(on * MIB) + round(off * MIB)


@pytest.mark.parametrize("model", MEASURED)
def test_a_whole_model_alone_asks_for_its_measured_times(model: str) -> None:
    """As the solvers and the simulator see it, on the catalogue's accelerator; measured and split tenants alike."""
    _, _, switch, service = MEASURED[model]
    for tenant in (catalogue.tenant(model, name="t"), catalogue.measured_tenant(model, name="t")):
        problem = TenancyProblem.create([tenant], [1.0], catalogue.accelerator("edge-tpu"), 0)
        part = TenantAllocation(tenant="t", point=tenant.n_points - 1)
        asked = demands(problem, Allocation(tenants=(part,)))
        assert asked.service_us[0] == pytest.approx(service * 1e3, abs=1e-9)
        assert asked.reload_us[0] == pytest.approx(switch * 1e3, abs=1e-9)


def test_models_that_were_measured_are_those() -> None:
    found = {catalogue.tenant(model).name for model in MEASURED}
    assert set(catalogue.measured_names()) == found


@pytest.mark.parametrize("model", WHOLE)
def test_other_models_have_official_totals(model: str) -> None:
    desktop_cpu, usb, embedded_cpu, board = WHOLE[model]
    for cpu, cpu_ms, tpu_ms in (("desktop", desktop_cpu, usb), ("embedded", embedded_cpu, board)):
        tenant = catalogue.tenant(model, cpu=cpu)
        assert tenant.streaming_us is not None
        assert tenant.cpu_us[0] == cpu_ms * 1e3
        assert tenant.accelerator_us[-1] + tenant.streaming_us[-1] == pytest.approx(tpu_ms * 1e3, abs=1e-9)
        assert catalogue.official_latency_us(model, f"{cpu}-cpu") == cpu_ms * 1e3


@pytest.mark.parametrize("model", catalogue.names())
@pytest.mark.parametrize("points", [None, 5, 2])
def test_prefixes_cost_more_and_suffixes_less_the_longer_the_prefix(model: str, points: int | None) -> None:
    tenant = catalogue.tenant(model, points=points)
    most = 30 if points is None else points
    assert 2 <= tenant.n_points <= most
    assert points is None or tenant.n_points == most
    for growing in (
        tenant.accelerator_us,
        tenant.streaming_us,
        tenant.reload_us,
        tenant.weight_bytes,
        tenant.resident_bytes,
        -tenant.cpu_us,
    ):
        assert growing is not None
        assert np.all(np.isfinite(growing))
        assert np.all(np.diff(growing) >= 0)
    # No suffix before the last point is free, or a plan could leave it to no core.
    assert np.all(np.diff(tenant.accelerator_us) > 0)
    assert np.all(np.diff(tenant.cpu_us) < 0)
    assert tenant.resident_bytes is not None
    assert np.all(tenant.resident_bytes <= tenant.weight_bytes)
    assert len(set(tenant.points)) == tenant.n_points
    assert tenant.basis == "estimated"
    assert tenant.source


@pytest.mark.parametrize("model", ["densenet-201", "inception-v4", "vgg16"])
def test_fewer_points_are_a_choice_among_the_others(model: str) -> None:
    every, few = catalogue.tenant(model, points=1000), catalogue.tenant(model, points=7)
    at = [every.points.index(name) for name in few.points]
    assert at == sorted(at)
    for key in ("accelerator_us", "cpu_us", "weight_bytes", "resident_bytes", "handover_bytes", "reload_us"):
        np.testing.assert_allclose(getattr(few, key), getattr(every, key)[at])


def test_points_that_are_kept_are_spread_by_work_and_weight() -> None:
    """Between neighbours there is at most a few times what even steps would have, unless a block alone has more."""
    tenant = catalogue.tenant("densenet-201")
    work = tenant.accelerator_us / tenant.accelerator_us[-1] + tenant.weight_bytes / tenant.weight_bytes[-1]
    assert np.max(np.diff(work)) < 3 * 2 / (tenant.n_points - 1)


def test_what_is_resident_comes_first_and_the_rest_is_streamed() -> None:
    tenant = catalogue.tenant("inception-v4", points=1000)
    assert tenant.resident_bytes is not None
    assert tenant.streaming_us is not None
    streams = tenant.weight_bytes > tenant.resident_bytes
    assert 0 < int(np.sum(streams)) < tenant.n_points
    assert np.all(tenant.streaming_us[~streams] == 0)
    assert np.all(np.diff(tenant.resident_bytes[streams]) == 0)
    assert np.all(np.diff(tenant.streaming_us[streams]) > 0)


def test_measured_tenants_run_whole_and_say_measured() -> None:
    for model in catalogue.measured_names():
        tenant = catalogue.measured_tenant(model, name="it")
        assert tenant.name == "it"
        assert tenant.basis == "measured"
        assert tenant.n_points == 2
        assert np.isinf(tenant.cpu_us[0])
        assert "Ibis" in tenant.source


def test_nothing_that_was_not_measured_is_handed_out_as_measured() -> None:
    with pytest.raises(ModelError, match="was measured as a tenant"):
        catalogue.measured_tenant("vgg16")


def test_accelerators_have_the_published_costs() -> None:
    device = catalogue.accelerator("edge-tpu")
    assert device.residency == TokenResidency()
    assert pytest.approx(int(device.weight_capacity_bytes), abs=1) == 6.9 * MIB
    for mib in (0.5, 3.75, 6.03):
        reload_us = device.reload_fixed_us + device.reload_us_per_byte * mib * MIB
        assert reload_us == pytest.approx(1950 + 2300 * mib)
    assert device.streaming_us_per_byte is not None
    assert device.streaming_us_per_byte * MIB == pytest.approx(2709)
    assert device.source
    shared = catalogue.accelerator("Edge TPU co-compiled")
    assert shared.residency == CoCompiledResidency()
    assert shared.model_copy(update={"name": device.name, "residency": device.residency}) == device


def test_the_reload_rule_is_near_the_measured_switches() -> None:
    """A check of the fit that the rule's figures come from, over the seven models whose bytes are published."""
    for on, _, switch, _ in MEASURED.values():
        if on is not None:
            assert 1.95 + 2.30 * on == pytest.approx(switch, rel=0.02)


def test_the_rule_of_layer_costs_is_as_near_as_its_note_says() -> None:
    models = ("squeezenet", "mobilenet-v1", "mobilenet-v2", "inception-v1", "efficientnet-s")
    figures = catalogue.accelerator_entries()["edge-tpu"].figures
    official = np.array([catalogue.official_latency_us(model, "desktop-tpu") for model in models])
    ruled = [layer_times_us(catalogue.architecture(catalogue.tenant(m).name), figures).sum() for m in models]
    error = np.sqrt(np.mean((np.array(ruled) / official - 1.0) ** 2))
    assert error == pytest.approx(0.18, abs=0.005)
    assert "18 %" in figures.bytes.note


def test_threads_have_the_measured_speedups_and_straight_lines_between() -> None:
    speedup = catalogue.thread_speedup()
    assert len(speedup) == 8
    assert (speedup[0], speedup[1], speedup[3], speedup[7]) == (1.0, 1.63, 3.04, 5.04)
    assert speedup[2] == pytest.approx((1.63 + 3.04) / 2)
    assert catalogue.tenant("vgg16").speedup == speedup


@pytest.mark.parametrize("spelling", ["inception_v4", "Inception v4", "INCEPTION-V4", "inception-v4"])
def test_spellings_of_a_name(spelling: str) -> None:
    tenant = catalogue.tenant(spelling)
    assert tenant.name == "inception-v4"
    assert catalogue.tenant(spelling, name=spelling).name == spelling


def test_names_and_aliases_name_one_model_each() -> None:
    every = [key for name, entry in catalogue.entries().items() for key in (name, *entry.aliases)]
    assert len(set(every)) == len(every)
    assert all(key == key.lower().replace("_", "-").replace(" ", "-") for key in every)
    assert set(catalogue.architecture_names()) == set(catalogue.names())


def test_unknown_names_are_refused_with_near_ones() -> None:
    with pytest.raises(ModelError, match="mobilenet-v2"):
        catalogue.tenant("mobilnet-v2")
    with pytest.raises(PlatformError, match="edge-tpu"):
        catalogue.accelerator("edgetpu9")
    with pytest.raises(PlatformError, match="embedded or desktop"):
        catalogue.tenant("vgg16", cpu="phone")  # pyright: ignore[reportArgumentType] a wrong value is the test
    with pytest.raises(ModelError, match="2 or more"):
        catalogue.tenant("vgg16", points=1)
    with pytest.raises(PlatformError, match="board-tpu"):
        catalogue.official_latency_us("vgg16", "phone")
    with pytest.raises(ModelError, match="a published figure"):
        catalogue.official_latency_us("xception", "board-tpu")


def test_a_cpu_latency_that_is_not_published_is_scaled_and_says_so() -> None:
    tenant = catalogue.tenant("inception-v3")
    like = catalogue.architecture("inception-v4")
    ratio = catalogue.architecture("inception-v3").macs / like.macs
    assert tenant.cpu_us[0] == pytest.approx(ratio * catalogue.official_latency_us("inception-v4", "embedded-cpu"))
    assert "scaled" in tenant.source
    assert "no measured total" in catalogue.tenant("xception").source
