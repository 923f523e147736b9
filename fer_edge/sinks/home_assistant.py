"""What Home Assistant is told, so that the device and its sensors appear there by themselves.

The format: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from fer_edge._version import __version__
from fer_edge.sinks.events import EVENT_TYPES
from fer_edge.sinks.options import MqttOptions

__all__ = ["OFFLINE", "ONLINE", "Topics", "discovery_messages"]

ONLINE, OFFLINE = "online", "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topics below a prefix.

    Attributes:
        status: "online" while fer-edge is connected, else "offline"; retained.
        source: the same for the camera; retained.
        state: what is seen at present, for displays; retained.
        records: the records of the sink's content.
    """

    status: str
    source: str
    state: str
    records: str

    @classmethod
    def of(cls, options: MqttOptions) -> Topics:
        """Return the topics of a sink."""
        prefix = options.topic_prefix
        return cls(
            status=f"{prefix}/status",
            source=f"{prefix}/source",
            state=f"{prefix}/state",
            records=f"{prefix}/{options.content}",
        )


def discovery_messages(options: MqttOptions) -> dict[str, str]:
    """Return payloads by topic, all to be retained; an empty one removes what another content had."""
    if not options.discovery:
        return {}
    topics = Topics.of(options)
    node = re.sub("[^a-zA-Z0-9_-]", "_", options.topic_prefix)
    common = {
        "device": {
            "identifiers": [node],
            "name": options.device_name or options.topic_prefix,
            "manufacturer": "fer-edge",
            "sw_version": __version__,
        },
        "availability_mode": "all",
    }
    messages = {}
    for (component, key), entity in _entities(options.content, topics).items():
        # What the camera shows is unknown while it is away; that it is away is not.
        needed = [topics.status] if key == "camera" else [topics.status, topics.source]
        config = {
            **common,
            "availability": [{"topic": topic} for topic in needed],
            "unique_id": f"{node}_{key}",
            **(entity or {}),
        }
        topic = f"{options.discovery_prefix}/{component}/{node}/{key}/config"
        messages[topic] = "" if entity is None else json.dumps(config)
    return messages


def _entities(content: str, topics: Topics) -> dict[tuple[str, str], dict[str, Any] | None]:
    """Return all entities that there are by component and key, None for those that a content does not have."""
    is_aggregate = content == "aggregate"
    n_faces: dict[str, Any] = {
        "name": "Faces",
        "state_topic": topics.records if is_aggregate else topics.state,
        "value_template": "{{ value_json.n_faces }}",
        "state_class": "measurement",
        "icon": "mdi:face-recognition",
    }
    if is_aggregate:
        n_faces["json_attributes_topic"] = topics.records
    emotion = {
        "name": "Apparent emotion",
        "state_topic": topics.state,
        "value_template": "{{ value_json.apparent_emotion }}",
        "icon": "mdi:emoticon-outline",
    }
    event = {"name": "Face", "state_topic": topics.records, "event_types": list(EVENT_TYPES)}
    camera = {
        "name": "Camera",
        "state_topic": topics.source,
        "payload_on": ONLINE,
        "payload_off": OFFLINE,
        "device_class": "connectivity",
        "entity_category": "diagnostic",
    }
    return {
        ("sensor", "faces"): n_faces,
        ("sensor", "apparent_emotion"): None if is_aggregate else emotion,
        ("event", "face"): event if content == "events" else None,
        ("binary_sensor", "camera"): camera,
    }
