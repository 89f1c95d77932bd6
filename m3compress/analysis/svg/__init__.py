"""Figures of reports, drawn as SVG."""
