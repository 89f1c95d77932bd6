"""Whom a student copies: trained models, exported files, and calculators of other codes."""
