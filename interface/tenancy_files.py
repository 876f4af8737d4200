"""Tells scenarios with an accelerator from others, without loading what either needs."""

from __future__ import annotations

from pathlib import Path


def has_accelerator(path: Path) -> bool:
    """Whether a scenario file has an accelerator; False, too, for what is no such file, which its reader will tell."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(data, dict) and "accelerator" in data
