"""OpenVINO's .xml without what a reader does not need."""

from __future__ import annotations

import gzip
from xml.etree import ElementTree

__all__ = ["compact_xml", "packed_xml"]


def packed_xml(xml: bytes) -> bytes:
    """Return an .xml.gz: a graph's text is longer than a small network's weights, and packs to a tenth or less."""
    return gzip.compress(xml, mtime=0)


def compact_xml(xml: bytes) -> bytes:
    """Drop indentation and the notes on how a model was made (`rt_info`), number the inner layers, share constants.

    The layers that feed or take the model's tensors keep their names. Constants that are read from the same bytes of
    the .bin become one: a quantizer has four, two of which are the same. What is left describes the same network.
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
    _share_constants(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _sources_of_results(root: ElementTree.Element) -> set[tuple[str | None, str | None]]:
    """Return layer and port of what the Results read."""
    results = {layer.get("id") for layer in root.iter("layer") if layer.get("type") == "Result"}
    edges = (edge for edge in root.iter("edge") if edge.get("to-layer") in results)
    return {(edge.get("from-layer"), edge.get("from-port")) for edge in edges}


def _share_constants(root: ElementTree.Element) -> None:
    kept: dict[bytes, str] = {}
    shared: dict[str, str] = {}  # by the layer that goes, the one that stays
    read_by_results = {layer for layer, _ in _sources_of_results(root)}
    for layers in root.iter("layers"):
        for layer in layers.findall("layer"):
            number, data = layer.get("id", ""), layer.find("data")
            if layer.get("type") != "Const" or data is None or number in read_by_results:
                continue
            content = ElementTree.tostring(data)  # type, shape, offset and size
            if content in kept:
                shared[number] = kept[content]
                layers.remove(layer)
            else:
                kept[content] = number
    for edge in root.iter("edge"):
        source = edge.get("from-layer", "")
        edge.set("from-layer", shared.get(source, source))


def _forget_inner_tensor_names(root: ElementTree.Element) -> None:
    """Tensor names matter where a Result reads them and on the Parameter; others are the converter's."""
    sources = _sources_of_results(root)
    for layer in root.iter("layer"):
        if layer.get("type") in ("Parameter", "Result"):
            continue
        for port in layer.iter("port"):
            if (layer.get("id"), port.get("id")) not in sources:
                port.attrib.pop("names", None)
