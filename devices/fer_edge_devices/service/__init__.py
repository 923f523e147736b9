"""fer-edge as a service of a device: configuration file, the loop that systemd watches, unit (docs/service.md)."""
