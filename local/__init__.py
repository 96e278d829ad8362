"""AWS on one machine: what the pipeline runs on when there is no AWS account."""
