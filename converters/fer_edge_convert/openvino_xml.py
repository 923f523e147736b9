"""OpenVINO's .xml without what a reader does not need."""

from __future__ import annotations

from xml.etree import ElementTree

__all__ = ["compact_xml"]


def compact_xml(xml: bytes) -> bytes:
    """Drop indentation and the notes on how a model was made (`rt_info`), and number the inner layers.

    The layers that feed or take the model's tensors keep their names. What is left describes the same network.
    """
    root = ElementTree.fromstring(xml)  # noqa: S314
    for parent in root.iter():
        parent.text = parent.text.strip() if parent.text else None
        parent.tail = None
        for notes in parent.findall("rt_info"):
            parent.remove(notes)
    for layer in root.iter("layer"):
        if layer.get("type") not in ("Parameter", "Result"):
            layer.set("name", layer.get("id", ""))
    _forget_inner_tensor_names(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _forget_inner_tensor_names(root: ElementTree.Element) -> None:
    """Tensor names matter where a Result reads them and on the Parameter; others are the converter's."""
    sources = {
        (edge.get("from-layer"), edge.get("from-port"))
        for edge in root.iter("edge")
        if edge.get("to-layer") in {layer.get("id") for layer in root.iter("layer") if layer.get("type") == "Result"}
    }
    for layer in root.iter("layer"):
        if layer.get("type") in ("Parameter", "Result"):
            continue
        for port in layer.iter("port"):
            if (layer.get("id"), port.get("id")) not in sources:
                port.attrib.pop("names", None)
