"""Which cases to measure: engines that are installed, times precisions of the classifier that the bundle has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fer_edge.bundle import Manifest, Variant
from fer_edge.bundle.manifest import STAGE_NAMES
from fer_edge.engines import ENGINE_NAMES, engine_name, engines_for_files, files_name
from fer_edge.errors import IntegrityError, MissingExtraError
from fer_edge.stage import choose_variant

__all__ = ["PlannedCase", "plan_cases"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCase:
    """An engine, a precision of the classifier, and the variant of each stage that the pipeline will take."""

    engine: str
    precision: str
    variants: Mapping[str, Variant]


def plan_cases(
    manifest: Manifest,
    *,
    engines: Sequence[str],
    precisions: Sequence[str],
    probe: Callable[[str], str],
    say: Callable[[str], None],
) -> tuple[PlannedCase, ...]:
    """Return the cases in the order asked for, or in the runtime's order of preference.

    Args:
        manifest: of the bundle.
        engines: names or aliases; empty for all that are installed and have a variant of every stage, accelerated ones
            last.
        precisions: of the classifier; empty for all of each engine.
        probe: raises MissingExtraError for an engine that is not installed.
        say: told what is left out because it is not installed, one line for each engine.

    Raises:
        UsageError: no engine has one of the names.
        MissingExtraError: an engine that was asked for is not installed, the bundle has nothing for it in a precision
            that was asked for, or no case is left.
        IntegrityError: the bundle lacks a stage, or no engine has a variant of every stage.
    """
    missing = [name for name in STAGE_NAMES if name not in manifest.stages]
    if missing:
        raise IntegrityError(f"a benchmark needs the stages {', '.join(missing)}; the bundle has none")
    asked = list(dict.fromkeys(engine_name(name) for name in engines))
    cases: list[PlannedCase] = []
    installed: list[str] = []
    candidates = asked or _engines_of_every_stage(manifest)
    if not candidates:
        raise IntegrityError("no engine has a variant of every stage; make the bundle again")
    for engine in candidates:
        try:
            probe(engine)
        except MissingExtraError as error:
            if asked:
                raise
            say(f"left out: {error}")
            continue
        installed.append(engine)
        found = _precisions(manifest, engine)
        for precision in dict.fromkeys(precisions) or found:
            if precision in found or asked:
                cases.append(_case(manifest, engine, precision))
    if not installed:
        extras = " or ".join(f'pip install "fer-edge[{name}]"' for name in candidates)
        raise MissingExtraError(f"none of the engines {', '.join(candidates)} is installed; {extras}")
    if not cases:
        known = ", ".join(f"{item.engine} {item.precision}" for item in manifest.stages["classifier"].variants)
        wanted = f"{' or '.join(installed)} in {' or '.join(precisions)}"
        raise MissingExtraError(f"the bundle's classifier has no variant for {wanted}; it has {known}")
    return tuple(cases)


def _case(manifest: Manifest, engine: str, precision: str) -> PlannedCase:
    variants = {
        name: choose_variant(manifest.stages[name], files_name(engine), precision if name == "classifier" else None)
        for name in STAGE_NAMES
    }
    return PlannedCase(engine=engine, precision=precision, variants=variants)


def _precisions(manifest: Manifest, engine: str) -> list[str]:
    """Return the classifier's precisions for an engine, the preferred one first.

    Raises:
        MissingExtraError: it has none.
    """
    classifier, files = manifest.stages["classifier"], files_name(engine)
    choose_variant(classifier, files)
    return list(dict.fromkeys(variant.precision for variant in classifier.variants if variant.engine == files))


def _engines_of_every_stage(manifest: Manifest) -> list[str]:
    common = set.intersection(
        *({variant.engine for variant in stage.variants} for stage in manifest.stages.values()),
    )
    ordered = sorted(
        common,
        key=lambda name: (name not in ENGINE_NAMES, ENGINE_NAMES.index(name) if name in ENGINE_NAMES else 0, name),
    )
    # The first is the default, which an accelerated engine never is.
    return [*ordered, *(other for name in ordered for other in engines_for_files(name)[1:])]
