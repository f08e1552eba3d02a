"""What queries are answered from: the read models, their positions, sealed cursors."""
