"""The schema's history; ``touchstone.store.schema`` runs it."""
