"""Showing a record: what is said of it, and a page with plots that needs nothing but a browser."""

from fer_edge_bench.report.page import report_html, write_report

__all__ = ["report_html", "write_report"]
