"""The model card: what a training record says, for people."""

from __future__ import annotations

from typing import Any

__all__ = ["model_card"]

_FER2013 = "FER-2013"


def model_card(record: dict[str, Any]) -> str:
    """Return Markdown made from a training record and nothing else."""
    model, data = record["model"], record["data"]
    shape = " x ".join(str(n) for n in model["input_shape_hwc"])
    rows = [
        f"| parameters | {model['parameters']:,} ({model['trainable_parameters']:,} trainable) |",
        *(f"| {name} top-1 | {_top1(figures)} |" for name, figures in record["measured"].items()),
    ]
    if record["curve"]:
        rows.append(
            f"| training time | {record['ms_per_image']:.2f} ms per image on {_trained_on(record)}, "
            f"{record['backend']} |"
        )
    table = "\n".join(rows)
    return f"""# {model["name"]}

Classifies the *apparent* expression of a face crop: {", ".join(model["labels"])}. It says how a face looks to
the people who labelled {data["name"]}, never what a person feels.

| | |
| --- | --- |
| architecture | {model["architecture"]} |
| input | {shape}, (pixel - {model["pixel_mean"]:g}) / {model["pixel_std"]:g} |
| output | {model["output"]}, one for each label |
{table}

{_recalls(record["measured"])}
{_curve_text(record)}## Training

    {record["command"]}

{_data_text(data)}

{_recipe_text(record)}
The run itself looks at test images once, at its end. Everything else is in [record.json](record.json).

## Limits

{_limits(data)}
- Recall differs by class as the table shows; a rare class rests on few test images.
- Ages, skin tones and cultures are not labelled in {data["name"]}, so fairness across them has not been measured.
- Not for decisions about people. Emotion recognition at work and in education is forbidden in the EU (Regulation (EU)
  2024/1689, Article 5(1)(f)), with exceptions for medical and safety reasons.
"""


def _trained_on(record: dict[str, Any]) -> str:
    accelerator: str | None = record.get("accelerator")
    machine, n = record["machine"], record.get("devices", 1)
    name = accelerator or f"{machine['cpu']}, {machine['cores']} cores"
    return name if n == 1 else f"{n} devices ({name})"


def _curve_text(record: dict[str, Any]) -> str:
    return "![learning curve](curve.png)\n\n" if record["curve"] else ""


def _top1(figures: dict[str, Any]) -> str:
    low, high = (100 * bound for bound in figures["interval95"])
    return f"**{100 * figures['top1']:.2f} %** (95 % interval {low:.2f} to {high:.2f}, n = {figures['n']})"


def _recalls(measured: dict[str, Any]) -> str:
    parts = []
    for name, figures in measured.items():
        rows = "\n".join(f"| {label} | {_percent(value)} |" for label, value in figures["recall"].items())
        parts.append(f"Recall on {name}:\n\n| class | recall / % |\n| --- | --- |\n{rows}\n")
    return "\n".join(parts)


def _percent(share: float | None) -> str:
    return "no images" if share is None else f"{100 * share:.1f}"


def _data_text(data: dict[str, Any]) -> str:
    sets = "\n".join(f"- {each['title']}: {each['licence']}" for each in data["sets"])
    return f"""{data["training_images"]:,} training images ({data["held_out_images"]} more held out to watch the run,
divided by {data["divided_by"]}; {data["dropped_images"]} left out: {data["dropped_because"]}), of:

{sets}{_copies_text(data)}"""


def _copies_text(data: dict[str, Any]) -> str:
    # Records of earlier versions do not count copies: they never left any in.
    return "".join(
        f"\n\n**{n} of {name}'s {data['test_images'][name]:,} images are among the training or held-out images too**, "
        f'as was asked for; "{name} without copies" is of the others.'
        for name, n in data.get("test_copies_seen", {}).items()
    )


def _recipe_text(record: dict[str, Any]) -> str:
    recipe = record["recipe"]
    before = record["started_from"]
    start = _history_text(before, record["model"]["architecture"]) if before else ""
    if not record["curve"]:
        return f"This run trained nothing. {start}{_shifted_text(record)}"
    if recipe["pretrained"]:
        start = "The body began with ImageNet weights.\n"
    optimizer = f"SGD with Nesterov momentum {recipe['momentum']:g}" if recipe["optimizer"] == "sgd" else "AdamW"
    kept = f"the weights averaged with decay {recipe['average_decay']:g}" if recipe["average_decay"] else "the weights"
    patience = f" (the smallest held-out loss within {recipe['patience']} epochs)" if recipe["patience"] else ""
    return (
        f"Targets: {_targets_text(record)}, smoothed by {recipe['label_smoothing']:g}.{_loss_text(recipe)}\n"
        f"{start}{len(record['curve'])} epochs of {optimizer}, batch {recipe['batch_size']}, schedule "
        f"{recipe['schedule']} with peak rate {recipe['peak_rate']:g}, weight decay {recipe['weight_decay']:g}, "
        f"products in {recipe['compute_dtype']}, seed {recipe['seed']}.\n"
        f"Kept are {kept} of epoch {record['kept_epoch']}{patience}.\n{_shifted_text(record)}"
    )


def _shifted_text(record: dict[str, Any]) -> str:
    shifted = record.get("shifted_decision") or {"offsets": {}}
    raised = {label: offset for label, offset in shifted["offsets"].items() if offset}
    if not raised:
        return ""
    rows = "\n".join(
        f"| {label} | {100 * before:.1f} | {100 * shifted['recall_after'][label]:.1f} |"
        for label, before in shifted["recall_before"].items()
    )
    top1 = " | ".join(f"{100 * shifted[when]:.1f}" for when in ("top1_before", "top1_after"))
    offsets = ", ".join(f"{label} by {offset:.2f}" for label, offset in raised.items())
    return f"""
Then logits were raised: {offsets}. The probabilities of these classes are too high by this shift.
On the held-out images:

| recall / % | before | after |
| --- | --- | --- |
{rows}
| top-1 | {top1} |
"""


def _history_text(before: dict[str, Any], architecture: str) -> str:
    """Tell of the runs behind the initial weights, the last one first."""
    # Records of earlier versions have no architecture here: a start was always of the same one.
    found = before.get("architecture", architecture)
    what = "came from"
    if found != architecture:
        seen = before["factored_on_images"]
        what = (
            f"are those of {found}, convolutions of it in low rank (factored on {seen:,} training images); it came from"
        )
    text = f"The initial weights {what}\n\n    {before['command']}\n\n"
    if before.get("recipe", {}).get("vote_share") is not None:
        text += f"Targets: {_targets_text(before)}.\n"
    return text + (_history_text(before["started_from"], found) if before.get("started_from") else "")


def _targets_text(record: dict[str, Any]) -> str:
    recipe = record["recipe"]
    votes, teachers = recipe["vote_share"], recipe["teacher_share"]
    parts = [(1 - votes - teachers, "label"), (votes, "E[label | FER+ votes]")]
    names = ", ".join(each["name"] for each in record.get("teachers") or [])
    parts.append((teachers, f"probabilities of {names}"))
    return " + ".join(f"{share:g} x {what}" for share, what in parts if share > 1e-9)


def _loss_text(recipe: dict[str, Any]) -> str:
    parts = []
    if recipe["class_weight_power"]:
        parts.append(f"images weighted by (1 / images of their class)^{recipe['class_weight_power']:g}")
    if recipe["focal_gamma"]:
        parts.append(f"focal loss with gamma {recipe['focal_gamma']:g}")
    return f" Loss: {', '.join(parts)}." if parts else ""


def _limits(data: dict[str, Any]) -> str:
    if _FER2013 in data["name"]:
        return (
            "- FER-2013 holds posed and web faces, mostly frontal, with noisy labels; people agree with its labels in "
            "about\n  two of three cases. Away from such pictures the accuracy is lower."
        )
    return f"- Away from pictures like those of {data['name']} the accuracy is lower; it has not been measured there."
