"""The model card: what a training record says, for people."""

from __future__ import annotations

from typing import Any

__all__ = ["model_card"]


def model_card(record: dict[str, Any]) -> str:
    """Return Markdown made from a training record and nothing else."""
    model, data, recipe = record["model"], record["data"], record["recipe"]
    test = record["measured"]["PublicTest"]
    low, high = (100 * bound for bound in test["interval95"])
    top1 = f"**{100 * test['top1']:.2f} %** (95 % interval {low:.2f} to {high:.2f}, n = {test['n']})"
    recall_rows = "\n".join(f"| {name} | {_percent(value)} |" for name, value in test["recall"].items())
    shape = " x ".join(str(n) for n in model["input_shape_hwc"])
    machine = record["machine"]
    speed = f"{record['ms_per_image']:.2f} ms" if record["ms_per_image"] is not None else "not measured"
    votes = (
        f"Targets: {1 - recipe['vote_share']:g} x label + {recipe['vote_share']:g} x E[label | FER+ votes], "
        if recipe["vote_share"]
        else "Targets: labels, "
    )
    optimizer = f"SGD with Nesterov momentum {recipe['momentum']:g}" if recipe["optimizer"] == "sgd" else "AdamW"
    before = record["started_from"]
    start = f"The initial weights came from `{before['command']}`. " if before else ""
    return f"""# {model["name"]}

Classifies the *apparent* expression of a face crop: {", ".join(model["labels"])}. It says how a face looks to
the people who labelled {data["name"]}, never what a person feels.

| | |
| --- | --- |
| architecture | {model["architecture"]} |
| input | {shape}, (pixel - {model["pixel_mean"]:g}) / {model["pixel_std"]:g} |
| output | {model["output"]}, one for each label |
| parameters | {model["parameters"]:,} ({model["trainable_parameters"]:,} trainable) |
| PublicTest top-1 | {top1} |
| training time | {speed} per image on {machine["cpu"]}, {machine["cores"]} cores, {record["backend"]} |

Recall on PublicTest:

| class | recall / % |
| --- | --- |
{recall_rows}

![learning curve](curve.png)

## Training

    {record["command"]}

{data["name"]}, {data["training_images"]:,} training images ({data["held_out_images"]} more held out to watch the run,
{data["dropped_images"]} left out: {data["dropped_because"]}). {votes}smoothed by {recipe["label_smoothing"]:g}.
{start}{recipe["epochs"]} epochs of {optimizer}, batch {recipe["batch_size"]}, one-cycle
rate with peak {recipe["peak_rate"]:g}, weight decay {recipe["weight_decay"]:g}, seed {recipe["seed"]}.
The weights are those after the last epoch: nothing was selected on PublicTest. Everything else is in
[record.json](record.json).

## Limits

- {data["name"]} holds posed and web faces, mostly frontal, with noisy labels; people agree with its labels in about
  two of three cases. Away from such pictures the accuracy is lower.
- Recall differs by class as the table shows; a rare class such as disgust rests on few test images.
- Ages, skin tones and cultures are not labelled in {data["name"]}, so fairness across them has not been measured.
- Not for decisions about people. Emotion recognition at work and in education is forbidden in the EU (Regulation (EU)
  2024/1689, Article 5(1)(f)), with exceptions for medical and safety reasons.
"""


def _percent(share: float | None) -> str:
    return "no images" if share is None else f"{100 * share:.1f}"
