"""Python, OpenCV, engines, bundle and tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.bundle import Bundle
from fer_edge.engines import GPU_ENGINE_NAMES, EngineStatus
from fer_edge.errors import FerEdgeError, InputError, MissingExtraError
from fer_edge_devices.doctor.finding import ADVICE, OK, PROBLEM, Finding
from fer_edge_devices.doctor.host import Subject
from fer_edge_devices.profile import Profile

__all__ = ["Software", "examine_software"]

# The versions of Python that ai-edge-litert 2 and numpy have wheels for.
_PYTHONS = ((3, 10), (3, 14))


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """What the examination of the software came to.

    Attributes:
        findings: one for each thing.
        engines: that are known here, and what keeps each from being used.
        opencv: its version; None where it cannot be imported.
        bundle: its path, name, version, number of files and the classifier's variants, or its `problem`, as JSON types.
        is_tuned: a tuning holds for this bundle here.
        exit_code: 0 where a pipeline can run, else that of what stands in the way.
    """

    findings: tuple[Finding, ...]
    engines: tuple[EngineStatus, ...]
    opencv: str | None
    bundle: dict[str, Any]
    is_tuned: bool
    exit_code: int


def examine_software(subject: Subject, profile: Profile, bundle_path: Path | None) -> Software:
    """Look at Python, OpenCV, engines, bundle and tuning."""
    from fer_edge._cv2 import import_cv2
    from fer_edge.engines import engine_status

    findings = [_python(subject)]
    exit_code = 0
    opencv: str | None = None
    try:
        opencv = str(import_cv2().__version__)
        findings.append(Finding(section="software", name="OpenCV", level=OK, found=opencv))
    except MissingExtraError as error:
        exit_code = error.exit_code
        findings.append(_problem("OpenCV", "missing", error))
    engines = tuple(engine_status())
    findings += _engines(engines, profile)
    if all(status.problem is not None for status in engines):
        exit_code = exit_code or MissingExtraError.exit_code
    told: dict[str, Any]
    is_tuned = False
    try:
        bundle = Bundle.open(bundle_path)
        n_files = bundle.verify()
    except FerEdgeError as error:
        exit_code = exit_code or error.exit_code
        findings.append(_problem("bundle", "cannot be used", error))
        told = {"problem": str(error)}
    else:
        told = _describe(bundle, n_files)
        findings.append(
            Finding(
                section="software",
                name="bundle",
                level=OK,
                found=f"{told['name']} {told['version']}, {n_files} files as the manifest says, "
                f"classifier: {', '.join(told['classifier'])}",
            )
        )
        tuning = _tuning(bundle)
        is_tuned = tuning.level == OK
        findings.append(tuning)
    return Software(
        findings=tuple(findings),
        engines=engines,
        opencv=opencv,
        bundle=told,
        is_tuned=is_tuned,
        exit_code=exit_code,
    )


def _python(subject: Subject) -> Finding:
    version = ".".join(str(number) for number in subject.host.python)
    first, last = _PYTHONS
    if first <= subject.host.python[:2] <= last:
        return Finding(section="software", name="Python", level=OK, found=version)
    return Finding(
        section="software",
        name="Python",
        level=ADVICE,
        found=version,
        advice=f"the engines have wheels for Python {first[0]}.{first[1]} to {last[0]}.{last[1]}; use one of these",
    )


def _engines(engines: Sequence[EngineStatus], profile: Profile) -> list[Finding]:
    usable = [status.name for status in engines if status.problem is None]
    findings = []
    for status in engines:
        name = f"engine {status.name}"
        if status.problem is None:
            findings.append(Finding(section="software", name=name, level=OK, found=status.version or "installed"))
        # Python's own words for a package that is not there. One engine is enough.
        elif "(No module named " in status.problem:
            findings.append(Finding(section="software", name=name, level=OK, found="not installed"))
        else:
            advice = "mend or remove it; the others can be used" if usable else "mend it"
            findings.append(Finding(section="software", name=name, level=ADVICE, found=status.problem, advice=advice))
    if profile.hardware is not None and profile.hardware.gpu is not None:
        for_it = ", ".join(name for name in usable if name in GPU_ENGINE_NAMES)
        told = f"used where {for_it} is asked for" if for_it else "no engine here uses it"
        findings.append(Finding(section="software", name="gpu", level=OK, found=f"{profile.hardware.gpu}; {told}"))
    if not usable:
        findings.append(
            Finding(
                section="software",
                name="engines",
                level=PROBLEM,
                found="none can be used",
                advice="a model needs one to run it",
                command=f'pip install "fer-edge[{profile.run.engines[0]}]"',
            )
        )
    return findings


def _describe(bundle: Bundle, n_files: int) -> dict[str, Any]:
    manifest = bundle.manifest
    classifier = manifest.stages.get("classifier")
    variants = sorted({(item.engine, item.precision) for item in classifier.variants}) if classifier else []
    return {
        "path": str(bundle.path),
        "name": manifest.name,
        "version": manifest.version,
        "files": n_files,
        "classifier": [" ".join(variant) for variant in variants],
        "problem": None,
    }


def _tuning(bundle: Bundle) -> Finding:
    from fer_edge.files import sha256_hex
    from fer_edge.tuning import read_tuning, tuning_path

    tune = "fer-edge tune"
    try:
        tuning = read_tuning(bundle)
    except InputError as error:
        return Finding(
            section="software", name="tuning", level=ADVICE, found=str(error), advice="measure anew", command=tune
        )
    if tuning is not None:
        chosen = list(dict.fromkeys(f"{choice.engine} {choice.precision}" for choice in tuning.stages.values()))
        return Finding(
            section="software",
            name="tuning",
            level=OK,
            found=f"{', '.join(chosen)}: a frame in {tuning.frame_ms:.1f} ms, {tuning.default_frame_ms:.1f} by default",
        )
    found = "none"
    if tuning_path(sha256_hex(bundle.manifest_bytes)).exists():
        found = "made with other versions or on another machine, so it is left alone"
    return Finding(
        section="software",
        name="tuning",
        level=ADVICE,
        found=found,
        advice="measure which engine, precision and threads are the fastest here; takes minutes",
        command=tune,
    )


def _problem(name: str, found: str, error: FerEdgeError) -> Finding:
    return Finding(section="software", name=name, level=PROBLEM, found=found, advice=str(error))
