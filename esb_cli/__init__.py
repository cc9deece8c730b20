"""The command line of esb: start projects, and work with live streams."""
