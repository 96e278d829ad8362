"""The CDK stacks: everything that the pipeline needs on AWS, an environment at a time."""
