from __future__ import annotations

import json

import pytest

from fer_edge.sinks.home_assistant import Topics, discovery_messages
from fer_edge.sinks.options import MqttOptions


def options(content="frames", **more):
    return MqttOptions(host="broker", topic_prefix="home/door 1", content=content, **more)


@pytest.mark.parametrize(
    ("content", "entities"),
    [
        ("frames", {"sensor/faces", "sensor/apparent_emotion", "binary_sensor/camera"}),
        ("events", {"sensor/faces", "sensor/apparent_emotion", "event/face", "binary_sensor/camera"}),
        ("aggregate", {"sensor/faces", "binary_sensor/camera"}),
    ],
)
def test_each_content_has_its_entities_and_removes_the_others(content, entities):
    messages = discovery_messages(options(content))
    ids = {}
    for topic, payload in messages.items():
        prefix, component, node, key, end = topic.split("/")
        assert (prefix, node, end) == ("homeassistant", "home_door_1", "config")
        ids[f"{component}/{key}"] = payload
    assert set(ids) == {"sensor/faces", "sensor/apparent_emotion", "event/face", "binary_sensor/camera"}
    assert {name for name, payload in ids.items() if payload} == entities


def test_the_configurations_fit_the_topics():
    topics = Topics.of(options("events"))
    configs = {topic.split("/")[3]: json.loads(text) for topic, text in discovery_messages(options("events")).items()}
    assert len({config["unique_id"] for config in configs.values()}) == 4
    assert {config["device"]["name"] for config in configs.values()} == {"home/door 1"}
    assert configs["faces"]["state_topic"] == topics.state == "home/door 1/state"
    assert configs["face"]["state_topic"] == topics.records == "home/door 1/events"
    assert configs["face"]["event_types"] == ["face_appeared", "face_left", "apparent_emotion_changed"]
    # The camera's own sensor must show "disconnected", not "unavailable", while it is away.
    assert configs["camera"]["availability"] == [{"topic": topics.status}]
    assert configs["faces"]["availability"] == [{"topic": topics.status}, {"topic": topics.source}]


def test_the_names_that_were_asked_for():
    messages = discovery_messages(options(discovery_prefix="ha/x", device_name="Front door"))
    assert all(topic.startswith("ha/x/") for topic in messages)
    configs = [json.loads(text) for text in messages.values() if text]
    assert {config["device"]["name"] for config in configs} == {"Front door"}


def test_nothing_is_told_where_discovery_is_off():
    assert discovery_messages(options(discovery=False)) == {}
