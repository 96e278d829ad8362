"""The trigger_installer Lambda: a custom resource that brings the triggers of a source up to date."""
