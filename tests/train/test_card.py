from __future__ import annotations

import copy

import pytest

from fer_edge_train.card import model_card

RECORD = {
    "command": "fer-edge train mini_xception --data fer2013.csv.gz --out models/mini",
    "recipe": {
        "vote_share": 0.5,
        "teacher_share": 0.0,
        "label_smoothing": 0.05,
        "class_weight_power": 0.0,
        "focal_gamma": 0.0,
        "epochs": 60,
        "patience": 0,
        "optimizer": "sgd",
        "schedule": "one-cycle",
        "momentum": 0.9,
        "batch_size": 128,
        "peak_rate": 0.1,
        "weight_decay": 0.005,
        "average_decay": 0.999,
        "compute_dtype": "bfloat16",
        "pretrained": None,
        "seed": 2013,
    },
    "started_from": None,
    "teachers": [],
    "curve": [{}] * 60,
    "kept_epoch": 60,
    "model": {
        "name": "mini",
        "architecture": "mini_xception",
        "input_shape_hwc": [48, 48, 1],
        "parameters": 58423,
        "trainable_parameters": 56951,
        "labels": ["angry", "disgust"],
        "pixel_mean": 128.0,
        "pixel_std": 128.0,
        "output": "logits",
    },
    "data": {
        "name": "FER-2013",
        "sets": [{"title": "FER-2013", "licence": "research use"}],
        "training_images": 27549,
        "held_out_images": 852,
        "divided_by": "class",
        "dropped_images": 308,
        "dropped_because": "constant value",
    },
    "measured": {
        "PublicTest": {
            "top1": 0.65896,
            "n": 3589,
            "interval95": [0.643286, 0.674289],
            "recall": {"angry": 0.5567, "disgust": None},
        }
    },
    "ms_per_image": 1.5678,
    "backend": "torch",
    "machine": {"cpu": "A processor", "cores": 2},
}


def changed(path: str, value) -> dict:
    record = copy.deepcopy(RECORD)
    *parents, last = path.split("/")
    inner = record
    for key in parents:
        inner = inner[key]
    inner[last] = value
    return record


@pytest.mark.parametrize(
    "line",
    [
        "# mini",
        "| input | 48 x 48 x 1, (pixel - 128) / 128 |",
        "| parameters | 58,423 (56,951 trainable) |",
        "| PublicTest top-1 | **65.90 %** (95 % interval 64.33 to 67.43, n = 3589) |",
        "| training time | 1.57 ms per image on A processor, 2 cores, torch |",
        "| angry | 55.7 |",
        "| disgust | no images |",
        "    fer-edge train mini_xception --data fer2013.csv.gz --out models/mini",
        "27,549 training images (852 more held out to watch the run,",
        "divided by class; 308 left out: constant value), of:",
        "- FER-2013: research use",
        "Targets: 0.5 x label + 0.5 x E[label | FER+ votes], smoothed by 0.05.",
        "60 epochs of SGD with Nesterov momentum 0.9, batch 128, schedule one-cycle with peak rate 0.1, "
        "weight decay 0.005, products in bfloat16, seed 2013.",
        "Kept are the weights averaged with decay 0.999 of epoch 60.",
        "- FER-2013 holds posed and web faces, mostly frontal, with noisy labels; people agree with its labels in "
        "about",
    ],
)
def test_figures_of_the_record_are_on_the_card(line):
    assert line in model_card(RECORD).splitlines()


def test_a_card_tells_of_test_images_that_were_trained_on():
    record = changed("data/test_copies_seen", {"PublicTest": 254})
    record["data"]["test_images"] = {"PublicTest": 3589, "PublicTest without copies": 3335}
    text = "\n\n**254 of PublicTest's 3,589 images are among the training or held-out images too**, as was asked for; "
    assert text in model_card(record)


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("recipe/vote_share", 0.0, "Targets: 1 x label, smoothed by 0.05."),
        ("recipe/average_decay", 0.0, "Kept are the weights of epoch 60."),
        ("recipe/patience", 9, "of epoch 60 (the smallest held-out loss within 9 epochs)."),
        ("recipe/class_weight_power", 0.5, "Loss: images weighted by (1 / images of their class)^0.5."),
        ("recipe/focal_gamma", 2.0, "Loss: focal loss with gamma 2."),
        ("recipe/pretrained", "imagenet", "The body began with ImageNet weights."),
        ("accelerator", "NVIDIA H100", "| training time | 1.57 ms per image on NVIDIA H100, torch |"),
        ("devices", 2, "| training time | 1.57 ms per image on 2 devices (A processor, 2 cores), torch |"),
        ("data/name", "RAF-DB", "- Away from pictures like those of RAF-DB the accuracy is lower; it has not been"),
    ],
)
def test_what_else_a_record_says_is_on_the_card(path, value, text):
    assert text in model_card(changed(path, value))


def test_teachers_are_named_with_their_share():
    record = changed("recipe/teacher_share", 0.5)
    record["recipe"]["vote_share"] = 0.2
    record["teachers"] = [{"name": "big"}, {"name": "bigger"}]
    text = model_card(record)
    assert (
        "Targets: 0.3 x label + 0.2 x E[label | FER+ votes] + 0.5 x probabilities of big, bigger, smoothed by" in text
    )


def test_every_test_part_has_its_line_and_its_recalls():
    record = changed("measured/raf-db test", {**RECORD["measured"]["PublicTest"], "top1": 0.5})
    lines = model_card(record).splitlines()
    assert "| raf-db test top-1 | **50.00 %** (95 % interval 64.33 to 67.43, n = 3589) |" in lines
    assert [line for line in lines if line.startswith("Recall on")] == [
        "Recall on PublicTest:",
        "Recall on raf-db test:",
    ]


def test_a_card_without_a_test_part_keeps_its_table_whole():
    lines = model_card(changed("measured", {})).splitlines()
    start = lines.index("| architecture | mini_xception |")
    assert [line.split(" | ")[0] for line in lines[start : start + 6]] == [
        "| architecture", "| input", "| output", "| parameters", "| training time", "",
    ]  # fmt: skip


def test_adamw_is_named_without_the_momentum_that_it_does_not_use():
    lines = model_card(changed("recipe/optimizer", "adamw")).splitlines()
    assert any(line.startswith("60 epochs of AdamW, batch 128, schedule one-cycle") for line in lines)
    assert not any("omentum" in line for line in lines)


def test_the_run_that_made_the_initial_weights_is_quoted():
    before = {"command": "fer-edge train mini_xception --data fer2013.csv.gz --out models/first", "started_from": None}
    lines = model_card(changed("started_from", before)).splitlines()
    assert lines[lines.index("The initial weights came from") + 2] == f"    {before['command']}"
    # The folder's own command stays the one that is shown as made here.
    assert f"    {RECORD['command']}" in lines


def test_a_start_in_low_rank_is_called_one():
    before = {"command": "fer-edge train big --out big", "architecture": "big", "started_from": None}
    text = model_card(changed("started_from", {**before, "factored_on_images": 2048}))
    assert (
        "The initial weights are those of big, convolutions of it in low rank (factored on 2,048 training images); "
        "it came from\n\n    fer-edge train big --out big\n" in text
    )
    same = model_card(changed("started_from", {**before, "architecture": "mini_xception"}))
    assert "The initial weights came from\n\n    fer-edge train big --out big\n" in same


def test_a_run_without_epochs_tells_what_taught_the_weights_and_what_shifting_cost():
    learned = {
        "command": "fer-edge train tiny --teacher wise",
        "recipe": {"vote_share": 0.25, "teacher_share": 0.5},
        "teachers": [{"name": "wise"}],
        "started_from": None,
    }
    record = changed("started_from", learned) | {
        "curve": [],
        "shifted_decision": {
            "offsets": {"disgust": 0.5, "angry": 0.0},
            "recall_before": {"angry": 0.75, "disgust": 0.4},
            "recall_after": {"angry": 0.7, "disgust": 0.625},
            "top1_before": 0.7,
            "top1_after": 0.6875,
        },
    }
    text = model_card(record)
    assert "This run trained nothing. The initial weights came from\n\n    fer-edge train tiny --teacher wise\n" in text
    assert "Targets: 0.25 x label + 0.25 x E[label | FER+ votes] + 0.5 x probabilities of wise." in text
    assert "Then logits were raised: disgust by 0.50. " in text
    assert "| angry | 75.0 | 70.0 |\n| disgust | 40.0 | 62.5 |\n| top-1 | 70.0 | 68.8 |\n" in text
    assert "curve.png" not in text


def test_random_initial_weights_need_no_sentence():
    assert "initial weights" not in model_card(RECORD)


def test_the_card_says_what_the_model_must_not_be_used_for():
    text = model_card(RECORD)
    assert "Not for decisions about people." in text
    assert "(Regulation (EU)\n  2024/1689, Article 5(1)(f))" in text
    assert max(len(line) for line in text.splitlines()) <= 200
