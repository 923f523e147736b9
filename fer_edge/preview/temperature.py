"""The processor's temperature, from the files that Linux has on every board."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

__all__ = ["read_temperature_c"]

# Beyond these a sensor is off or broken: a Jetson's zone gives -256 while its part has no power.
_RANGE_C = (-40.0, 150.0)
# A Jetson Nano's PMIC-Die gives 100 degrees whatever the temperature.
_NOT_MEASURED = "PMIC-Die"


def read_temperature_c(root: Path = Path("/sys/class/thermal")) -> float | None:
    """Return the hottest of the system's thermal zones in degrees Celsius; None where it has none.

    It takes a file for each zone. `fer_edge_devices` knows more sensors; the runtime imports none of it.

    Args:
        root: folder of the zones.
    """
    found = [_zone_c(zone) for zone in root.glob("thermal_zone*")]
    return max((value for value in found if value is not None), default=None)


def _zone_c(zone: Path) -> float | None:
    # A zone may be switched off, vanish, or give no number; the others still tell.
    with suppress(OSError, ValueError):
        if (zone / "type").read_text(encoding="utf-8").strip() != _NOT_MEASURED:
            temperature_c = int((zone / "temp").read_text(encoding="utf-8")) / 1000
            if _RANGE_C[0] <= temperature_c <= _RANGE_C[1]:
                return temperature_c
    return None
