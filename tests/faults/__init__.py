"""Faults injected into real processes and a real server; what is promised is counted afterwards."""
