"""Verification: whether exported files give what was trained. Needs no torch."""

from galago.verification.checks import verify
from galago.verification.report import Report

__all__ = ["Report", "verify"]
