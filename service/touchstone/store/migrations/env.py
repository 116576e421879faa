"""What Alembic runs: the migrations, on the connection and transaction it is given."""

from alembic import context

from touchstone.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
)
with context.begin_transaction():
    context.run_migrations()
