"""The way from an operator's machine into an environment on AWS, for commands that read endpoints.json."""
