"""Tables: a column that is predicted from the others."""
