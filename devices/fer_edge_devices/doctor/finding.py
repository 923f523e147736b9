"""What the doctor says: one finding for each thing it looked at."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ADVICE", "LEVELS", "OK", "PROBLEM", "SECTIONS", "Finding"]

# A problem keeps the pipeline from running; an advice does not.
LEVELS = OK, ADVICE, PROBLEM = ("ok", "advice", "problem")
SECTIONS = ("board", "speed", "cameras", "software")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding.

    Attributes:
        section: of SECTIONS.
        name: of what was looked at, such as "governor".
        level: of LEVELS.
        found: what there is.
        advice: what to do and why; None where nothing is to be done.
        command: that does it; None where there is none.
    """

    section: str
    name: str
    level: str
    found: str
    advice: str | None = None
    command: str | None = None

    def __post_init__(self) -> None:
        for name, known in (("section", SECTIONS), ("level", LEVELS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected {', '.join(known)}, found {getattr(self, name)!r}")
        if self.level != OK and self.advice is None:
            raise ValueError(f"{self.name}: expected what to do about it, found nothing")
