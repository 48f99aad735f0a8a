"""From a file to an environment that can be deployed, or to all of its faults at once. The one room that reads environment files."""
