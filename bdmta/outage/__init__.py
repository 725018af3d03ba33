"""Notices of outages (Điều 15): a history that only grows, and channels that tell the public, each with its receipt.

`notice` is the pure state machine; `book` keeps the history in the office; `broadcast` brings what was announced to the
channels; edges and the status page read files that `published` writes, never the history.
"""
