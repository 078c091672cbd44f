"""What a result looks like: as text, as HTML, as plain values."""
