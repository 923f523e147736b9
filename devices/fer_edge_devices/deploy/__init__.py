"""Bring a bundle and its environment to a device over ssh, test them there, return if they fail."""

from fer_edge_devices.deploy.connection import Connection, Target
from fer_edge_devices.deploy.deployment import DEFAULT_ROOT, Deployment, deploy, device_status, roll_back, uninstall
from fer_edge_devices.deploy.environment import EnvironmentPlan

__all__ = [
    "DEFAULT_ROOT",
    "Connection",
    "Deployment",
    "EnvironmentPlan",
    "Target",
    "deploy",
    "device_status",
    "roll_back",
    "uninstall",
]
