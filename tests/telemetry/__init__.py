"""Tests of metrics, traces and the daily message."""
