"""Runs as one HTML file that works from the disk without a network.

``data`` computes what the charts show, ``specs`` how they look, ``content`` what the words and tables say, and ``page``
puts them together with the templates, ``style.css`` and ``report.js`` that lie beside it.
"""

from automl_cf.analysis.report.page import REPORT_NAME, write_report, write_reports

__all__ = ["REPORT_NAME", "write_report", "write_reports"]
