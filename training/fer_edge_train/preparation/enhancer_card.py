"""The enhancer's card: what its record says, for people."""

from __future__ import annotations

from typing import Any

__all__ = ["enhancer_card"]


def enhancer_card(record: dict[str, Any]) -> str:
    """Return Markdown made from an enhancer's record and nothing else."""
    model, data, recipe = record["model"], record["data"], record["recipe"]
    measured = record["measured"]
    haze = recipe["haze"]
    (low_a, high_a), (low_t, high_t) = haze["airlight_range"], haze["transmission_range"]
    n_per_epoch = min(recipe["pictures_per_epoch"], data["training_images"])
    part = f"{data['name']}'s {data['training_split']} split"
    colour = "gray" if model["channels"] == 1 else "B, G, R"
    rows = "\n".join(
        f"| {name} | {_decibel(figures['psnr_db'])} | {figures['ssim']:.4f} |"
        for name, figures in (
            ("hazy, as the network gets them", measured["hazy"]),
            ("restored", measured["restored"]),
            ("clear pictures after the network", measured["clear_after_network"]),
        )
    )
    return f"""# {model["name"]}

FFA-Net (Qin et al., "FFA-Net: Feature Fusion Attention Network for Single Image Dehazing", AAAI 2020) in a small size,
trained on synthetic haze over face crops. It is the enhancement step of `fer-edge prepare --enhance`.

| | |
| --- | --- |
| network | groups: {model["groups"]}, blocks in each: {model["blocks"]}, filters: {model["filters"]} |
| parameters | {model["parameters"]:,} (the paper's size: 4,455,913) |
| input, output | {colour} pictures of any size, (pixel - {model["pixel_mean"]:g}) / {model["pixel_std"]:g} |

Measured on {data["held_out_images"]} pictures of {part} that were held out, as means over pictures, compared with the
clear ones:

| pictures | PSNR | SSIM |
| --- | --- | --- |
{rows}

![input, restored, clear](before_after.png)

The picture shows a face that the network never saw (NASA, public domain).

## Training

    {record["command"]}

{data["training_images"]:,} clear pictures of {part}; {data["dropped_images"]:,} were left out: blank, repeated, or in
another split too. Haze by I = J t + A (1 - t) with A from {low_a:g} to {high_a:g} and t from {low_t:g} to {high_t:g};
for {100 * haze["smooth_share"]:g} % of the hazy pictures over a distance that changes smoothly from 0.5 to 1.5.
{100 * haze["clear_share"]:g} % of all stay clear. L1 loss, Adam, peak rate {recipe["peak_rate"]:g},
{recipe["epochs"]} epochs of {n_per_epoch:,} pictures, batch {recipe["batch_size"]}, seed {recipe["seed"]}.
Everything else is in [record.json](record.json).

## Limits

- The haze is synthetic and gray; real fog, dirt on a lens, noise, blur and darkness look otherwise and were not
  trained.
- The faces are those of {data["name"]}, whose licence is: {data["licence"]}.
- A classifier that was trained on enhanced faces needs the same enhancement on the device. Whether that pays is to be
  measured for each use; a picture that is clear already comes out changed, as the table says.
"""


def _decibel(value: float | None) -> str:
    return "equal" if value is None else f"{value:.2f} dB"
