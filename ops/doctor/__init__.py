"""What must be true of what is there, and of the pipeline that runs on it. Nothing here changes anything."""
