# /// script
# dependencies = ["ecnas-gym", "syne-tune[basic]"]
# ///
"""Syne Tune"""
