"""A scenario of two tenants of an accelerator with little memory."""

from __future__ import annotations

from typing import Any

SCENARIO: dict[str, Any] = {
    "schema_version": 1,
    "name": "camera and classifier",
    "accelerator": {
        "name": "edge-tpu",
        "weight_capacity_bytes": "6.9 MiB",
        "reload_fixed_us": 1950,
        "reload_us_per_byte": 0.002,
        "streaming_us_per_byte": 0.0025,
        "handover_fixed_us": 100,
    },
    "cpu_cores": 2,
    "tenants": [
        {
            "name": "detector",
            "points": {
                "accelerator_us": [0, 6000, 11000],
                "cpu_us": [60000, 15000, 0],
                "weight_bytes": [0, "2 MiB", "5 MiB"],
                "names": ["nothing", "backbone", "everything"],
            },
            "arrival": {"kind": "poisson", "rate_hz": 12},
        },
        {
            "name": "classifier",
            "whole": {"service_us": 4910, "reload_us": 10430, "weight_bytes": "3.75 MiB"},
            "arrival": {"kind": "poisson", "rate_hz": 20},
        },
    ],
}
